"""Scenarios of exits and of the account: R11, R19, R22-R25."""

from __future__ import annotations

from tests.exchange.scenario import FAR_TP, QUIET, STOP_5, Filled, Scenario
from tests.helpers import HOUR_MS, NEW_YEAR_MS

DAY_MS = 24 * HOUR_MS
LONG_WAIT = {"order_cancel_timeout": 36_000.0}

SIGNAL_EXITS = (
    Scenario(
        "R11 a signal exit closes the Position at the close, in place of the take-profit",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100.5, 103, 100.5, 103)],
        signals={0: 1, 2: 2},
        fills=[Filled(1, "entry", "P-long", 1, 100), Filled(3, "signal_exit", "P-long", 1, 101)],
    ),
    Scenario(
        "R15 a signal exit fills at the open, as taker, when the next bar opens beyond",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (101.5, 103, 101, 103)],
        signals={0: 1, 2: 2},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(3, "signal_exit", "P-long", 1, 101.5, "taker"),
        ],
    ),
    Scenario(
        "R8 a signal exit is rounded away from the market: a short's down",
        bars=[QUIET, QUIET, (100, 100, 99.2, 99.4), (99.4, 99.4, 99.0, 99.3)],
        signals={0: -1, 2: -2},
        fills=[Filled(1, "entry", "P-short", 1, 100), Filled(3, "signal_exit", "P-short", 1, 99)],
    ),
    Scenario(
        "R11 after a signal exit has expired the take-profit is placed again, for that very bar",
        # Bar 4 begins with the expiry; what its start makes takes part in it (R12).
        bars=[
            QUIET, QUIET, (100, 101, 100, 101), (100.5, 100.5, 100, 100),
            (100, 103, 100, 100), (100, 102, 100, 102),
        ],
        signals={0: 1, 2: 2},
        fills=[Filled(1, "entry", "P-long", 1, 100), Filled(4, "take_profit", "P-long", 1, 102)],
        totals={"orders_expired": 1},
    ),
    Scenario(
        "R11 a stop stays while a signal exit works",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100.5, 100.5, 94, 101.5), (105, 105, 105, 105)],
        signals={0: 1, 2: 2},
        rules={**STOP_5, **LONG_WAIT},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "P-long", 1, 95, "taker"),
        ],
    ),
    Scenario(
        "R11 a newer signal exit replaces the older",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100, 100, 99, 99), (99, 99, 98.5, 99)],
        signals={0: 1, 2: 2, 3: 2},
        rules={**LONG_WAIT, **FAR_TP},
        fills=[Filled(1, "entry", "P-long", 1, 100), Filled(4, "signal_exit", "P-long", 1, 99)],
    ),
    Scenario(
        "R11 a signal exit closes whatever the Position holds when it fills",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100, 100, 99, 99), (99, 99, 98, 98.5),
              (100, 101, 100, 101)],
        signals={0: 1, 2: 2, 3: 1},
        rules=LONG_WAIT,
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(4, "entry", "P-long", 1, 99),
            Filled(5, "signal_exit", "P-long", 2, 101),
        ],
    ),
    Scenario(
        "R11 a signal exit is cancelled when its Position becomes a set",
        # The set's average is 99.5: its take-profit is at 101.49, up to 101.5.
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100, 100, 99, 99), (99, 99, 98, 98.5),
              (100, 101, 100, 101), (101, 101.5, 101, 101.5)],
        signals={0: 1, 2: 2, 3: 1},
        rules={**LONG_WAIT, "position_set_size": 2},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(4, "entry", "P-long", 1, 99),
            Filled(6, "take_profit", "S1", 2, 101.5),
        ],
    ),
    Scenario(
        "R11 a signal exit does not touch sets, and an empty Position wants nothing",
        bars=[QUIET, QUIET, QUIET, (100, 101, 100, 101)],
        signals={0: 1, 2: 2},
        rules={"position_set_size": 1},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"orders_expired": 0},
    ),
    Scenario(
        "R5 signal 2 does not close shorts",
        bars=[QUIET, QUIET, QUIET, QUIET],
        signals={0: -1, 2: 2},
        fills=[Filled(1, "entry", "P-short", 1, 100)],
    ),
)

