"""Scenarios of entries and of the order of events in a bar: R8-R10, R12-R16, R18."""

from __future__ import annotations

from tests.exchange.scenario import FAR_TP, QUIET, STOP_5, Filled, Scenario
from tests.helpers import HOUR_MS

ENTRIES = (
    # ------------------------------------------------------------ R8, R9: the entry's limit
    Scenario(
        "R9 an entry is a limit order at the signal's close",
        bars=[QUIET, (101, 102, 100, 101)],
        signals={0: 1},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R8 a buy is rounded down and a sell up, away from the market",
        bars=[(100, 101, 100, 100.3), (100.3, 100.3, 100.0, 100.3), (100.3, 100.5, 100.3, 100.4)],
        signals={0: 1, 1: -1},
        fills=[Filled(1, "entry", "P-long", 1, 100.0), Filled(2, "entry", "P-short", 1, 100.5)],
    ),
    Scenario(
        "R7 an inverse entry holds position_size * limit / contract_size contracts, cut to lots",
        bars=[(250, 250, 250, 250), (250, 250, 250, 250)],
        signals={0: 1},
        # 3 coins * 250 / 100 = 7.5 contracts: 7 lots.
        rules={"contract": "inverse", "contract_size": 100.0, "position_size": 3.0},
        fills=[Filled(1, "entry", "P-long", 7, 250)],
    ),
    # ------------------------------------------------------------ R9: refusals
    Scenario(
        "R9 sets_full comes before max_concurrent",
        bars=[QUIET] * 3,
        signals={0: 1, 1: 1},
        rules={"position_set_size": 1, "max_long_set": 1, "max_concurrent_positions": 1},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"refused": {"sets_full": 1}},
    ),
    Scenario(
        "R9 max_concurrent counts the sets of both sides",
        bars=[QUIET] * 3,
        signals={0: 1, 1: -1},
        rules={"position_set_size": 1, "max_concurrent_positions": 1},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"refused": {"max_concurrent": 1}},
    ),
    Scenario(
        "R9 less than min_contracts is refused",
        bars=[QUIET] * 2,
        signals={0: 1},
        rules={"min_contracts": 2.0},
        fills=[],
        totals={"refused": {"min_size": 1}},
    ),
    Scenario(
        "R7 an entry cut down to no lot at all is refused",
        bars=[QUIET] * 2,
        signals={0: 1},
        rules={"position_size": 0.4},
        fills=[],
        totals={"refused": {"min_size": 1}},
    ),
    Scenario(
        "R20 the margin of working entries is not available to the next",
        # 150 - 100 (the first order) < 100 (the second); bar 1 does not fill the first.
        bars=[QUIET, (101, 101, 101, 101), (101, 101, 101, 101)],
        signals={0: 1, 1: 1},
        rules={"leverage": 1.0, "initial_balance": 150.0, "order_cancel_timeout": 7200.0},
        fills=[],
        totals={"refused": {"margin": 1}},
    ),
    Scenario(
        "R20 an entry may take the whole available balance",
        bars=[QUIET] * 2,
        signals={0: 1},
        rules={"leverage": 1.0, "initial_balance": 100.0, "maintenance_margin_rate": 0.0},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"refused": {}},
    ),
    # ------------------------------------------------------------ R10: expiry
    Scenario(
        "R10 an entry of 3600 s can fill in the next hour only",
        bars=[QUIET, (101, 102, 101, 101), (101, 101, 100, 100)],
        signals={0: 1},
        fills=[],
        totals={"orders_expired": 1},
    ),
    Scenario(
        "R10 a bar that opens exactly at the timeout cannot fill",
        bars=[QUIET, (101, 101, 101, 101), (101, 101, 101, 101), (101, 101, 99, 101)],
        signals={0: 1},
        rules={"order_cancel_timeout": 7200.0},
        fills=[],
        totals={"orders_expired": 1},
    ),
    Scenario(
        "R10 a bar that opens a second before the timeout is tried whole",
        bars=[QUIET, (101, 101, 101, 101), (101, 101, 101, 101), (101, 101, 99, 101)],
        signals={0: 1},
        rules={"order_cancel_timeout": 7201.0},
        fills=[Filled(3, "entry", "P-long", 1, 100)],
        totals={"orders_expired": 0},
    ),
    Scenario(
        "R10 a timeout shorter than a bar still tries the next bar",
        bars=[QUIET, (101, 101, 100, 101)],
        signals={0: 1},
        rules={"order_cancel_timeout": 1.0},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R10 a hole in the bars lets an entry expire before the next one",
        bars=[QUIET, (101, 101, 99, 101)],
        times=[0, 3],
        signals={0: 1},
        fills=[],
        totals={"orders_expired": 1},
    ),
    # ------------------------------------------------------------ R12
    Scenario(
        "R12 what is entered after the open takes no profit within its bar",
        # The bar's close, 101, comes after the entry and does not touch (R13, step 7).
        bars=[QUIET, (101, 103, 100, 101), (103, 103, 103, 103)],
        signals={0: 1},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "take_profit", "P-long", 1, 102),  # 100 * 1.02
        ],
    ),
    # ------------------------------------------------------------ R13: the order of events
    Scenario(
        "R13 a stop comes before a take-profit in one bar",
        bars=[QUIET, QUIET, (100, 103, 94, 100)],
        signals={0: 1},
        rules=STOP_5,
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "stop_loss", "P-long", 1, 95, "taker"),
        ],
    ),
    Scenario(
        "R13 a take-profit comes before an entry in one bar",
        bars=[QUIET, (100, 101, 100, 101), (100.5, 103, 100.5, 102)],
        signals={0: 1, 1: -1},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "take_profit", "P-long", 1, 102),
            Filled(2, "entry", "P-short", 1, 101),
        ],
    ),
    Scenario(
        "R13 the walk down comes before the walk up",
        bars=[QUIET, QUIET, QUIET, (100, 106, 94, 100)],
        signals={0: -1, 1: 1},
        rules=STOP_5,
        fills=[
            Filled(1, "entry", "P-short", 1, 100),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "P-long", 1, 95, "taker"),
            Filled(3, "stop_loss", "P-short", 1, 105, "taker"),
        ],
    ),
    Scenario(
        "R13 stops come in the order in which price meets them",
        # Two sets, stops at 95 and 110 * 0.95 = 104.5.
        bars=[QUIET, (100, 110, 100, 110), (110, 110, 110, 110), (110, 110, 94, 94)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, **FAR_TP, "position_set_size": 1},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 110),
            Filled(3, "stop_loss", "S2", 1, 104.5, "taker"),
            Filled(3, "stop_loss", "S1", 1, 95, "taker"),
        ],
    ),
    Scenario(
        "R13 of stops at one price the older comes first",
        bars=[QUIET, QUIET, QUIET, (100, 100, 94, 94)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, "position_set_size": 1},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "S1", 1, 95, "taker"),
            Filled(3, "stop_loss", "S2", 1, 95, "taker"),
        ],
    ),
    # ------------------------------------------------------------ R14: touch and through
    Scenario(
        "R14 touch: a tick above the limit does not fill a buy",
        bars=[QUIET, (101, 101, 100.5, 101)],
        signals={0: 1},
        fills=[],
    ),
    Scenario(
        "R14 through: a touch does not fill",
        bars=[QUIET, (101, 101, 100, 101)],
        signals={0: 1},
        rules={"limit_fill": "through"},
        fills=[],
    ),
    Scenario(
        "R14 through: a tick beyond fills, at the limit",
        bars=[QUIET, (101, 101, 99.5, 101)],
        signals={0: 1},
        rules={"limit_fill": "through"},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R14 through with tick 0: a touch does not fill, a hair beyond does",
        bars=[QUIET, (100.5, 100.5, 100, 100), (100, 100.000001, 100, 100)],
        signals={0: 1, 1: -1},
        rules={"limit_fill": "through", "tick": 0.0},
        fills=[Filled(2, "entry", "P-short", 1, 100)],
    ),
    Scenario(
        "R14 through with a tick that floats cannot hold: 100.1 - 0.1 is 100",
        bars=[(100, 101, 100, 100.1), (101, 101, 100, 101)],
        signals={0: 1},
        rules={"limit_fill": "through", "tick": 0.1},
        fills=[Filled(1, "entry", "P-long", 1, 100.1)],
    ),
    # ------------------------------------------------------------ R15: the fill's price
    Scenario(
        "R15 an entry fills at the open, as taker, when the next bar opens beyond its limit",
        bars=[QUIET, (99, 100, 98.5, 100)],
        signals={0: 1},
        fills=[Filled(1, "entry", "P-long", 1, 99, "taker")],
    ),
    Scenario(
        "R15 without price improvement it fills at its limit, as maker",
        bars=[QUIET, (99, 100, 98.5, 100)],
        signals={0: 1},
        rules={"price_improvement": False},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R15 an open at the limit is not beyond it",
        bars=[QUIET, (100, 100, 98.5, 100)],
        signals={0: 1},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R15 only the bar right after the signal improves the price",
        bars=[QUIET, (101, 101, 101, 101), (99, 99, 98.5, 99)],
        signals={0: 1},
        rules={"order_cancel_timeout": 7200.0},
        fills=[Filled(2, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R15 a take-profit fills at its limit though the bar opens beyond",
        bars=[QUIET, QUIET, (105, 105, 105, 105)],
        signals={0: 1},
        fills=[Filled(1, "entry", "P-long", 1, 100), Filled(2, "take_profit", "P-long", 1, 102)],
    ),
    # ------------------------------------------------------------ R16: stops
    Scenario(
        "R16 a gap through a stop fills at the open",
        bars=[QUIET, QUIET, (93, 94, 92, 93)],
        signals={0: 1},
        rules=STOP_5,
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "stop_loss", "P-long", 1, 93, "taker"),
        ],
    ),
    Scenario(
        "R16 slippage moves a stop against the trader, and on to the tick",
        bars=[QUIET, QUIET, (100, 100, 94, 95), QUIET, QUIET, (100, 106, 100, 105)],
        signals={0: 1, 3: -1},
        rules={**STOP_5, "slippage": 0.01},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "stop_loss", "P-long", 1, 94.0, "taker"),  # 95 * 0.99 = 94.05
            Filled(4, "entry", "P-short", 1, 100),
            Filled(5, "stop_loss", "P-short", 1, 106.5, "taker"),  # 105 * 1.01 = 106.05
        ],
    ),
    Scenario(
        "R16 an entry's own stop is tested in its bar, against the bar's adverse end",
        bars=[QUIET, (101, 101, 95, 101)],
        signals={0: 1},
        rules=STOP_5,
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(1, "stop_loss", "P-long", 1, 95, "taker"),
        ],
    ),
    Scenario(
        "R16 after a short entry the adverse end is the high",
        bars=[QUIET, (99, 105, 90, 99)],
        signals={0: -1},
        rules=STOP_5,
        fills=[
            Filled(1, "entry", "P-short", 1, 100),
            Filled(1, "stop_loss", "P-short", 1, 105, "taker"),
        ],
    ),
    Scenario(
        "R16 it is the stop as replaced by the fill",
        # Entries at 100 and 108: average 104, stop 98.8 -> 98.5; the old one was at 95.
        bars=[QUIET, (100, 108, 100, 108), (109, 109, 98, 109)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, **FAR_TP},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 108),
            Filled(2, "stop_loss", "P-long", 2, 98.5, "taker"),
        ],
    ),
    Scenario(
        "R16 an entry that makes a set meets the set's stop in its bar",
        bars=[QUIET, (100, 108, 100, 108), (109, 109, 98, 109)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, **FAR_TP, "position_set_size": 2},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 108),
            Filled(2, "stop_loss", "S1", 2, 98.5, "taker"),
        ],
    ),
    # ------------------------------------------------------------ R18: sets
    Scenario(
        "R18 the entry that fills a Position is recorded under it, the exit under its set",
        bars=[QUIET, QUIET, QUIET, (100, 102, 100, 102)],
        signals={0: 1, 1: 1},
        rules={"position_set_size": 2},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "take_profit", "S1", 2, 102),
        ],
    ),
    Scenario(
        "R18 entries of a side that is full stay in the Position until an entry fills again",
        # Both entries are placed before the first fills; bar 2 opens beyond both, so that the
        # older comes first. S1 takes its profit in bar 3, yet the Position becomes S2 only with
        # the entry of bar 5, and then with both Transactions.
        bars=[
            QUIET, (102, 102, 101, 101), (99.5, 101, 99, 101),
            (101, 102, 101, 101), QUIET, QUIET, (100, 103, 100, 103),
        ],
        signals={0: 1, 1: 1, 4: 1},
        rules={
            "position_set_size": 1, "max_long_set": 1, "order_cancel_timeout": 7200.0,
            "price_improvement": False,
        },
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 101),
            Filled(3, "take_profit", "S1", 1, 102),
            Filled(5, "entry", "P-long", 1, 100),
            Filled(6, "take_profit", "S2", 2, 103),  # 100.5 * 1.02 = 102.51, up to the tick
        ],
    ),
    Scenario(
        "R18 with no sets allowed, entries are refused as sets_full",
        bars=[QUIET] * 2,
        signals={0: 1},
        rules={"max_long_set": 0},
        fills=[],
        totals={"refused": {"sets_full": 1}},
    ),
    # ------------------------------------------------------------ the first CryptoSim's habits
    Scenario(
        "entry_fill signal_close fills in the signal's bar, at its limit, as maker",
        bars=[(100, 101, 90, 100), (100, 102, 100, 102)],
        signals={0: 1},
        # R16's second half does not apply: the low of 90 came before.
        rules={**STOP_5, "entry_fill": "signal_close"},
        fills=[Filled(0, "entry", "P-long", 1, 100), Filled(1, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "linear_pnl cryptosim values a profit at n * cs * entry * (exit - entry) / exit",
        bars=[QUIET, QUIET, (100, 102, 100, 102)],
        signals={0: 1},
        rules={"linear_pnl": "cryptosim"},
        fills=[Filled(1, "entry", "P-long", 1, 100), Filled(2, "take_profit", "P-long", 1, 102)],
        totals={"balance": 1000 + 100 * (102 - 100) / 102},
    ),
    Scenario(
        "R22 funding before the first fill of a bar does not touch an entry of that bar",
        bars=[QUIET, QUIET, QUIET],
        signals={0: 1},
        rules={"funding": ((1_735_689_600_000 + HOUR_MS, 0.01),)},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"funding_paid": 0.0, "balance": 1000.0},
    ),
)
