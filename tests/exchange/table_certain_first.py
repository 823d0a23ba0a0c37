"""Scenarios of what a bar surely tells: its open, its walks, its close (R11-R13, R15, R16, R23).

Each story is told for a long and, where that says more than a sign, for a short.
"""

from __future__ import annotations

from tests.exchange.scenario import FAR_TP, QUIET, STOP_5, Filled, Scenario

OWN_STOPS = {"tick": 0.01, "use_sl": True, "stop_loss_pct": 0.02}
STOP_2 = {"use_sl": True, "stop_loss_pct": 0.02}
LONG_WAIT = {"order_cancel_timeout": 36_000.0}
THROUGH = {"limit_fill": "through"}
AT_LIMIT = {"price_improvement": False}
# 10 behind a long contract of 100: 10 + (P - 100) = 0.004 * P at P = 90 / 0.996 = 90.36.
TEN = {"initial_balance": 10.0, "leverage": 50.0, "take_profit_pct": 0.5}
BOUGHT, SOLD = Filled(1, "entry", "P-long", 1, 100), Filled(1, "entry", "P-short", 1, 100)

OPEN = (
    # ------------------------------------------------------------ R13, step 3: the open
    Scenario(
        "R13 the open fills a take-profit before the bar falls to the stop",
        bars=[QUIET, QUIET, (103, 103, 94, 95)],
        signals={0: 1},
        rules=STOP_5,
        fills=[BOUGHT, Filled(2, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R13 the open fills a short's take-profit before the bar rises to the stop",
        bars=[QUIET, QUIET, (97, 106, 97, 105)],
        signals={0: -1},
        rules=STOP_5,
        fills=[SOLD, Filled(2, "take_profit", "P-short", 1, 98)],
    ),
    Scenario(
        "R13 a short's stop that the open is beyond fills there, before its take-profit",
        bars=[QUIET, QUIET, (106, 106, 97, 97)],
        signals={0: -1},
        rules=STOP_5,
        fills=[SOLD, Filled(2, "stop_loss", "P-short", 1, 106, "taker")],
    ),
    Scenario(
        "R13 at the open a stop comes before an entry, which does not join what it closed",
        # The stop of 100 lies at 95; the entry's limit of 99 gets the open (R15). Its stop: 89.3.
        bars=[QUIET, (100, 100, 99, 99), (94, 95, 90, 95)],
        signals={0: 1, 1: 1},
        rules=STOP_5,
        fills=[
            BOUGHT,
            Filled(2, "stop_loss", "P-long", 1, 94, "taker"),
            Filled(2, "entry", "P-long", 1, 94, "taker"),
        ],
    ),
    Scenario(
        "R13 at the open a limit exit comes before an entry",
        bars=[QUIET, (100, 101, 100, 101), (103, 103, 103, 103)],
        signals={0: 1, 1: -1},
        fills=[
            BOUGHT,
            Filled(2, "take_profit", "P-long", 1, 102),
            Filled(2, "entry", "P-short", 1, 103, "taker"),
        ],
    ),
    Scenario(
        "R13 at the open the older entry comes first, though price met the other's limit first",
        bars=[QUIET, (102, 102, 101, 101), (99, 101, 99, 101)],
        signals={0: 1, 1: 1},
        rules={**LONG_WAIT, **AT_LIMIT},
        fills=[Filled(2, "entry", "P-long", 1, 100), Filled(2, "entry", "P-long", 1, 101)],
    ),
    Scenario(
        "R13 at the open liquidation comes before a stop that the open is beyond too",
        # At 90 equity is 0, less than 0.36; the stop lies at 91.
        bars=[QUIET, QUIET, (90, 91, 90, 90)],
        signals={0: 1},
        rules={**TEN, "use_sl": True, "stop_loss_pct": 0.09},
        fills=[BOUGHT, Filled(2, "liquidation", "P-long", 1, 90, "taker")],
        totals={"balance": 0.0, "shortfall": 0.0, "liquidations": 1},
    ),
    Scenario(
        "R13 an open between stop and liquidation meets the stop",
        bars=[QUIET, QUIET, (90.5, 91, 90, 90)],
        signals={0: 1},
        rules={**TEN, "use_sl": True, "stop_loss_pct": 0.09},
        fills=[BOUGHT, Filled(2, "stop_loss", "P-long", 1, 90.5, "taker")],
        totals={"balance": 0.5, "liquidations": 0},
    ),
    Scenario(
        "R13 at the open liquidation is tested again after each stop",
        # Two sets of 100 with 20 behind them, worth 20 - 12 = 8 at 94. The first stop slips to
        # 94 * 0.9 = 84.6, down to 84.5: 20 - 15.5 - 6 = -1.5 is left for the other.
        bars=[QUIET, QUIET, QUIET, (94, 94, 94, 94)],
        signals={0: 1, 1: 1},
        rules={**TEN, **STOP_5, "initial_balance": 20.0, "slippage": 0.1, "position_set_size": 1},
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "S1", 1, 84.5, "taker"),
            Filled(3, "liquidation", "S2", 1, 94, "taker"),
        ],
        totals={"balance": 0.0, "shortfall": 1.5, "liquidations": 1},
    ),
    # ------------------------------------------------------------ R12: what the start makes
    Scenario(
        "R12 an entry of the open takes its profit in its bar",
        bars=[QUIET, (100, 103, 100, 101)],
        signals={0: 1},
        fills=[BOUGHT, Filled(1, "take_profit", "P-long", 1, 102)],
    ),
    Scenario(
        "R12 a short of the open, which beat its limit, takes its profit in its bar",
        # 101 * 0.98 = 98.98, down to 98.5.
        bars=[QUIET, (101, 101, 98.5, 100)],
        signals={0: -1},
        fills=[
            Filled(1, "entry", "P-short", 1, 101, "taker"),
            Filled(1, "take_profit", "P-short", 1, 98.5),
        ],
    ),
    Scenario(
        "R13 of the stop and the take-profit of an entry of the open the stop comes first",
        bars=[QUIET, (100, 103, 94, 100)],
        signals={0: 1},
        rules=STOP_5,
        fills=[BOUGHT, Filled(1, "stop_loss", "P-long", 1, 95, "taker")],
    ),
    Scenario(
        "R16 an entry of the open whose group's stop price is then beyond meets it at the open",
        # 100 and 120: average 110, stop 104.5; the open at 104 is beyond that one, not beyond 95.
        bars=[QUIET, (100, 120, 100, 120), (104, 120, 104, 120)],
        signals={0: 1, 1: 1},
        rules={**STOP_5, **FAR_TP, **AT_LIMIT},
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-long", 1, 120),
            Filled(2, "stop_loss", "P-long", 2, 104, "taker"),
        ],
    ),
    Scenario(
        "R16 a short of the open whose group's stop price is then beyond meets it at the open",
        # 100 and 80: average 90, stop 94.5; the open at 95 is beyond that one, not beyond 105.
        bars=[QUIET, (100, 100, 80, 80), (95, 95, 80, 80)],
        signals={0: -1, 1: -1},
        rules={**STOP_5, **FAR_TP, **AT_LIMIT},
        fills=[
            SOLD,
            Filled(2, "entry", "P-short", 1, 80),
            Filled(2, "stop_loss", "P-short", 2, 95, "taker"),
        ],
    ),
    Scenario(
        "R13 an entry of the open that leaves too little is liquidated there",
        bars=[QUIET, (90, 100, 90, 100)],
        signals={0: 1},
        rules={**TEN, **AT_LIMIT},
        fills=[BOUGHT, Filled(1, "liquidation", "P-long", 1, 90, "taker")],
        totals={"balance": 0.0, "shortfall": 0.0},
    ),
    Scenario(
        "R11, R12 the take-profit of an expired signal exit fills at that bar's open",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100.5, 100.5, 100, 100), (103, 103, 100, 100)],
        signals={0: 1, 2: 2},
        fills=[BOUGHT, Filled(4, "take_profit", "P-long", 1, 102)],
        totals={"orders_expired": 1},
    ),
    # ------------------------------------------------------------ R15 with through
    Scenario(
        "R15 through: an open beyond the limit by less than a tick fills later, at its price",
        # The open's 99.8 is no touch (99.5 is): so 99.8 * 1.02 = 101.8, up to 102, with its
        # touch at 102.5, waits for the next bar.
        bars=[QUIET, (99.8, 102.5, 99.5, 100), (100, 102.5, 100, 102)],
        signals={0: 1},
        rules=THROUGH,
        fills=[
            Filled(1, "entry", "P-long", 1, 99.8, "taker"),
            Filled(2, "take_profit", "P-long", 1, 102),
        ],
    ),
    Scenario(
        "R15 through: an open a tick beyond the limit fills at the open, before the rest",
        bars=[QUIET, (99.5, 102.5, 99.5, 100)],
        signals={0: 1},
        rules=THROUGH,
        # 99.5 * 1.02 = 101.49, up to 101.5: met at 102.
        fills=[
            Filled(1, "entry", "P-long", 1, 99.5, "taker"),
            Filled(1, "take_profit", "P-long", 1, 101.5),
        ],
    ),
)