TAKE_PROFITS = (
    Scenario(
        "R19 the take-profit is replaced when its group grows, and lies at the average",
        # (100 + 104) / 2 * 1.1 = 112.2, up to 112.5; of the first entry alone it was 110.
        bars=[QUIET, (100, 104, 100, 104), (104, 109, 104, 109), (109, 112.5, 109, 112)],
        signals={0: 1, 1: 1},
        rules={"take_profit_pct": 0.1, "price_improvement": False},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 104),
            Filled(3, "take_profit", "P-long", 2, 112.5),
        ],
    ),
    Scenario(
        "R19 an inverse average is harmonic: 2 / (1/100 + 1/104) = 101.96",
        # 101.9607... * 1.1 = 112.157, up to 112.16; the arithmetic mean would give 112.2.
        bars=[QUIET, (100, 104, 100, 104), (104, 104, 104, 104), (104, 113, 104, 113)],
        signals={0: 1, 1: 1},
        rules={
            "contract": "inverse", "contract_size": 100.0, "position_size": 1.0,
            "initial_balance": 100.0, "tick": 0.01, "take_profit_pct": 0.1,
        },
        # 1 coin is 1 contract at 100; 1.04 at 104, cut down to 1.
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 104),
            Filled(3, "take_profit", "P-long", 2, 112.16),
        ],
    ),
    Scenario(
        "R19 use_tp false leaves the take-profit out",
        bars=[QUIET, QUIET, (100, 110, 100, 110)],
        signals={0: 1},
        rules={"use_tp": False},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R19 a stop_loss_pct of 1 leaves the stop out",
        bars=[QUIET, QUIET, (100, 100, 1, 1)],
        signals={0: 1},
        rules={"use_sl": True, "stop_loss_pct": 1.0},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
    ),
    Scenario(
        "R8 a short's take-profit is rounded down and its stop up",
        # 100.5 * 0.98 = 98.49 -> 98.0; 100.5 * 1.05 = 105.525 -> 106.0.
        bars=[
            (100, 100, 100, 100.5), (100.5, 100.5, 100, 100.5), (100, 100, 98.4, 100),
            (100, 105.9, 100, 100), (100, 106, 100, 100),
        ],
        signals={0: -1},
        rules=STOP_5,
        fills=[
            Filled(1, "entry", "P-short", 1, 100.5),
            Filled(4, "stop_loss", "P-short", 1, 106, "taker"),
        ],
    ),
)

