"""``trading.size_unit``: sizes of a plain strategy in coins, the tables in contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pytest

from cryptosim_bt import InputError, Result
from tests.backtest.test_plain_runs import orders_of, stock_orders
from tests.broker import stock_strategies as stock
from tests.plain_runs import FractionsOfCoins, hourly, invariants, run_config, write_run

CODE = Path(stock.__file__)
# A hundred contracts are a coin; the lot is a ten-thousandth of one.
SMALL = {"contract_size": 0.01, "lot": 0.01, "min_contracts": 0.01}
IN_COINS = "trading.size_unit=base"


@pytest.mark.parametrize("kind", [*stock.KINDS, stock.AnyOrder], ids=lambda kind: kind.__name__)
def test_sizes_in_coins_are_backbrokers_whatever_a_contract_is(kind: Any, tmp_path: Path) -> None:
    # Its fills in contracts, a hundred for each coin that stock BackBroker has.
    bars = stock.random_bars(600, seed=11)
    market = {**SMALL, "lot": 0.0, "min_contracts": 0.0}
    ours = run_config(write_run(tmp_path, bars, kind.__name__, CODE, instrument=market), IN_COINS)
    theirs = in_stock(kind, bars)
    assert len(ours.fills) >= 5
    found = np.array(orders_of(ours))
    found[:, 2] /= 100.0
    np.testing.assert_allclose(found, stock_orders(theirs), rtol=1e-9, atol=1e-9)
    equity = [money[0] for money in theirs.money]
    np.testing.assert_allclose(ours.bars["equity"], equity, rtol=1e-9)


def in_stock(kind: Any, bars: Any) -> Any:
    cerebro = bt.Cerebro()
    cerebro.adddata(bt.feeds.PandasData(dataname=bars))
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    cerebro.addstrategy(kind)
    return cerebro.run()[0]


MONEY = """
import backtrader as bt

class Money(bt.Strategy):
    params = dict(how="cash", share=1.0)

    def __init__(self):
        self.seen = []

    def next(self):
        if len(self) in (1, 5):
            price, cash = self.data.close[0], self.broker.getcash()
            if self.p.how == "cash":
                self.buy(size=self.p.share * cash / price)
            elif self.p.how == "percent":
                self.order_target_percent(target=self.p.share)
            else:
                self.buy()
        if len(self) == 3:
            size, info = self.position.size, self.broker.getcommissioninfo(self.data)
            scheme = (info.p.mult, info.getsize(100.0, 50.0), info.getcommission(1.0, 100.0))
            print(size, self.position.price, *scheme, info.getoperationcost(2.0, 100.0))
            self.close()
"""


def all_in(folder: Path, *sets: str, opens: float = 100.0, leverage: float = 1.0) -> Result:
    prices = [(100.0,) * 4, (opens,) * 4, (100.0,) * 4, (110.0,) * 4, (110.0,) * 4, (110.0,) * 4]
    path = write_run(
        folder, hourly(*prices), "Money", MONEY, balance=10_000.0, rate=0.001,
        instrument=SMALL, leverage=leverage,
    )  # fmt: skip
    return run_config(path, IN_COINS, *sets)


@pytest.mark.parametrize("how", ["cash", "percent"])
@pytest.mark.parametrize("opens", [99.0, 100.0, 101.0, 104.0])
@pytest.mark.parametrize("leverage", [1.0, 10.0])
def test_all_of_the_money_fills(
    how: str, opens: float, leverage: float, tmp_path: Path
) -> None:
    # At leverage 1 and 0.1 %: x coins at p cost 1.001*x*p <= 10 000, cut down to 0.0001.
    result = all_in(tmp_path, f"strategy.Money.how={how}", opens=opens, leverage=leverage)
    first = result.orders.iloc[0]
    assert first["status"] == "filled"
    margin = 1.0 if how == "cash" else 1.0 / leverage
    asked = 10_000.0 / (100.0 * margin)
    fits = 10_000.0 / (opens * (1.0 / leverage + 0.001))
    coins = np.floor(min(asked, fits) * 1e4 + 1e-6) / 1e4
    assert first["contracts"] == pytest.approx(100.0 * coins)
    assert result.orders["status"].tolist() == ["filled"] * 3
    invariants(result)


def test_an_order_far_beyond_the_money_is_refused_all_the_same(tmp_path: Path) -> None:
    # 106 % of the money: six hundredths are missing, of which five may be cut.
    result = all_in(tmp_path, "strategy.Money.share=1.06")
    assert result.orders["status"].tolist() == ["margin", "margin"]
    far = tmp_path / "far"
    far.mkdir()
    # The next open is 6 % above the close that the size came from.
    assert all_in(far, opens=106.0).orders["status"].tolist()[0] == "margin"


def test_what_a_strategy_reads_is_in_coins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_in(tmp_path, "strategy.Money.how=sizer", 'sizer={"FixedSize": {"stake": 2}}')
    # Two coins at 100; of 50 a half; 0.1 % of 100; two coins' margin.
    words = capsys.readouterr().out.split()
    assert words[0] == "2"  # whole, as it was asked
    assert [float(word) for word in words[1:]] == pytest.approx([100.0, 1.0, 0.5, 0.1, 200.0])


def test_contracts_are_the_unit_unless_it_is_said(tmp_path: Path) -> None:
    result = all_in(tmp_path, "strategy.Money.how=sizer", "trading.size_unit=contracts")
    assert result.fills["contracts"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("sets", "inverse", "words"),
    [
        ((), True, "worth a fixed number of dollars"),
        (("strategy.name=simple_ma", "trading.position_mode=hedge"), False, "SignalStrategy"),
    ],
)
def test_coins_are_refused_where_they_mean_nothing(
    sets: tuple[str, ...], inverse: bool, words: str, tmp_path: Path
) -> None:
    path = write_run(tmp_path, hourly(*[(100.0,) * 4] * 4), "Money", MONEY, inverse=inverse)
    with pytest.raises(InputError, match=rf"trading\.size_unit: was 'base'.*{words}"):
        run_config(path, IN_COINS, *sets)
