"""Runs of plain backtrader strategies from a configuration file, for several test files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import Result, load_settings, run_backtest
from cryptosim_bt.cli.commands import plugins_for
from cryptosim_bt.config.document import yaml_text

# A market without grids on which one contract is one coin, as stock BackBroker trades it.
LINEAR: dict[str, Any] = {
    "contract_size": 1.0, "lot": 0.0, "tick": 0.0, "min_contracts": 0.0,
    "maintenance_margin_rate": 0.0, "liquidation_fee_rate": 0.0,
}  # fmt: skip
INVERSE = {**LINEAR, "contract_size": 10.0}
# What its taker pays there.
RATE = 0.0005


def write_run(
    folder: Path,
    bars: pd.DataFrame,
    strategy: str,
    code: str | Path,
    *,
    inverse: bool = False,
    balance: float = 1_000_000.0,
    leverage: float = 1.0,
    rate: float = 0.0005,
    instrument: dict[str, Any] | None = None,
    mode: str | None = "net",
) -> Path:
    """Write bars, a strategy file and a configuration into a folder; return the configuration.

    ``code`` is the text of ``strategies/mine.py``, or a file to name under ``plugins:``.
    """
    bars.rename_axis("timestamp").to_csv(folder / "bars.csv")
    if isinstance(code, str):
        (folder / "strategies").mkdir(exist_ok=True)
        (folder / "strategies" / "mine.py").write_text(code, encoding="utf-8")
    step = bars.index[1] - bars.index[0]
    values = {
        "data": {"source": "file", "path": "bars.csv", "timeframe": "1h"},
        "trading": {
            "symbol": "BTC/USD:BTC" if inverse else "BTC/USDT:USDT",
            "leverage": leverage,
            **({"position_mode": mode} if mode else {}),
        },
        "instrument": {**(INVERSE if inverse else LINEAR), **(instrument or {})},
        "strategy": {"name": strategy},
        "backtest": {
            "trading_period": {
                "start_date": str(bars.index[0]), "end_date": str(bars.index[-1] + step),
            },
            "initial_balance": balance,
            "fees": {"maker": rate, "taker": rate},
            "funding": {"rate": 0.0},
        },
        "report": {"analyzers": ["ledger", "performance"], "language": "en"},
        "timezone": "UTC",
        "plugins": [] if isinstance(code, str) else [str(code)],
    }  # fmt: skip
    path = folder / "my.yaml"
    path.write_text(yaml_text(values), encoding="utf-8")
    return path


def run_config(path: Path, *overrides: str) -> Result:
    """Run a configuration as the command does; return its result."""
    quiet = logging.getLogger("cryptosim_bt")
    level, quiet.level = quiet.level, logging.CRITICAL
    try:
        settings = load_settings(path, overrides)
        return run_backtest(settings, plugins_for(settings))[0]
    finally:
        quiet.setLevel(level)


def hourly(*prices: tuple[float, float, float, float]) -> pd.DataFrame:
    """Return hourly bars of (open, high, low, close) from 2024-01-01 on."""
    index = pd.date_range("2024-01-01", periods=len(prices), freq="1h")
    columns = ["open", "high", "low", "close"]
    return pd.DataFrame(list(prices), columns=columns, index=index).assign(volume=1.0)


class FractionsOfCoins(bt.CommInfoBase):
    """backtrader's stock scheme, but for its whole shares: coins have fractions."""

    params = (
        ("stocklike", True), ("commission", RATE), ("percabs", True),
        ("commtype", bt.CommInfoBase.COMM_PERC),
    )  # fmt: skip

    def getsize(self, price, cash):
        return cash / price


def invariants(result: Result) -> None:
    bars, fills, trades = result.bars, result.fills, result.trades
    np.testing.assert_allclose(bars["equity"], bars["balance"] + bars["unrealized_pnl"])
    # Contracts of a leg are its fills: entries less exits.
    rows = bars["time"].searchsorted(fills["time"])
    for side in ("long", "short"):
        signed = np.where(fills["role"] == "entry", 1.0, -1.0) * fills["contracts"]
        held = np.zeros(len(bars))
        np.add.at(held, rows, signed * (fills["side"] == side))
        np.testing.assert_allclose(bars[f"{side}_contracts"], held.cumsum(), atol=1e-9)
    # The balance is the start, what exits earned, fees and funding.
    money = fills["realized_pnl"].sum() - fills["fee"].sum() + fills["shortfall"].sum()
    money += result.funding["payment"].sum() + result.summary["initial_balance"]
    assert bars["balance"].iloc[-1] == pytest.approx(money, abs=1e-9 * abs(money))
    net = trades["gross_pnl"] - trades["fees"] - trades["funding_paid"]
    np.testing.assert_allclose(trades["net_pnl"], net)
    assert len(result.sets) == 0
    assert result.summary["open_sets"] == 0