FUNDING = (
    Scenario(
        "R22 a bar of a day pays every funding time within it, at its open",
        bars=[QUIET, QUIET, (110, 110, 101, 101)],
        signals={0: 1},
        rules={
            "timeframe_ms": DAY_MS,
            **FAR_TP,
            "funding": tuple((NEW_YEAR_MS + 2 * DAY_MS + hour * HOUR_MS, 0.001)
                             for hour in (0, 8, 16)),
        },
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"funding_paid": 3 * 0.001 * 110, "balance": 1000 - 3 * 0.001 * 110},
    ),
    Scenario(
        "R22 a short receives a positive rate, and nothing is due at the bar's end",
        bars=[QUIET, QUIET, QUIET],
        signals={0: -1},
        rules={"funding": ((NEW_YEAR_MS + 3 * HOUR_MS - 1, 0.01), (NEW_YEAR_MS + 3 * HOUR_MS, 1))},
        fills=[Filled(1, "entry", "P-short", 1, 100)],
        totals={"funding_paid": -0.01 * 100},
    ),
    Scenario(
        "R22 a take-profit in the bar pays its funding first",
        bars=[QUIET, QUIET, (100, 102, 100, 102)],
        signals={0: 1},
        rules={"funding": ((NEW_YEAR_MS + 2 * HOUR_MS, 0.01),)},
        fills=[Filled(1, "entry", "P-long", 1, 100), Filled(2, "take_profit", "P-long", 1, 102)],
        totals={"funding_paid": 1.0, "balance": 1000 + 2 - 1, "funding_late": 0},
    ),
    Scenario(
        "R22 what is due in a hole of the bars is paid at the open of the first bar after it",
        # Bars open at 0, 1, 2 and 20 h. Held from 1 h on; due at 8 h and 16 h, and at 20 h on time.
        bars=[QUIET, QUIET, QUIET, (110, 110, 110, 110)],
        times=(0, 1, 2, 20),
        signals={0: 1},
        rules={
            **FAR_TP,
            "funding": tuple((NEW_YEAR_MS + hour * HOUR_MS, rate) for hour, rate in
                             ((-8, 1), (0, 1), (8, 0.001), (16, 0.002), (20, 0.004), (24, 1))),
        },
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"funding_paid": 0.007 * 110, "funding_late": 2, "balance": 1000 - 0.77},
    ),
    Scenario(
        "R22 an entry that fills in the bar after a hole pays nothing for the hole",
        bars=[QUIET, QUIET],
        times=(0, 9),
        signals={0: 1},
        rules={"order_cancel_timeout": 36_000.0, "funding": ((NEW_YEAR_MS + 8 * HOUR_MS, 0.01),)},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"funding_paid": 0.0, "funding_late": 0},
    ),
    Scenario(
        "R13, R22 an order expires before what was due in the hole is paid, liquidation after it",
        # 10 behind a long contract of 100: after 9.7 of funding, 0.3 is less than 0.4.
        bars=[QUIET, QUIET, QUIET],
        times=(0, 1, 9),
        signals={0: 1, 1: 1},
        rules={"initial_balance": 10.0, "leverage": 100.0, "take_profit_pct": 0.5,
               "liquidation_fee_rate": 0.0, "funding": ((NEW_YEAR_MS + 8 * HOUR_MS, 0.097),)},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, 100, "taker"),
        ],
        totals={"orders_expired": 1, "liquidations": 1, "funding_late": 1, "balance": 0.3},
    ),
)

# A long contract of 100 with 10 behind it: 10 + (P - 100) = 0.004 * P at P = 90 / 0.996.
TEN = {"initial_balance": 10.0, "leverage": 20.0, "take_profit_pct": 0.5}
LIQUIDATED_AT = 90 / 0.996

