"""Scenarios of what a bar surely tells and what it leaves open (R43)."""

from __future__ import annotations

from tests.exchange.scenario import QUIET, STOP_5, Filled, Scenario
from tests.exchange.table_certain_first import BOUGHT, TEN

CERTAIN, MIXED = {"total": 0}, {"total": 1, "entry_and_exit": 1}
WITH_STOP = {"total": 1, "take_profit_and_stop": 1}

AMBIGUITY = tuple(
    Scenario(f"R43 {story}", bars, signals, fills, rules, {"ambiguous": ambiguous})
    for story, ambiguous, bars, signals, rules, fills in (
        (
            "a take-profit that the open fills and a stop further on are certain",
            CERTAIN, [QUIET, QUIET, (103, 103, 94, 95)], {0: 1}, STOP_5,
            [BOUGHT, Filled(2, "take_profit", "P-long", 1, 102)],
        ),
        (
            "the take-profit and the stop of an entry of the open are a guess",
            WITH_STOP, [QUIET, (100, 103, 94, 100)], {0: 1}, STOP_5,
            [BOUGHT, Filled(1, "stop_loss", "P-long", 1, 95, "taker")],
        ),
        (
            "an entry of the open and its take-profit are certain",
            CERTAIN, [QUIET, (100, 103, 100, 101)], {0: 1}, {},
            [BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
        ),
        (
            "a later entry and its take-profit, short of the close, are a guess",
            MIXED, [QUIET, (101, 103, 100, 101)], {0: 1}, {},
            [BOUGHT],
        ),
        (
            "a later entry and its take-profit, which the close touches, are certain",
            CERTAIN, [QUIET, (101, 103, 100, 102)], {0: 1}, {},
            [BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
        ),
        (
            "a later entry and its take-profit at the close are a guess beside its stop",
            MIXED, [QUIET, (101, 103, 94, 102)], {0: 1}, STOP_5,
            [BOUGHT, Filled(1, "stop_loss", "P-long", 1, 95, "taker")],
        ),
        (
            "a later entry and its take-profit at the close are a guess if it is liquidated",
            MIXED, [QUIET, (101, 103, 88, 102)], {0: 1}, {**TEN, "take_profit_pct": 0.02},
            # 10 + (P - 100) = 0.004 * P
            [BOUGHT, Filled(1, "liquidation", "P-long", 1, 90 / 0.996, "taker")],
        ),
        (
            "an entry that a walk meets before a stop is certain",
            CERTAIN, [QUIET, QUIET, (100, 100, 99, 99), (100, 100, 95, 96)], {0: 1, 2: 1}, STOP_5,
            # (100 + 99) / 2 * 0.95 = 94.525, down to 94.5.
            [BOUGHT, Filled(3, "entry", "P-long", 1, 99)],
        ),
        (
            "a short's take-profit on the way down to the long's liquidation is certain",
            CERTAIN, [QUIET] * 4 + [(100, 100, 90, 95)], {0: 1, 1: 1, 2: -1},
            {**TEN, "take_profit_pct": 0.02},
            # 12 + 2 * (P - 100) = 0.008 * P, as in `table_certain_first`.
            [
                BOUGHT,
                Filled(2, "entry", "P-long", 1, 100),
                Filled(3, "entry", "P-short", 1, 100),
                Filled(4, "take_profit", "P-short", 1, 98),
                Filled(4, "liquidation", "P-long", 2, 188 / 1.992, "taker"),
            ],
        ),
    )
)  # fmt: skip
