"""Results to make pages of: small, made by hand, with something of everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.market import hourly_bars
from cryptosim_bt.results.result import Result

HOUR_SECONDS = 3600
_MARKET = ("open", "high", "low", "close", "volume")


def page_result(
    count: int = 744,
    *,
    trades: int = 12,
    symbol: str = "BTC/USD:BTC",
    language: str = "en",
    strategy: str = "simple_ma",
    indicators: dict[str, tuple[str, Any]] | None = None,
) -> Result:
    """Return a run of ``count`` hours in which every tenth bar or so opens a trade.

    Trades are of one Transaction each, closed 30 bars later; every fourth loses, every other one
    is short. Each has an order for its entry and one for its exit, and one that expired. Sets hold
    four trades each; the last set stays open. Volumes are whole; funding is paid every 8 bars.
    ``indicators`` maps a name to its panel and values; without it there are
    a mean on the price and an oscillator below.
    """
    market = hourly_bars(count)
    close = market["close"].to_numpy()
    times = pd.Series(pd.DatetimeIndex(market.index).astype("datetime64[ms, UTC]"))
    bars = pd.DataFrame({"time": times, **{name: market[name].to_numpy()
                                           for name in _MARKET}})
    panels = {}
    for name, (panel, values) in (indicators or _indicators(close)).items():
        bars[name], panels[name] = values, panel
    starts = np.linspace(5, count - 40, trades).astype(int) if trades else np.array([], dtype=int)
    held = np.zeros(count)
    for start in starts:
        held[start : start + 30] += 9.0
    profit = np.where(np.arange(trades) % 4 == 3, -2e-4, 1e-4)
    realized = np.zeros(count)
    np.add.at(realized, starts + 30, profit)
    balance = 0.5 + np.cumsum(realized)
    bars["volume"] = 1000.0 + np.arange(count) % 300
    _add_account(bars, close, held, balance)
    table = _trades(times, starts, close, profit)
    sets = _sets(table)
    equity = bars["equity"].to_numpy()
    return Result(
        settings=_settings(symbol, language, strategy),
        summary=_summary(table, balance, equity, symbol),
        bars=bars,
        fills=_fills(table),
        trades=table,
        orders=_orders(table),
        sets=sets,
        funding=_funding(bars),
        ambiguous=pd.DataFrame({"time": table["exit_time"].iloc[::5], "kind": "entry_and_exit"}),
        panels=panels,
    )


def _indicators(close: Any) -> dict[str, tuple[str, Any]]:
    mean = pd.Series(close).rolling(24).mean().to_numpy()
    return {"sma_24": ("price", mean), "rsi_14": ("rsi", 50 + 20 * np.sin(np.arange(len(close))))}


def _add_account(bars: pd.DataFrame, close: Any, held: Any, balance: Any) -> None:
    holding = held > 0
    unrealized = np.where(holding, 1e-4 * np.sin(np.arange(len(close)) / 9), 0.0)
    bars["signal"], bars["mark"] = 0, close
    bars["balance"], bars["unrealized_pnl"] = balance, unrealized
    bars["equity"], bars["margin"] = balance + unrealized, held / close
    bars["long_contracts"], bars["long_average"] = held, np.where(holding, close * 0.999, np.nan)
    bars["short_contracts"], bars["short_average"] = 0.0, np.nan
    bars["long_sets"], bars["short_sets"] = (held // 36).astype(int), 0
    bars["liquidation_below"] = np.where(holding, close * 0.4, np.nan)
    bars["liquidation_above"] = np.nan


def _trades(times: pd.Series, starts: Any, close: Any, profit: Any) -> pd.DataFrame:
    count = len(starts)
    numbers = np.arange(count)
    return pd.DataFrame({
        "id": numbers + 1,
        "side": np.where(numbers % 2 == 1, "short", "long").astype(object),
        "contracts": np.full(count, 9.0),
        "entry_time": times.iloc[starts].reset_index(drop=True),
        "exit_time": times.iloc[starts + 30].reset_index(drop=True),
        "entry_price": close[starts],
        "exit_price": close[starts + 30],
        "gross_pnl": profit + 1e-6,
        "fees": np.full(count, 1e-6),
        "funding_paid": np.zeros(count),
        "net_pnl": profit,
        "exit_reason": np.where(profit > 0, "take_profit", "stop_loss").astype(object),
        "group": np.array([f"S{number // 4 + 1}" for number in numbers], dtype=object),
    })  # fmt: skip


def _fills(trades: pd.DataFrame) -> pd.DataFrame:
    entries = pd.DataFrame({
        "time": trades["entry_time"], "role": "entry", "side": trades["side"],
        "price": trades["entry_price"], "contracts": 9.0, "group": trades["group"],
        "group_pnl": 0.0, "fee": 5e-7,
    })  # fmt: skip
    exits = entries.assign(
        time=trades["exit_time"], role=trades["exit_reason"], price=trades["exit_price"],
        group_pnl=trades["gross_pnl"],
    )  # fmt: skip
    return pd.concat([entries, exits]).sort_values("time", kind="stable", ignore_index=True)


def _sets(trades: pd.DataFrame) -> pd.DataFrame:
    first = trades.iloc[3::4].reset_index(drop=True)
    sets = pd.DataFrame({
        "set": first["group"], "side": first["side"], "born": first["entry_time"],
        "ended": first["exit_time"], "entries": 4, "contracts": 36.0,
        "average_entry": first["entry_price"], "take_profit_price": first["exit_price"],
        "exit_price": first["exit_price"], "exit_reason": first["exit_reason"],
        "group_pnl": first["net_pnl"] + 1e-6, "fees": 1e-6, "funding_paid": 0.0,
        "net_pnl": first["net_pnl"], "status": "closed",
    })  # fmt: skip
    if len(sets):
        last = sets.index[-1]
        sets.loc[last, "ended"] = pd.NaT
        sets.loc[last, "exit_price"] = np.nan
        sets.loc[last, "exit_reason"] = None
        sets.loc[last, "status"] = "open"
    return sets


def _orders(trades: pd.DataFrame) -> pd.DataFrame:
    """Return an entry's, an exit's and an expired order per trade, in the order of their making."""
    entries = pd.DataFrame({
        "role": "entry", "side": trades["side"], "action": "buy", "type": "limit",
        "price": trades["entry_price"], "contracts": 9.0,
        "created": trades["entry_time"] - pd.Timedelta(1, unit="h"), "group": trades["group"],
        "status": "filled", "ended": trades["entry_time"], "reason": None,
        "filled_contracts": 9.0, "fill_price": trades["entry_price"],
    })  # fmt: skip
    exits = entries.assign(
        role=trades["exit_reason"], action="sell", price=trades["exit_price"],
        created=trades["entry_time"], ended=trades["exit_time"], fill_price=trades["exit_price"],
    )  # fmt: skip
    expired = entries.assign(
        created=trades["exit_time"], ended=trades["exit_time"] + pd.Timedelta(2, unit="h"),
        status="expired", reason="its time had passed", filled_contracts=0.0, fill_price=np.nan,
        group=None,
    )  # fmt: skip
    orders = pd.concat([entries, exits, expired]).sort_values("created", kind="stable")
    return orders.reset_index(drop=True).rename_axis("order_id").reset_index()


def _funding(bars: pd.DataFrame) -> pd.DataFrame:
    held = bars[(bars.index % 8 == 0) & (bars["long_contracts"] > 0)].reset_index(drop=True)
    return pd.DataFrame({
        "time": held["time"], "due": held["time"], "side": "long", "rate": 1e-4,
        "price": held["close"], "contracts": held["long_contracts"],
        "payment": -1e-4 * held["margin"],
    })  # fmt: skip


def _settings(symbol: str, language: str, strategy: str) -> dict[str, Any]:
    return {
        "data": {"source": "sample", "timeframe": "1h", "volume_unit": None},
        "trading": {"symbol": symbol, "leverage": 5.0},
        "instrument": {
            "contract_size": 100.0, "lot": 1.0, "tick": 0.1, "min_contracts": 1.0,
            "maintenance_margin_rate": 0.004, "liquidation_fee_rate": 0.004,
        },
        "strategy": {"name": strategy, strategy: {"short_period": 24}},
        "backtest": {"initial_balance": 0.5, "linear_pnl": "exchange",
                     "fees": {"maker": 0.0002, "taker": 0.0005}},
        "report": {"language": language},
        "timezone": "Asia/Seoul",
    }  # fmt: skip


def _summary(trades: pd.DataFrame, balance: Any, equity: Any, symbol: str) -> dict[str, Any]:
    wins = int((trades["net_pnl"] > 0).sum())
    path = np.concatenate(([0.5], equity))
    return {
        "symbol": symbol,
        "currency": symbol.partition(":")[2],
        "initial_balance": 0.5,
        "final_balance": float(balance[-1]),
        "final_equity": float(equity[-1]),
        "total_return": float(equity[-1] / 0.5 - 1.0),
        "max_drawdown": float(np.max(1.0 - path / np.maximum.accumulate(path))),
        "trades": len(trades),
        "wins": wins,
        "losses": len(trades) - wins,
        "win_rate": wins / len(trades) if len(trades) else None,
        "profit_factor": None,
        "entries_refused": {"sets_full": 3},
        "ambiguous_bars": {"total": 0},
        "open_contracts": {"long": 0.0, "short": 0.0},
        "data": {"source": "sample", "file": None, "sha256": None, "synthetic": True},
        "version": "0",
    }