LIQUIDATION = (
    Scenario(
        "R23 liquidation is at the price where the condition first holds, off the tick",
        bars=[QUIET, QUIET, (100, 100, 90, 95)],
        signals={0: 1},
        rules=TEN,
        # The fee, 0.004 of notional, is all that was left there.
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, LIQUIDATED_AT, "taker"),
        ],
        totals={"liquidations": 1, "balance": 0.0, "shortfall": 0.0,
                "fees_paid": 0.004 * LIQUIDATED_AT},
    ),
    Scenario(
        "R23 the liquidation fee is capped at what is left",
        bars=[QUIET, QUIET, (100, 100, 90, 95)],
        signals={0: 1},
        rules={**TEN, "liquidation_fee_rate": 0.03},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, LIQUIDATED_AT, "taker"),
        ],
        totals={"balance": 0.0, "shortfall": 0.0, "fees_paid": 0.004 * LIQUIDATED_AT},
    ),
    Scenario(
        "R23 without a liquidation fee the maintenance margin is left, and trading goes on",
        # 0.004 * 90 / 0.996 = 0.361... is left: too little for another contract.
        bars=[QUIET, QUIET, (100, 100, 90, 95), (95, 95, 95, 95)],
        signals={0: 1, 2: 1},
        rules={**TEN, "liquidation_fee_rate": 0.0},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, LIQUIDATED_AT, "taker"),
        ],
        totals={"balance": 0.004 * LIQUIDATED_AT, "refused": {"margin": 1}},
    ),
    Scenario(
        "R23 a gap beyond liquidates at the open, and what is missing is forgiven",
        bars=[QUIET, QUIET, (80, 81, 79, 80), (80, 80, 80, 80)],
        signals={0: 1},
        rules=TEN,
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, 80, "taker"),
        ],
        totals={"balance": 0.0, "equity": 0.0, "shortfall": 20.0 - 10.0, "liquidations": 1},
    ),
    Scenario(
        "R13 a stop that price meets first saves the position",
        bars=[QUIET, QUIET, (100, 100, 90, 95)],
        signals={0: 1},
        rules={**TEN, "use_sl": True, "stop_loss_pct": 0.09},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "stop_loss", "P-long", 1, 91, "taker"),
        ],
        totals={"liquidations": 0, "balance": 1.0},
    ),
    Scenario(
        "R13 a stop beyond the liquidation comes too late",
        bars=[QUIET, QUIET, (100, 100, 85, 95)],
        signals={0: 1},
        rules={**TEN, "use_sl": True, "stop_loss_pct": 0.1},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, LIQUIDATED_AT, "taker"),
        ],
        totals={"liquidations": 1},
    ),
    Scenario(
        "R13 liquidation and stop at one price: liquidation first",
        # Without maintenance the account ends at 90, where the stop is.
        bars=[QUIET, QUIET, (100, 100, 85, 95)],
        signals={0: 1},
        rules={**TEN, "use_sl": True, "stop_loss_pct": 0.1, "maintenance_margin_rate": 0.0},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "liquidation", "P-long", 1, 90, "taker"),
        ],
        totals={"liquidations": 1, "shortfall": 0.0},
    ),
    Scenario(
        "R13 liquidation is solved again after a stop",
        # Sets at 100 and 100 with stops at 95; both stop, 20 - 2 * 5 = 10 is left.
        bars=[QUIET, QUIET, QUIET, (100, 100, 80, 95)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, **FAR_TP, "initial_balance": 20.0, "leverage": 20.0,
               "position_set_size": 1},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "S1", 1, 95, "taker"),
            Filled(3, "stop_loss", "S2", 1, 95, "taker"),
        ],
        totals={"liquidations": 0, "balance": 10.0},
    ),
    Scenario(
        "R16 after an entry, liquidation is tested against the bar's adverse end",
        bars=[QUIET, (100, 100, 90, 100)],
        signals={0: 1},
        rules=TEN,
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(1, "liquidation", "P-long", 1, LIQUIDATED_AT, "taker"),
        ],
    ),
    Scenario(
        "R23 at the close: the hedge takes its profit and leaves the other leg alone",
        # Both legs at 100 lose nothing on the way down; the short takes 2, the long loses 20.
        bars=[QUIET, QUIET, QUIET, (100, 100, 80, 80)],
        signals={0: 1, 1: -1},
        rules={**TEN, "take_profit_pct": 0.02},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-short", 1, 100),
            Filled(3, "take_profit", "P-short", 1, 98),
            Filled(3, "liquidation", "P-long", 1, 80, "taker"),
        ],
        totals={"shortfall": 20.0 - 2.0 - 10.0, "liquidations": 1},
    ),
    Scenario(
        "R23 closes long sets by birth, the long Position, then the short; and cancels all orders",
        # A working long entry at 99 would have filled after the gap.
        bars=[QUIET, QUIET, QUIET, QUIET, (100, 101, 99, 99), (50, 50, 40, 50)],
        signals={0: 1, 1: 1, 2: 1, 3: -1, 4: 1},
        rules={**FAR_TP, "initial_balance": 25.0, "leverage": 20.0, "position_set_size": 2},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-long", 1, 100),
            Filled(4, "entry", "P-short", 1, 100),
            Filled(5, "liquidation", "S1", 2, 50, "taker"),
            Filled(5, "liquidation", "P-long", 1, 50, "taker"),
            Filled(5, "liquidation", "P-short", 1, 50, "taker"),
        ],
        totals={"liquidations": 1, "shortfall": 150.0 - 50.0 - 25.0, "orders_expired": 0},
    ),
    Scenario(
        "R23 a stop that slips past the account's end is forgiven too",
        bars=[QUIET, QUIET, (100, 100, 94, 95)],
        signals={0: 1},
        rules={**TEN, **STOP_5, "slippage": 0.1},
        # 95 * 0.9 = 85.5: a loss of 14.5 with 10 to pay it.
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "stop_loss", "P-long", 1, 85.5, "taker"),
        ],
        totals={"liquidations": 0, "shortfall": 4.5, "balance": 0.0},
    ),
)

