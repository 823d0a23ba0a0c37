"""Figures of closed trades and of sets, all of them or any part: a side, a month, an exit reason.

Pure functions of tables. A figure that has no value is None, never 0. A trade is one closed
Transaction (R26); what is not a win is a loss. The formula of each stands in ``docs/metrics.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.results import metrics
from cryptosim_bt.results.metrics import Array

_HOUR_MS = 3_600_000


def trade_block(trades: pd.DataFrame, *, inverse: bool) -> dict[str, Any]:
    """Return all figures of a table of trades.

    Parameters
    ----------
    trades
        Closed Transactions in the order in which they closed, as in trades.csv.
    inverse
        Whether net_pnl is in the coin (else in quote currency).

    Returns
    -------
    dict
        Counts and rates of R26; sums, expectancy, averages and extremes of net_pnl in the
        settlement currency; streaks; holding times; net_pnl in coin and in quote currency, each
        trade's converted at its own exit price.
    """
    net = trades["net_pnl"].to_numpy(np.float64)
    won = net > 0.0
    return {
        **metrics.trade_figures(trades),
        **{name: float(trades[name].sum()) for name in
           ("gross_pnl", "fees", "funding_paid", "net_pnl")},
        "expectancy": _mean(net),
        **win_and_loss(net),
        "longest_win_streak": longest_streak(won),
        "longest_loss_streak": longest_streak(~won),
        **holding_hours(trades["entry_time"], trades["exit_time"]),
        **_in_both_moneys(net, trades["exit_price"].to_numpy(np.float64), inverse=inverse),
    }  # fmt: skip


def win_and_loss(net: Array) -> dict[str, float | None]:
    """Return average and largest win and loss, and average win / |average loss|.

    Losses are negative, and include trades that won nothing, so that ``win_rate * average_win +
    (1 - win_rate) * average_loss`` is the expectancy. Each is None where there are no such
    trades.
    """
    wins, losses = net[net > 0.0], net[~(net > 0.0)]
    win, loss = _mean(wins), _mean(losses)
    return {
        "average_win": win,
        "average_loss": loss,
        "payoff_ratio": win / -loss if win is not None and loss else None,
        "largest_win": float(wins.max()) if len(wins) else None,
        "largest_loss": float(losses.min()) if len(losses) else None,
    }


def longest_streak(flags: npt.NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True; 0 where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def holding_hours(begin: pd.Series, end: pd.Series) -> dict[str, float | None]:
    """Return mean, median, shortest and longest time from ``begin`` to ``end`` in hours.

    Times are those of bars (R1), so what was entered and left in neighbouring bars was held for
    the length of one. Rows that have not ended do not count.
    """
    ended = end.notna()
    held_ms = _milliseconds(end[ended]) - _milliseconds(begin[ended])
    held = held_ms.astype(np.float64) / _HOUR_MS
    if not len(held):
        names = ("average", "median", "shortest", "longest")
        return {f"{name}_holding_hours": None for name in names}
    return {
        "average_holding_hours": float(np.mean(held)),
        "median_holding_hours": float(np.median(held)),
        "shortest_holding_hours": float(np.min(held)),
        "longest_holding_hours": float(np.max(held)),
    }


def _milliseconds(times: pd.Series) -> npt.NDArray[np.int64]:
    return pd.DatetimeIndex(times).as_unit("ms").asi8


def _in_both_moneys(net: Array, price: Array, *, inverse: bool) -> dict[str, float | None]:
    coin, quote = (net, net * price) if inverse else (net / price, net)
    return {
        "net_pnl_in_coin": float(coin.sum()),
        "net_pnl_in_quote": float(quote.sum()),
        "expectancy_in_coin": _mean(coin),
        "expectancy_in_quote": _mean(quote),
    }


def _mean(values: Array) -> float | None:
    return float(np.mean(values)) if len(values) else None


# ---------------------------------------------------------------------- parts
def trade_parts(trades: pd.DataFrame, *, inverse: bool) -> dict[str, dict[str, Any]]:
    """Return `trade_block` of all trades, of each side, and of those of Positions and of sets."""
    in_sets = trades["group"].astype(str).str.startswith("S").to_numpy(bool)
    parts: dict[str, pd.DataFrame] = {"all": trades}
    for side in SIDES:
        parts[side] = trades[trades["side"] == side]
    parts |= {"in_positions": trades[~in_sets], "in_sets": trades[in_sets]}
    return {name: trade_block(part, inverse=inverse) for name, part in parts.items()}


def by_key(
    trades: pd.DataFrame, keys: Iterable[str], *, inverse: bool
) -> dict[str, dict[str, Any]]:
    """Return `trade_block` of the trades of each key, by key; ``keys`` has one a trade."""
    labels = np.array(list(keys), dtype=object)
    return {
        str(key): trade_block(trades[labels == key], inverse=inverse)
        for key in sorted(set(labels.tolist()))
    }


# ---------------------------------------------------------------------- sets
def set_figures(sets: pd.DataFrame) -> dict[str, Any]:
    """Return figures of the sets: all and each side, and one row for each set.

    A set's net_pnl is ``group_pnl - fees - funding_paid`` against its own average; the figures
    are of closed sets.
    """
    parts: dict[str, pd.DataFrame] = {"all": sets}
    for side in SIDES:
        parts[side] = sets[sets["side"] == side]
    rows = [_set_row(row) for row in sets.to_dict("records")]
    return {**{name: _set_block(part) for name, part in parts.items()}, "each": rows}


def _set_block(sets: pd.DataFrame) -> dict[str, Any]:
    closed = sets[sets["ended"].notna()]
    net = closed["net_pnl"].to_numpy(np.float64)
    wins = int(np.count_nonzero(net > 0.0))
    return {
        "made": len(sets),
        "closed": len(closed),
        "open": len(sets) - len(closed),
        "wins": wins,
        "win_rate": wins / len(net) if len(net) else None,
        "net_pnl": float(net.sum()),
        "expectancy": _mean(net),
        **win_and_loss(net),
        **holding_hours(closed["born"], closed["ended"]),
    }


_SET_COLUMNS = (
    "set", "side", "status", "entries", "contracts", "average_entry", "exit_price", "exit_reason",
    "group_pnl", "fees", "funding_paid", "net_pnl",
)  # fmt: skip


def _set_row(row: dict[Any, Any]) -> dict[str, Any]:
    plain = {name: _plain(row[name]) for name in _SET_COLUMNS}
    ended = not pd.isna(row["ended"])
    held = (row["ended"] - row["born"]) / pd.Timedelta(_HOUR_MS, unit="ms") if ended else None
    return {**plain, "holding_hours": held}


def _plain(value: Any) -> Any:
    """Return a cell as JSON can hold it: None for a blank, Python's own numbers."""
    if value is None or pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
