"""Size by a share of the equity or by volatility; stops by volatility; a plugin's own."""

from __future__ import annotations

from typing import Any

import pytest

from cryptosim_bt.accounting.position_sets import Group, PositionSet
from cryptosim_bt.strategy.sizers import EntrySizer
from cryptosim_bt.strategy.volatility import average_true_range
from tests.exchange_runs import exchange_run, happened, outcome
from tests.helpers import PLAIN, Bar, GivenSignals, bar_table, changed, hours

pytestmark = pytest.mark.usefixtures("quiet_framework")

QUIET = (100.0, 100.0, 100.0, 100.0)
RULES = changed(PLAIN, tick=0.0, lot=0.0, use_tp=False, min_contracts=0.0)
# An hour's range of 4 each bar: the ATR is 4 from its first value on.
RESTLESS = (100.0, 102.0, 98.0, 100.0)


def sizing(**keys: Any) -> dict[str, Any]:
    return {"trading": {"sizing": keys}}


def stop(**keys: Any) -> dict[str, Any]:
    return {"trading": {"use_sl": True, "stop": keys}}


# ---------------------------------------------------------------------- size
def test_fixed_size_is_the_default() -> None:
    # R45: fixed.
    result = outcome(exchange_run(hours(*[QUIET] * 3), {0: 1, 1: 1}, RULES))
    assert result.fills["contracts"].tolist() == [1.0, 1.0]


def test_linear_equity_share_is_worth_that_share_of_the_account() -> None:
    # R45: equity.
    # 1,000 at 100 and 20 %: 2 coins. After a rise to 150: 1,100 of equity, 20 % at 150.
    prices = [QUIET, QUIET, (150.0,) * 4, (150.0,) * 4]
    changes = sizing(method="equity", equity_share=0.2)
    result = outcome(exchange_run(hours(*prices), {0: 1, 2: 1}, RULES, changes))
    assert result.fills["contracts"].tolist() == pytest.approx([2.0, 0.2 * 1100.0 / 150.0])


def test_inverse_equity_share_is_worth_that_share_of_the_account() -> None:
    rules = changed(RULES, contract="inverse", contract_size=100.0, initial_balance=10.0)
    prices = [QUIET, QUIET, (125.0,) * 4, (125.0,) * 4]
    changes = sizing(method="equity", equity_share=0.2)
    result = outcome(exchange_run(hours(*prices), {0: 1, 2: 1}, rules, changes))
    # 2 of 10 coins at 100 are 2 contracts; they earn 200 * (1/100 - 1/125) = 0.4 coins, and 20 %
    # of 10.4 coins at 125 are 2.6 contracts.
    assert result.fills["contracts"].tolist() == pytest.approx([2.0, 0.2 * 10.4 * 125.0 / 100.0])


def test_equity_share_is_cut_down_to_the_lot() -> None:
    rules = changed(RULES, lot=1.0, min_contracts=None)
    changes = sizing(method="equity", equity_share=0.29)
    result = outcome(exchange_run(hours(*[QUIET] * 2), {0: 1}, rules, changes))
    assert result.fills["contracts"].tolist() == [2.0]
    changes = sizing(method="equity", equity_share=0.05)
    result = outcome(exchange_run(hours(*[QUIET] * 2), {0: 1}, rules, changes))
    assert result.summary["entries_refused"] == {"min_size": 1}


def test_equity_share_of_nothing_left_is_no_order() -> None:
    rules = changed(RULES, leverage=20.0, initial_balance=100.0)
    changes = sizing(method="equity", equity_share=15.0)
    prices = [QUIET, QUIET, (50.0,) * 4, (50.0,) * 4]
    result = outcome(exchange_run(hours(*prices), {0: 1, 2: 1}, rules, changes))
    assert result.summary["final_equity"] == 0.0
    assert result.summary["entries_refused"] == {"min_size": 1}


def warmed(bars: list[Bar], period: int) -> list[Bar]:
    """Return the bars behind as many restless ones as an ATR needs before the window."""
    return [*hours(*[RESTLESS] * period, start_ms=bars[0][0] - period * 3_600_000), *bars]


def atr_run(
    prices: list[tuple[float, float, float, float]],
    signals: dict[int, int],
    rules: dict[str, Any],
    changes: dict[str, Any],
    strategy: type[GivenSignals] = GivenSignals,
) -> Any:
    """Run with the warm-up of an ATR of 3 bars."""
    from dataclasses import replace

    prepared = exchange_run(hours(*prices), signals, rules, changes, strategy=strategy)
    bars = bar_table(warmed(hours(*prices), 3))
    assert prepared.signals is not None
    return outcome(
        replace(prepared, bars=bars, warmup=3, signals=[0, 0, 0, *prepared.signals])
    )