END = (
    Scenario(
        "R24 open groups stay open and are marked at the last close",
        bars=[QUIET, QUIET, (100, 101, 100, 101)],
        signals={0: 1},
        fills=[Filled(1, "entry", "P-long", 1, 100)],
        totals={"balance": 1000.0, "equity": 1001.0},
    ),
    Scenario(
        "R24 close_at_end closes in R23's order, as taker, and the last bar shows it",
        bars=[QUIET, QUIET, QUIET, QUIET, (100, 101, 100, 101)],
        signals={0: 1, 1: 1, 2: 1, 3: -1},
        rules={"position_set_size": 2, "close_at_end": True, "taker": 0.001},
        fills=[
            Filled(1, "entry", "P-long", 1, 100),
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-long", 1, 100),
            Filled(4, "entry", "P-short", 1, 100),
            Filled(4, "close_at_end", "S1", 2, 101, "taker"),
            Filled(4, "close_at_end", "P-long", 1, 101, "taker"),
            Filled(4, "close_at_end", "P-short", 1, 101, "taker"),
        ],
        totals={"balance": 1000 + 2 - 4 * 0.001 * 101, "equity": 1000 + 2 - 4 * 0.001 * 101},
    ),
)

# 10 contracts of 100 against a balance of 1000: 5 below is 5 % of the day's first equity.
TEN_COINS = {"position_size": 10.0, "daily_loss_limit_pct": 0.05, **FAR_TP}
RECOVERED = [QUIET] * 12

DAILY_LOSS = (
    Scenario(
        "R25 a lost day refuses entries until the next local day, though it recovers",
        # In Seoul bar 14 opens at 23:00 and bar 15 at midnight.
        bars=[QUIET, QUIET, (100, 100, 95, 95), *RECOVERED, QUIET, QUIET],
        signals={0: 1, 2: -1, 3: 1, 14: 1, 15: 1},
        rules={**TEN_COINS, "timezone": "Asia/Seoul"},
        fills=[Filled(1, "entry", "P-long", 10, 100), Filled(16, "entry", "P-long", 10, 100)],
        totals={"refused": {"daily_loss": 3}},
    ),
    Scenario(
        "R25 in UTC the same day goes on",
        bars=[QUIET, QUIET, (100, 100, 95, 95), *RECOVERED, QUIET, QUIET],
        signals={0: 1, 2: -1, 3: 1, 14: 1, 15: 1},
        rules=TEN_COINS,
        fills=[Filled(1, "entry", "P-long", 10, 100)],
        totals={"refused": {"daily_loss": 4}},
    ),
    Scenario(
        "R25 less than the limit is not enough",
        bars=[QUIET, QUIET, (100, 100, 95.5, 95.5), QUIET],
        signals={0: 1, 2: -1},
        rules=TEN_COINS,
        fills=[
            Filled(1, "entry", "P-long", 10, 100),
            Filled(3, "entry", "P-short", 10, 100, "taker"),
        ],
        totals={"refused": {}},
    ),
    Scenario(
        "R25 exits go on",
        bars=[QUIET, QUIET, (100, 100, 95, 95), (95, 96, 95, 96)],
        signals={0: 1, 2: 2},
        rules=TEN_COINS,
        fills=[Filled(1, "entry", "P-long", 10, 100), Filled(3, "signal_exit", "P-long", 10, 95)],
    ),
)