WALKS = (
    # ------------------------------------------------------------ R13, step 4: entries and stops
    # 1 at 100 with its stop at 98, an entry at 99: price meets the entry first, and then both have
    # their stop at 99.5 * 0.98 = 97.51.
    Scenario(
        "R13 an entry that price meets before the stop moves the stop: both are held",
        bars=[QUIET, QUIET, (100, 100, 99, 99), (99.5, 99.5, 97.8, 98.5)],
        signals={0: 1, 2: 1},
        rules=OWN_STOPS,
        fills=[BOUGHT, Filled(3, "entry", "P-long", 1, 99)],
        totals={"equity": 1000 - 1.5 - 0.5},
    ),
    Scenario(
        "R13 the stop that an entry of the walk made is in the walk at once: both are sold",
        bars=[QUIET, QUIET, (100, 100, 99, 99), (99.5, 99.5, 97.3, 97.4)],
        signals={0: 1, 2: 1},
        rules=OWN_STOPS,
        fills=[
            BOUGHT,
            Filled(3, "entry", "P-long", 1, 99),
            Filled(3, "stop_loss", "P-long", 2, 97.51, "taker"),
        ],
        totals={"balance": 1000 - 2 * (99.5 - 97.51)},
    ),
    # A short of 100 with its stop at 102, a sale at 101: together 100.5 * 1.02 = 102.51.
    Scenario(
        "R13 a sale that price meets before a short's stop moves the stop: both are held",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100.5, 102.2, 100.5, 101.5)],
        signals={0: -1, 2: -1},
        rules=OWN_STOPS,
        fills=[SOLD, Filled(3, "entry", "P-short", 1, 101)],
    ),
    Scenario(
        "R13 a sale that price meets before a short's stop: both are bought back at the new one",
        bars=[QUIET, QUIET, (100, 101, 100, 101), (100.5, 102.7, 100.5, 101.5)],
        signals={0: -1, 2: -1},
        rules=OWN_STOPS,
        fills=[
            SOLD,
            Filled(3, "entry", "P-short", 1, 101),
            Filled(3, "stop_loss", "P-short", 2, 102.51, "taker"),
        ],
    ),
    Scenario(
        "R13 an entry below the stop comes after it, and has a stop of its own",
        # The limit of 97 is older than the contract of 100. 97 * 0.98 = 95.06, down to 95.
        bars=[(97, 97, 97, 97), (100, 101, 100, 100), (100.5, 100.5, 100, 100.5),
              (100.5, 100.5, 96, 96.5)],
        signals={0: 1, 1: 1},
        rules={**STOP_2, **FAR_TP, **LONG_WAIT},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "P-long", 1, 98, "taker"),
            Filled(3, "entry", "P-long", 1, 97),
        ],
    ),
    Scenario(
        "R13 of a stop and an entry at one price the stop comes first",
        bars=[(98, 98, 98, 98), (100, 101, 100, 100), (100.5, 100.5, 100, 100.5),
              (100.5, 100.5, 97, 97)],
        signals={0: 1, 1: 1},
        rules={**STOP_2, **FAR_TP, **LONG_WAIT},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "P-long", 1, 98, "taker"),
            Filled(3, "entry", "P-long", 1, 98),  # its stop: 96.04, down to 96
        ],
    ),
    # With through the entry's limit of 98.5 is met at 98, where the stop is.
    Scenario(
        "R13 touch: an entry half a tick before the stop comes first",
        # (100 + 98.5) / 2 * 0.98 = 97.265, down to 97.
        bars=[(98.5, 98.5, 98.5, 98.5), (100, 101, 100, 100), (100.5, 100.5, 99.5, 100.5),
              (100.5, 100.5, 97.5, 98)],
        signals={0: 1, 1: 1},
        rules={**STOP_2, **FAR_TP, **LONG_WAIT},
        fills=[Filled(2, "entry", "P-long", 1, 100), Filled(3, "entry", "P-long", 1, 98.5)],
    ),
    Scenario(
        "R13 through: an entry is met a tick beyond its limit, where the stop comes first",
        bars=[(98.5, 98.5, 98.5, 98.5), (100, 101, 100, 100), (100.5, 100.5, 99.5, 100.5),
              (100.5, 100.5, 97.5, 98)],
        signals={0: 1, 1: 1},
        rules={**STOP_2, **FAR_TP, **LONG_WAIT, **THROUGH},
        fills=[
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "stop_loss", "P-long", 1, 98, "taker"),
            Filled(3, "entry", "P-long", 1, 98.5),  # its stop: 96.53, down to 96.5
        ],
    ),
    Scenario(
        "R13 a walk meets entries and the stops of sets as they lie",
        # Stops at 110 * 0.95 = 104.5 and 105 * 0.95 = 99.75, down to 99.5.
        bars=[(110, 110, 110, 110), (110, 110, 110, 110), (110, 110, 105, 105), (106, 106, 99, 99)],
        signals={0: 1, 2: 1},
        rules={**STOP_5, **FAR_TP, "position_set_size": 1},
        fills=[
            Filled(1, "entry", "P-long", 1, 110),
            Filled(3, "entry", "P-long", 1, 105),
            Filled(3, "stop_loss", "S1", 1, 104.5, "taker"),
            Filled(3, "stop_loss", "S2", 1, 99.5, "taker"),
        ],
    ),
    Scenario(
        "R13 an entry that no stop follows waits for the take-profit",
        # Stop at 95, low 99: the take-profit of 102 closes what was held, then comes the entry.
        bars=[QUIET, QUIET, (100, 100, 99.5, 99.5), (100, 102, 99, 100)],
        signals={0: 1, 2: 1},
        rules=STOP_5,
        fills=[
            BOUGHT,
            Filled(3, "take_profit", "P-long", 1, 102),
            Filled(3, "entry", "P-long", 1, 99.5),
        ],
    ),
    # ------------------------------------------------------------ before a liquidation
    Scenario(
        "R13 an entry that price meets before the liquidation price is liquidated with the rest",
        # 10 behind 100 and 95: 10 + 2 * (P - 97.5) = 0.008 * P at P = 185 / 1.992 = 92.87.
        bars=[QUIET, QUIET, (100, 100, 95, 95), (96, 96, 90, 90)],
        signals={0: 1, 2: 1},
        rules=TEN,
        fills=[
            BOUGHT,
            Filled(3, "entry", "P-long", 1, 95),
            Filled(3, "liquidation", "P-long", 2, 185 / 1.992, "taker"),
        ],
        totals={"balance": 0.0, "shortfall": 0.0, "liquidations": 1},
    ),
    Scenario(
        "R16 a liquidation that only the entry brings on comes from the entry's price on",
        # The contract of 100 alone would stand 92.
        bars=[QUIET, QUIET, (100, 100, 95, 95), (96, 96, 92, 93)],
        signals={0: 1, 2: 1},
        rules=TEN,
        fills=[
            BOUGHT,
            Filled(3, "entry", "P-long", 1, 95),
            Filled(3, "liquidation", "P-long", 2, 185 / 1.992, "taker"),
        ],
    ),
    Scenario(
        "R13 a fall buys a short back before it liquidates",
        # 2 long, 1 short, 10 behind them: all at 10 + (P - 100) = 0.012 * P, 91.09. The short's 98
        # lies before it and pays 2: 12 + 2 * (P - 100) = 0.008 * P at P = 188 / 1.992 = 94.38.
        bars=[QUIET, QUIET, QUIET, QUIET, (100, 100, 90, 95)],
        signals={0: 1, 1: 1, 2: -1},
        rules={**TEN, "take_profit_pct": 0.02},
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-short", 1, 100),
            Filled(4, "take_profit", "P-short", 1, 98),
            Filled(4, "liquidation", "P-long", 2, 188 / 1.992, "taker"),
        ],
        totals={"balance": 0.0, "shortfall": 0.0},
    ),
    Scenario(
        "R13 a rise sells a long before it liquidates",
        # 2 short, 1 long: all at 10 - (P - 100) = 0.012 * P, 108.70. The long's 102 lies before it
        # and pays 2: 12 - 2 * (P - 100) = 0.008 * P at P = 212 / 2.008 = 105.58.
        bars=[QUIET, QUIET, QUIET, QUIET, (100, 110, 100, 105)],
        signals={0: -1, 1: -1, 2: 1},
        rules={**TEN, "take_profit_pct": 0.02},
        fills=[
            SOLD,
            Filled(2, "entry", "P-short", 1, 100),
            Filled(3, "entry", "P-long", 1, 100),
            Filled(4, "take_profit", "P-long", 1, 102),
            Filled(4, "liquidation", "P-short", 2, 212 / 2.008, "taker"),
        ],
        totals={"balance": 0.0, "shortfall": 0.0},
    ),
    Scenario(
        "R13 before a stop the walk leaves the other side's take-profit alone",
        # Down: the long's stop at 95. Up: nothing. Then the short's 98, which the fall passed.
        bars=[QUIET, QUIET, QUIET, (100, 100, 94, 95)],
        signals={0: 1, 1: -1},
        rules=STOP_5,
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-short", 1, 100),
            Filled(3, "stop_loss", "P-long", 1, 95, "taker"),
            Filled(3, "take_profit", "P-short", 1, 98),
        ],
    ),
    Scenario(
        "R13 a take-profit that lies before a stop fills at its limit once liquidation follows",
        # Two long sets, stops at 95, and a short, 22 behind them: on the way to 98 a stop is
        # next, so the short's 98 waits. Both stops slip to 95 * 0.9 = 85.5: 22 - 29 = -7 is left,
        # and with the short's open 5 it is less than 0.38: liquidation is next, at 95, where the
        # walk stands. Before it the short takes 2 at 98, which price met. 5 is forgiven.
        bars=[QUIET, QUIET, QUIET, QUIET, (100, 100, 94, 95)],
        signals={0: 1, 1: 1, 2: -1},
        rules={**TEN, **STOP_5, "take_profit_pct": 0.02, "initial_balance": 22.0,
               "position_set_size": 1, "slippage": 0.1},
        fills=[
            BOUGHT,
            Filled(2, "entry", "P-long", 1, 100),
            Filled(3, "entry", "P-short", 1, 100),
            Filled(4, "stop_loss", "S1", 1, 85.5, "taker"),
            Filled(4, "stop_loss", "S2", 1, 85.5, "taker"),
            Filled(4, "take_profit", "S3", 1, 98),
        ],
        totals={"balance": 0.0, "shortfall": 5.0, "liquidations": 0},
    ),
)