def test_size_by_volatility_loses_the_risked_share_at_so_many_atrs() -> None:
    # R45: atr.
    changes = sizing(method="atr", risk_share=0.02, atr_period=3, atr_multiple=2.5)
    result = atr_run([RESTLESS, RESTLESS], {0: 1}, RULES, changes)
    contracts = result.fills["contracts"].iloc[0]
    # 2 % of 1,000 over a move of 2.5 * 4.
    assert contracts == pytest.approx(20.0 / 10.0)
    assert contracts * 2.5 * 4.0 == pytest.approx(0.02 * 1000.0)


def test_inverse_size_by_volatility_risks_the_share_in_the_quotes_worth() -> None:
    rules = changed(RULES, contract="inverse", contract_size=1.0, initial_balance=10.0)
    changes = sizing(method="atr", risk_share=0.02, atr_period=3, atr_multiple=2.5)
    result = atr_run([RESTLESS, RESTLESS], {0: 1}, rules, changes)
    # 0.2 coins at 100 over a move of 10 %: 2 coins, 200 contracts of 1 USD.
    assert result.fills["contracts"].tolist() == pytest.approx([200.0])


def test_size_by_volatility_uses_the_atr_of_the_signals_bar() -> None:
    wild = (100.0, 110.0, 90.0, 100.0)
    changes = sizing(method="atr", risk_share=0.02, atr_period=3, atr_multiple=1.0)
    result = atr_run([RESTLESS, wild, (100.0, 200.0, 100.0, 100.0)], {1: 1}, RULES, changes)
    # (4 * 2 + 20) / 3: the bar in which the order fills is not in it.
    assert result.fills["contracts"].tolist() == pytest.approx([20.0 * 3.0 / 28.0])


def test_size_by_volatility_is_none_while_the_market_stands_still() -> None:
    changes = sizing(method="atr", atr_period=2)
    result = outcome(exchange_run(hours(*[QUIET] * 6), {4: 1}, RULES, changes))
    assert result.summary["entries_refused"] == {"min_size": 1}


def test_run_with_an_atr_loads_its_warm_up() -> None:
    from cryptosim_bt.backtest.prepare import _atr_warmup
    from tests.exchange_runs import widened
    from tests.helpers import settings_for

    settings = settings_for(RULES)
    assert _atr_warmup(settings) == 0
    assert _atr_warmup(widened(settings, sizing(method="atr", atr_period=20))) == 20
    assert _atr_warmup(widened(settings, stop(method="atr", atr_period=30))) == 30


# ---------------------------------------------------------------------- stops
@pytest.mark.parametrize(("side", "price"), [(1, 94.0), (-1, 106.0)])
def test_stop_by_volatility_stands_so_many_atrs_from_the_average(side: int, price: float) -> None:
    # R46.
    changes = stop(method="atr", atr_period=3, atr_multiple=1.5)
    adverse = (100.0, 100.0, 93.0, 95.0) if side > 0 else (100.0, 107.0, 100.0, 105.0)
    result = atr_run([RESTLESS, RESTLESS, adverse], {0: side}, RULES, changes)
    stops = result.orders[result.orders["role"] == "stop_loss"]
    assert stops["price"].tolist() == [price]
    assert happened(result)[-1][1:] == ("stop_loss", 1.0, price, "taker")


def test_stop_of_a_set_takes_the_atr_known_when_the_set_is_made() -> None:
    rules = changed(RULES, position_set_size=2, price_improvement=False)
    changes = stop(method="atr", atr_period=3, atr_multiple=2.0)
    prices = [RESTLESS, RESTLESS, (100.0, 110.0, 96.0, 100.0), RESTLESS]
    result = atr_run(prices, {0: 1, 2: 1}, rules, changes)
    stops = result.orders[result.orders["role"] == "stop_loss"]
    # First fill: ATR 4. The set is made in bar 3, when bar 2 (a range of 14) is known and no more.
    assert stops["price"].tolist() == pytest.approx([92.0, 100.0 - 2.0 * (4.0 * 2 + 14.0) / 3.0])
    assert result.sets["stop_loss_price"].tolist() == pytest.approx([stops["price"].iloc[-1]])


def test_stop_by_volatility_is_off_without_use_sl() -> None:
    changes = {"trading": {"stop": {"method": "atr", "atr_period": 3}}}
    result = atr_run([RESTLESS] * 3, {0: 1}, RULES, changes)
    assert "stop_loss" not in result.orders["role"].tolist()


def test_stop_by_volatility_below_zero_is_no_stop() -> None:
    changes = stop(method="atr", atr_period=3, atr_multiple=100.0)
    result = atr_run([RESTLESS] * 3, {0: 1}, RULES, changes)
    assert "stop_loss" not in result.orders["role"].tolist()


