"""March 2020 with margin modes, tiers and minutes: no run owes, liquidations are where solved."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import Result
from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers, Tier
from cryptosim_bt.accounting.money import Holding
from cryptosim_bt.backtest.prepare import Prepared
from cryptosim_bt.broker.commission import FuturesCommission
from tests.exchange_runs import assert_money_is_kept, exchange_run, outcome
from tests.helpers import HOUR_MS, PLAIN, Bar, changed, require_data

pytestmark = pytest.mark.usefixtures("quiet_framework")

LEVERAGES = (3, 5, 10, 20, 50, 100)
TAKER = 0.0005
GROUPS = {"long": 1, "short": 2}


def bars_of(table: pd.DataFrame) -> list[Bar]:
    times = pd.DatetimeIndex(table["time"]).as_unit("ms").asi8.tolist()
    prices = table[["open", "high", "low", "close"]].to_numpy(float).tolist()
    return [(time, *row) for time, row in zip(times, prices, strict=True)]


@pytest.fixture(scope="module")
def hours_of_march() -> list[Bar]:
    """Return the hours of 2020-03-05 to 2020-03-20 UTC of BitMEX XBTUSD: 9,150 down to 3,600."""
    table = pd.read_csv(require_data("bitmex_XBTUSD_1h.csv.gz"))
    table["time"] = pd.to_datetime(table["timestamp"], utc=True)
    chosen = (table["time"] >= "2020-03-05") & (table["time"] < "2020-03-20")
    return bars_of(table[chosen])


@pytest.fixture(scope="module")
def minutes_of_the_crash() -> list[Bar]:
    """Return the minutes of 2020-03-12 and 13 UTC of BitMEX XBTUSD."""
    path = require_data("bitmex_XBTUSD_1m.parquet")
    first, end = (pd.Timestamp(day, tz="UTC").value // 1_000_000
                  for day in ("2020-03-12", "2020-03-14"))  # fmt: skip
    table = pd.read_parquet(
        path, filters=[("timestamp", ">=", first), ("timestamp", "<", end)]
    )
    table["time"] = pd.to_datetime(table["timestamp"], unit="ms", utc=True)
    return bars_of(table)


def tiers_of(form: str, unit: float) -> MaintenanceTiers:
    """Return tiers whose edges the positions of the storm pass; ``unit`` is one entry's size."""
    if form == "one rate":
        return MaintenanceTiers.single(0.004)
    if form == "contracts":
        steps = ((0.0, 0.004), (1.5, 0.005), (3.5, 0.0075))
        return MaintenanceTiers("contracts", tuple(Tier(at * unit, rate) for at, rate in steps))
    return MaintenanceTiers.by_notional(
        [(0.0, 0.004), (1.2 * unit, 0.005), (2.5 * unit, 0.008), (4.5 * unit, 0.01)]
    )


def storm_run(
    bars: list[Bar], kind: str, mode: str, leverage: int, form: str, **options: Any
) -> Prepared:
    """Return a run that buys every third and sells every fourth hour, a quarter of what it can."""
    inverse = kind == "inverse"
    balance = 1.0 if inverse else 8000.0
    share = balance * leverage / 4.0  # in settlement currency
    rules = changed(
        PLAIN, contract=kind, contract_size=1.0 if inverse else 0.0001,
        position_size=share if inverse else share / 8000.0, leverage=float(leverage),
        initial_balance=balance, use_sl=leverage in (5, 20), stop_loss_pct=0.03,
        take_profit_pct=0.01, position_set_size=3, maker=0.0002, taker=TAKER, slippage=0.002,
        funding=[(bars[0][0] + 8 * HOUR_MS * step, 0.0003) for step in range(45)],
    )  # fmt: skip
    signals = {
        row: 1 if row % 3 == 0 else -1 if row % 4 == 0 else 0 for row in range(len(bars))
    }
    # Tiers by contracts count contracts (8,000 USD, or 0.0001 coin, a piece), by notional money.
    unit = share * (8000.0 if inverse else 1.25) if form == "contracts" else share
    return exchange_run(
        options.get("coarse", bars), signals, rules,
        {"trading": {"margin_mode": mode}}, tiers=tiers_of(form, unit),
        **{name: value for name, value in options.items() if name != "coarse"},
    )  # fmt: skip


