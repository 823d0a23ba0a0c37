"""Scenarios of entries after the walks, of the close, and of the four orders of events (R42)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.exchange.scenario import FAR_TP, QUIET, STOP_5, Filled, Prices, Scenario
from tests.exchange.table_certain_first import (
    BOUGHT,
    LONG_WAIT,
    SOLD,
    STOP_2,
    TEN,
    THROUGH,
)

ENTRIES_AND_CLOSE = (
    # ------------------------------------------------------------ R13, step 6
    Scenario(
        "R13 of two entries of a side the one that price meets first comes first",
        bars=[QUIET, (102, 102, 101, 101), (101.5, 101.5, 99, 100)],
        signals={0: 1, 1: 1},
        rules=LONG_WAIT,
        fills=[Filled(2, "entry", "P-long", 1, 101), Filled(2, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R13 of two sales the one that price meets first comes first",
        bars=[QUIET, (98, 99, 98, 99), (98.5, 101, 98.5, 100)],
        signals={0: -1, 1: -1},
        rules=LONG_WAIT,
        fills=[Filled(2, "entry", "P-short", 1, 99), Filled(2, "entry", "P-short", 1, 100)],
    ),
    Scenario(
        "R13 of the two sides' first entries the older comes first",
        # A sale at 101 (bar 0), purchases at 98.5 (bar 1) and 99 (bar 2).
        bars=[(101, 101, 101, 101), (99.5, 99.5, 98.5, 98.5), (99.5, 99.5, 99, 99),
              (100, 102, 98, 100)],
        signals={0: -1, 1: 1, 2: 1},
        rules={**LONG_WAIT, **FAR_TP},
        fills=[
            Filled(3, "entry", "P-short", 1, 101),
            Filled(3, "entry", "P-long", 1, 99),
            Filled(3, "entry", "P-long", 1, 98.5),
        ],
    ),
    Scenario(
        "R16 after an entry the walk fills the side's other entries before its stop",
        # Sets of one: stops at 101 * 0.98 = 98.98, down to 98.5, and 100 * 0.98 = 98.
        bars=[QUIET, (102, 102, 101, 101), (102, 102, 98, 99)],
        signals={0: 1, 1: 1},
        rules={**LONG_WAIT, **STOP_2, "position_set_size": 1},
        fills=[
            Filled(2, "entry", "P-long", 1, 101),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(2, "stop_loss", "S1", 1, 98.5, "taker"),
            Filled(2, "stop_loss", "S2", 1, 98, "taker"),
        ],
    ),
    Scenario(
        "R16 after an entry the walk fills an entry that saves both from the stop",
        # Together: 100.5 * 0.98 = 98.49, down to 98.
        bars=[QUIET, (102, 102, 101, 101), (102, 102, 98.5, 99)],
        signals={0: 1, 1: 1},
        rules={**LONG_WAIT, **STOP_2},
        fills=[Filled(2, "entry", "P-long", 1, 101), Filled(2, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R16 a stopped entry does not keep an entry below its stop from filling",
        # 101 * 0.98 = 98.98, down to 98.5; the older limit of 98 lies below, its own stop at 96.
        bars=[(98, 98, 98, 98), (102, 102, 101, 101), (102, 102, 97.5, 98)],
        signals={0: 1, 1: 1},
        rules={**LONG_WAIT, **STOP_2},
        fills=[
            Filled(2, "entry", "P-long", 1, 101),
            Filled(2, "stop_loss", "P-long", 1, 98.5, "taker"),
            Filled(2, "entry", "P-long", 1, 98),
        ],
    ),
    # ------------------------------------------------------------ R13, step 7: the close
    Scenario(
        "R13 a take-profit that its bar made fills if the close touches it",
        bars=[QUIET, (101, 103, 100, 102)],
        signals={0: 1},
        fills=[BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R13 a take-profit that its bar made does not fill short of the close",
        bars=[QUIET, (101, 103, 100, 101.5)],
        signals={0: 1},
        fills=[BOUGHT],
    ),
    Scenario(
        "R13 a short's take-profit that its bar made fills, at its limit, if the close is beyond",
        bars=[QUIET, (99, 100, 97, 97)],
        signals={0: -1},
        fills=[SOLD, Filled(1, "take_profit", "P-short", 1, 98)],
    ),
    Scenario(
        "R13 through: a close that touches a take-profit does not fill it",
        bars=[QUIET, (101, 103, 99.5, 102)],
        signals={0: 1},
        rules=THROUGH,
        fills=[BOUGHT],
    ),
    Scenario(
        "R13 through: a close a tick beyond a take-profit fills it",
        bars=[QUIET, (101, 103, 99.5, 102.5)],
        signals={0: 1},
        rules=THROUGH,
        fills=[BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R13 a take-profit that an entry of its bar replaced fills at the close for both",
        # (100 + 99) / 2 * 1.02 = 101.49, up to 101.5.
        bars=[QUIET, QUIET, (100, 100, 99, 99), (100, 101.5, 99, 101.5)],
        signals={0: 1, 2: 1},
        fills=[
            BOUGHT,
            Filled(3, "entry", "P-long", 1, 99),
            Filled(3, "take_profit", "P-long", 2, 101.5),
        ],
    ),
    # ------------------------------------------------------------ R11, R19: cancelling, age
    Scenario(
        "R11 a signal exit is gone with the Position that a stop closed",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100.5, 100.5, 95, 95), (96, 96, 95, 96),
              (96, 102, 96, 102)],
        signals={0: 1, 2: 2, 3: 1},
        rules={**STOP_5, **FAR_TP, **LONG_WAIT},
        fills=[
            BOUGHT,
            Filled(3, "stop_loss", "P-long", 1, 95, "taker"),
            Filled(4, "entry", "P-long", 1, 95),
        ],
    ),
    Scenario(
        "R19 a replaced take-profit is as old as its replacement",
        # The long's take-profit was placed in bar 1, the short's in bar 2, the long's again in 3.
        bars=[QUIET, QUIET, QUIET, QUIET, (100, 103, 97, 100)],
        signals={0: 1, 1: -1, 2: 1},
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-short", 1, 100),
            Filled(3, "entry", "P-long", 1, 100),
            Filled(4, "take_profit", "P-short", 1, 98),
            Filled(4, "take_profit", "P-long", 2, 102),
        ],
    ),
    # ------------------------------------------------------------ R23, R25
    Scenario(
        "R23 a requirement that equity just meets liquidates, float dust or not",
        # At 90.9 equity is 9.1 + 0.004 * 90.9 - 9.1: what is needed, but for the last bits.
        bars=[QUIET, QUIET, (100, 100, 90.9, 95)],
        signals={0: 1},
        rules={**TEN, "initial_balance": 9.1 + 0.004 * 90.9, "liquidation_fee_rate": 0.0,
               "tick": 0.1},
        fills=[BOUGHT, Filled(2, "liquidation", "P-long", 1, 90.9, "taker")],
        totals={"balance": 0.004 * 90.9, "liquidations": 1},
    ),
    Scenario(
        "R23 a capped liquidation fee leaves exactly nothing",
        # Inverse: dust of 1 / P must not stay behind. 1 coin is 100 contracts of 1 at 100.
        bars=[QUIET, QUIET, (100, 100, 50, 60)],
        signals={0: 1},
        rules={"contract": "inverse", "initial_balance": 0.1, "leverage": 20.0, "tick": 0.1,
               "taker": 0.0005, "liquidation_fee_rate": 0.03, **FAR_TP},
        # 0.1 + 100 * (1/100 - 1/P) = 0.0045 * 100 / P at P = 100.45 / 1.1.
        fills=[
            Filled(1, "entry", "P-long", 100, 100),
            Filled(2, "liquidation", "P-long", 100, 100.45 / 1.1, "taker"),
        ],
        totals={"balance": 0.0, "shortfall": 0.0},
    ),
    Scenario(
        "R25 with a base of zero there is no limit: what refuses is the margin",
        # The account is gone in bar 2 of the day; in Seoul the next one begins with bar 15.
        bars=[QUIET, QUIET, (100, 100, 90, 95), *[QUIET] * 14],
        signals={0: 1, 2: 1, 14: 1, 15: 1, 16: -1},
        rules={**TEN, "daily_loss_limit_pct": 0.05, "timezone": "Asia/Seoul"},
        fills=[BOUGHT, Filled(2, "liquidation", "P-long", 1, 90 / 0.996, "taker")],
        totals={"balance": 0.0, "refused": {"daily_loss": 2, "margin": 2}},
    ),
)

PATH = {"event_order": "path"}
BEST = {"event_order": "best"}
WORST = {"event_order": "worst"}


def by_each_order(
    story: str, bars: Sequence[Prices], signals: Mapping[int, int], **fills: Sequence[Filled]
) -> list[Scenario]:
    """Return one scenario for each order of events, with the fills that it gives."""
    return [
        Scenario(f"R42 {order}: {story}", bars, signals, told, {"event_order": order})
        for order, told in fills.items()
    ]


ORDERS = (
    # ------------------------------------------------------------ R42: one bar, four orders
    *by_each_order(
        "a long of 100 with its take-profit at 102, and an entry at 99; the low is nearer",
        bars=[QUIET, QUIET, (100, 100, 99, 99), (100, 102.5, 98.5, 100)],
        signals={0: 1, 2: 1},
        rules=[
            BOUGHT,
            Filled(3, "take_profit", "P-long", 1, 102),
            Filled(3, "entry", "P-long", 1, 99),
        ],
        # The take-profit for both was made too late for the bar, and its close does not touch it.
        worst=[BOUGHT, Filled(3, "entry", "P-long", 1, 99)],
        # 99 * 1.02 = 100.98, up to 101.
        best=[
            BOUGHT,
            Filled(3, "take_profit", "P-long", 1, 102),
            Filled(3, "entry", "P-long", 1, 99),
            Filled(3, "take_profit", "P-long", 1, 101),
        ],
        # (100 + 99) / 2 * 1.02 = 101.49, up to 101.5.
        path=[
            BOUGHT,
            Filled(3, "entry", "P-long", 1, 99),
            Filled(3, "take_profit", "P-long", 2, 101.5),
        ],
    ),
    *by_each_order(
        "a short of 100 with its take-profit at 98, and an entry at 101; the high is nearer",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100, 101.5, 97.5, 100)],
        signals={0: -1, 2: -1},
        rules=[
            SOLD,
            Filled(3, "take_profit", "P-short", 1, 98),
            Filled(3, "entry", "P-short", 1, 101),
        ],
        worst=[SOLD, Filled(3, "entry", "P-short", 1, 101)],
        # 101 * 0.98 = 98.98, down to 98.5.
        best=[
            SOLD,
            Filled(3, "take_profit", "P-short", 1, 98),
            Filled(3, "entry", "P-short", 1, 101),
            Filled(3, "take_profit", "P-short", 1, 98.5),
        ],
        # (100 + 101) / 2 * 0.98 = 98.49, down to 98.
        path=[
            SOLD,
            Filled(3, "entry", "P-short", 1, 101),
            Filled(3, "take_profit", "P-short", 2, 98),
        ],
    ),
    # ------------------------------------------------------------ the open first, in all
    *(
        Scenario(
            f"R42 {order}: the open comes first",
            bars=[QUIET, QUIET, (103, 103, 94, 95)],
            signals={0: 1},
            rules={**STOP_5, "event_order": order},
            fills=[BOUGHT, Filled(2, "take_profit", "P-long", 1, 102)],
        )
        for order in ("path", "best", "worst")
    ),
    # ------------------------------------------------------------ best and worst
    Scenario(
        "R42 best: a take-profit before the stop that price meets too",
        bars=[QUIET, QUIET, (100, 103, 94, 100)],
        signals={0: 1},
        rules={**STOP_5, **BEST},
        fills=[BOUGHT, Filled(2, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R42 best: an entry's stop is met in the walks, no nearer than its entry",
        # 100 and 85: 92.5 * 0.95 = 87.875, down to 87.5, which price had passed as it came to be.
        bars=[(85, 85, 85, 85), (100, 101, 100, 100), (100.5, 100.5, 100, 100.5),
              (100.5, 100.5, 84, 90)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, **FAR_TP, **LONG_WAIT, **BEST},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-long", 1, 85),
            Filled(3, "stop_loss", "P-long", 2, 85, "taker"),
        ],
    ),
    Scenario(
        "R42 worst: an entry of the other side before a take-profit",
        bars=[QUIET, (100, 101, 100, 101), (100.5, 103, 100.5, 102)],
        signals={0: 1, 1: -1},
        rules=WORST,
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-short", 1, 101),
            Filled(2, "take_profit", "P-long", 1, 102),
        ],
    ),
    Scenario(
        "R42 worst: a take-profit that the bar made and that its close touches fills last",
        bars=[QUIET, (101, 103, 100, 102)],
        signals={0: 1},
        rules=WORST,
        fills=[BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R42 worst: before an entry's liquidation the walk fills the take-profit it has passed",
        # 10 behind a long and a short of 100, a purchase at 95: the walks alone meet nothing. With
        # it 10 + (P - 100) + (P - 95) - (P - 100) = 0.012 * P at P = 85 / 0.988 = 86.03; the
        # short's 98 comes first and pays 2: 12 + 2 * (P - 97.5) = 0.008 * P, 183 / 1.992 = 91.87.
        bars=[(95, 95, 95, 95), (100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 100, 100),
              (100, 100, 85, 95)],
        signals={0: 1, 1: 1, 2: -1},
        rules={**TEN, **LONG_WAIT, **WORST, "take_profit_pct": 0.02},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-short", 1, 100),
            Filled(4, "entry", "P-long", 1, 95),
            Filled(4, "take_profit", "P-short", 1, 98),
            Filled(4, "liquidation", "P-long", 2, 183 / 1.992, "taker"),
        ],
    ),
    # ------------------------------------------------------------ path
    Scenario(
        "R42 path: the nearer high comes first, and the take-profit with it",
        bars=[QUIET, QUIET, (100, 103, 94, 100)],
        signals={0: 1},
        rules={**STOP_5, **PATH},
        fills=[BOUGHT, Filled(2, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R42 path: the nearer low comes first, and the stop with it",
        bars=[QUIET, QUIET, (98, 103, 94, 100)],
        signals={0: 1},
        rules={**STOP_5, **PATH},
        fills=[BOUGHT, Filled(2, "stop_loss", "P-long", 1, 95, "taker")],
    ),
    Scenario(
        "R42 path: equally near and a close above the open: the low first",
        bars=[QUIET, QUIET, (100, 106, 94, 101)],
        signals={0: 1},
        rules={**STOP_5, **PATH},
        fills=[BOUGHT, Filled(2, "stop_loss", "P-long", 1, 95, "taker")],
    ),
    Scenario(
        "R42 path: equally near and a close at the open: the low first",
        bars=[QUIET, QUIET, (100, 106, 94, 100)],
        signals={0: 1},
        rules={**STOP_5, **PATH},
        fills=[BOUGHT, Filled(2, "stop_loss", "P-long", 1, 95, "taker")],
    ),
    Scenario(
        "R42 path: equally near and a close below the open: the high first",
        bars=[QUIET, QUIET, (100, 106, 94, 99)],
        signals={0: 1},
        rules={**STOP_5, **PATH},
        fills=[BOUGHT, Filled(2, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R42 path: distances that differ by float dust are equal",
        # 100.3 - 100.1 is no more than 100.1 - 99.9: it closes lower, so the high comes first, and
        # on the way from the low to the close the take-profit (100.0998, up to 100.1) is not met.
        bars=[(100, 100, 99.9, 99.9), (100.1, 100.3, 99.9, 100)],
        signals={0: 1},
        rules={**PATH, "tick": 0.1, "take_profit_pct": 0.002},
        fills=[Filled(1, "entry", "P-long", 1, 99.9)],
    ),
    Scenario(
        "R42 path: an entry of the second stretch finds only the close before it",
        bars=[QUIET, (101, 102.5, 99, 101)],
        signals={0: 1},
        rules=PATH,
        fills=[BOUGHT],
    ),
    Scenario(
        "R42 path: an entry and its stop on one stretch",
        bars=[QUIET, (101, 110, 95, 100)],
        signals={0: 1},
        rules={**STOP_5, **PATH},
        fills=[BOUGHT, Filled(1, "stop_loss", "P-long", 1, 95, "taker")],
    ),
    Scenario(
        "R42 path: the take-profit on the way up, the sale above it, and its profit below",
        # Up to 103 (3 away), down to 96 (4 away): the sale at 103 takes 100.94, down to 100.5.
        bars=[(103, 103, 103, 103), QUIET, QUIET, (100, 103, 96, 97)],
        signals={0: -1, 1: 1},
        rules={**PATH, **LONG_WAIT},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "take_profit", "P-long", 1, 102),
            Filled(3, "entry", "P-short", 1, 103),
            Filled(3, "take_profit", "P-short", 1, 100.5),
        ],
    ),
    Scenario(
        "R42 path: at one price a stop, a limit exit, an entry",
        bars=[(98, 98, 98, 98), QUIET, QUIET, QUIET, (100, 101, 97.5, 98)],
        signals={0: 1, 1: 1, 2: -1},
        rules={**STOP_2, **PATH, **LONG_WAIT},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-short", 1, 100),
            Filled(4, "stop_loss", "P-long", 1, 98, "taker"),
            Filled(4, "take_profit", "P-short", 1, 98),
            Filled(4, "entry", "P-long", 1, 98),
        ],
    ),
    Scenario(
        "R42 path: liquidation where the second stretch meets it",
        bars=[QUIET, QUIET, (100, 101, 90, 95)],
        signals={0: 1},
        rules={**TEN, **PATH},
        fills=[BOUGHT, Filled(2, "liquidation", "P-long", 1, 90 / 0.996, "taker")],
        totals={"balance": 0.0, "liquidations": 1},
    ),
    Scenario(
        "R42 path: through, a limit is met a tick beyond, and filled at its price",
        # To 99.5 for the entry, to 102.5 for its take-profit of 102.
        bars=[QUIET, (100.5, 102.5, 99.5, 101)],
        signals={0: 1},
        rules={**PATH, **THROUGH},
        fills=[BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R42 path: through, the touch alone fills nothing",
        bars=[QUIET, (100.5, 102, 99.5, 101)],
        signals={0: 1},
        rules={**PATH, **THROUGH},
        fills=[BOUGHT],
    ),
)