# ---------------------------------------------------------------------- plugins
class OwnStop(GivenSignals):
    """Stops 10 below a Position and 5 below a set."""

    def stop_price(self, group: Group) -> float | None:
        return group.average - (5.0 if isinstance(group, PositionSet) else 10.0)


class NoStopForSets(GivenSignals):
    def stop_price(self, group: Group) -> float | None:
        return None if isinstance(group, PositionSet) else super().stop_price(group)


class HalfTheBalance(EntrySizer):
    def base_amount(self, price: float) -> float:
        return float(self.broker.getvalue()) / 2.0 / price


class OwnSizer(GivenSignals):
    def start(self) -> None:
        super().start()
        self.setsizer(HalfTheBalance(instrument=self._context.instrument))


class OwnSize(GivenSignals):
    """Sizes by `getsizing`, backtrader's own hook."""

    def getsizing(self, data: Any = None, isbuy: bool = True) -> float:
        return 3.0 if isbuy else 7.0


def test_plugin_decides_on_the_stop_of_a_position_and_of_a_set() -> None:
    rules = changed(RULES, position_set_size=2)
    prepared = exchange_run(hours(*[QUIET] * 5), {0: 1, 2: 1}, rules, strategy=OwnStop)
    result = outcome(prepared)
    stops = result.orders[result.orders["role"] == "stop_loss"]
    assert stops["price"].tolist() == [90.0, 95.0]
    assert result.sets["stop_loss_price"].tolist() == [95.0]


def test_plugin_may_leave_the_stop_of_a_set_out() -> None:
    rules = changed(RULES, position_set_size=2, use_sl=True, stop_loss_pct=0.05)
    prepared = exchange_run(hours(*[QUIET] * 5), {0: 1, 2: 1}, rules, strategy=NoStopForSets)
    result = outcome(prepared)
    stops = result.orders[result.orders["role"] == "stop_loss"]
    assert stops["price"].tolist() == [95.0]
    assert stops["status"].tolist() == ["cancelled"]
    assert result.sets["stop_loss_price"].isna().all()


def test_plugin_may_size_with_a_sizer_of_its_own() -> None:
    result = outcome(exchange_run(hours(*[QUIET] * 3), {0: 1}, RULES, strategy=OwnSizer))
    assert result.fills["contracts"].tolist() == [5.0]


def test_plugin_may_size_with_backtraders_getsizing() -> None:
    prepared = exchange_run(hours(*[QUIET] * 4), {0: 1, 1: -1}, RULES, strategy=OwnSize)
    assert outcome(prepared).fills["contracts"].tolist() == [3.0, 7.0]


# ---------------------------------------------------------------------- slippage
@pytest.mark.parametrize(
    ("fixed", "by_range", "price"),
    # A stop at 95 in a bar of 100 to 90.
    [(0.0, 0.0, 95.0), (0.01, 0.0, 95.0 * 0.99), (0.0, 0.1, 95.0 - 1.0),
     (0.01, 0.1, 95.0 * 0.99 - 1.0)],
)  # fmt: skip
def test_slippage_is_a_share_of_price_and_a_share_of_the_bars_range(
    fixed: float, by_range: float, price: float
) -> None:
    # R16, R47.
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05, slippage=fixed)
    changes = {"backtest": {"fill": {"slippage_range": by_range}}}
    prices = [QUIET, QUIET, (100.0, 100.0, 90.0, 91.0)]
    result = outcome(exchange_run(hours(*prices), {0: 1}, rules, changes))
    assert happened(result)[-1] == (2, "stop_loss", 1.0, pytest.approx(price), "taker")


def test_slippage_by_range_is_rounded_to_the_tick_against_the_trader() -> None:
    rules = changed(RULES, use_sl=True, stop_loss_pct=0.05, tick=0.5)
    changes = {"backtest": {"fill": {"slippage_range": 0.013}}}
    prices = [QUIET, QUIET, (100.0, 110.0, 100.0, 110.0)]
    result = outcome(exchange_run(hours(*prices), {0: -1}, rules, changes))
    # 105 + 0.13, up to the tick.
    assert happened(result)[-1][3] == 105.5


def test_limits_do_not_slip() -> None:
    changes = {"backtest": {"fill": {"slippage_range": 0.5}}}
    rules = changed(RULES, use_tp=True)
    prices = [QUIET, QUIET, (100.0, 103.0, 99.0, 102.0)]
    result = outcome(exchange_run(hours(*prices), {0: 1}, rules, changes))
    assert [fill[3] for fill in happened(result)] == [100.0, 102.0]


def test_atr_of_a_run_is_that_of_its_bars() -> None:
    bars = warmed(hours(*[RESTLESS] * 3), 3)
    assert average_true_range(bar_table(bars), 3)[3:] == [4.0] * 3