class Replay:
    """A run's fills and funding once more, with R23's condition asked at every liquidation.

    What stands behind the legs less their loss, maintenance and closing fee must be zero at the
    price (``solved`` counts those), or below zero at a price that was jumped to: an open, a close,
    the price of an entry, the trigger of a stop.
    """

    def __init__(self, prepared: Prepared, result: Result) -> None:
        keys = prepared.settings.keys
        self.contract = prepared.settings.instrument.contract()
        self.tiers = prepared.tiers
        scheme = FuturesCommission(
            contract=self.contract, taker=TAKER, futures_leverage=keys.trading.leverage,
            tiers=prepared.tiers,
        )  # fmt: skip
        self.account = Account(scheme, keys.backtest.initial_balance, keys.trading.margin_mode)
        self.bars = result.bars.set_index("time")
        self.triggers = result.orders.set_index("order_id")["price"]
        self.due = [
            (pd.Timestamp(time_ms, unit="ms", tz="UTC"), rate) for time_ms, rate in prepared.funding
        ]
        self.solved = 0
        for time, fills in result.fills.groupby("time", sort=True):
            self.pay_funding(time)
            self.jumped_to = [self.bars.loc[time, "open"], self.bars.loc[time, "close"]]
            # What stood behind the legs before a liquidation that has more fills to come.
            self.before: tuple[float, float] | None = None
            for fill in fills.itertuples():
                self.replay(fill)

    def pay_funding(self, time: pd.Timestamp) -> None:
        while self.due and self.due[0][0] <= time:
            moment, rate = self.due.pop(0)
            for leg in self.account.legs.values():
                if leg.contracts:
                    self.account.fund(leg.side, self.bars.loc[moment, "open"], rate)
            self.account.back_margins()

    def replay(self, fill: Any) -> None:
        account, group = self.account, GROUPS[fill.side]
        if fill.role == "entry":
            self.jumped_to.append(fill.price)
            account.open(fill.side, group, fill.contracts, fill.price, fill.fee)
            account.back_margins()
            return
        if fill.role == "stop_loss":
            self.jumped_to.append(self.triggers[fill.order_id])
        sides = (fill.side,) if account.isolated else SIDES
        legs = [leg for leg in account.legs.values() if leg.side in sides]
        if fill.role == "liquidation" and self.before is None:
            self.before = (account.balance, legs[0].margin)
            self.require_condition(legs, fill.price)
        account.close(fill.side, group, fill.contracts, fill.price, fill.fee)
        if fill.role != "liquidation" or not any(leg.contracts for leg in legs):
            self.settle()

    def require_condition(self, legs: list[Holding], price: float) -> None:
        account, contract = self.account, self.contract
        excess = legs[0].margin if account.isolated else account.balance
        for leg in legs:
            if leg.contracts:
                excess += contract.pnl(leg.side, leg.contracts, leg.average, price)
                excess -= self.tiers.requirement(contract, leg.contracts, price)
                excess -= contract.fee(leg.contracts, price, TAKER)
        dust = 1e-9 * contract.notional(sum(leg.contracts for leg in legs), price)
        assert excess <= dust
        assert abs(excess) <= dust or price in self.jumped_to
        self.solved += abs(excess) <= dust

    def settle(self) -> None:
        """After a close or a whole liquidation: the loss ends at the margin, or at nothing."""
        account = self.account
        if self.before is not None and account.isolated:
            balance, margin = self.before
            account.forgive(max(0.0, balance - margin - account.balance))
        if self.before is not None or account.flat:
            account.forgive()
        self.before = None
        account.back_margins()


@pytest.mark.parametrize("form", ["one rate", "contracts", "notional"])
@pytest.mark.parametrize("mode", ["cross", "isolated"])
@pytest.mark.parametrize("kind", ["inverse", "linear"])
@pytest.mark.parametrize("leverage", LEVERAGES)
def test_storm_never_owes_and_liquidates_at_the_solved_price(
    hours_of_march: list[Bar], leverage: int, kind: str, mode: str, form: str
) -> None:
    prepared = storm_run(hours_of_march, kind, mode, leverage, form)
    result = outcome(prepared)
    assert_money_is_kept(result, prepared.settings.keys.backtest.initial_balance)
    assert {"long", "short"} <= set(result.fills["side"])
    replay = Replay(prepared, result)
    initial = prepared.settings.keys.backtest.initial_balance
    assert replay.account.balance == pytest.approx(
        result.summary["final_balance"], abs=1e-9 * initial * len(result.fills)
    )
    if leverage >= 50:
        assert result.summary["liquidations"] >= 1
        assert replay.solved >= 1
        assert result.summary["min_liquidation_distance"] == 0.0


@pytest.mark.parametrize("mode", ["cross", "isolated"])
@pytest.mark.parametrize("kind", ["inverse", "linear"])
def test_storm_on_minutes_never_owes(
    minutes_of_the_crash: list[Bar], kind: str, mode: str
) -> None:
    minutes = minutes_of_the_crash
    assert len(minutes) == 2880
    coarse = [
        (part[0][0], part[0][1], max(bar[2] for bar in part), min(bar[3] for bar in part),
         part[-1][4])
        for part in (minutes[row : row + 60] for row in range(0, len(minutes), 60))
    ]  # fmt: skip
    for leverage in (10, 100):
        prepared = storm_run(
            minutes, kind, mode, leverage, "notional", coarse=coarse, fine=minutes
        )
        result = outcome(prepared)
        assert len(result.bars) == 48
        assert_money_is_kept(result, prepared.settings.keys.backtest.initial_balance)
        assert result.summary["liquidations"] >= 1
