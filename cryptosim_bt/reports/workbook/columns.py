"""Columns and sheets, the words of which the workbook's tables are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words

Kind = Literal[
    "time", "date", "price", "average", "number", "contracts", "amount", "count", "money", "value",
    "pnl", "percent", "rate", "hours", "text", "word",
]  # fmt: skip
Tone = Literal["long", "short", "profit", "loss"]

TONES: dict[str, Tone] = {
    "long": "long", "short": "short", "take_profit": "profit", "stop_loss": "loss",
    "liquidation": "loss",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column: its name in the words, what its values are, and their colours if they differ."""

    name: str
    kind: Kind
    values: pd.Series
    tones: Sequence[Tone | None] | None = None


@dataclass(frozen=True)
class Sheet:
    """One sheet of rows; ``name`` is the table of the result that it shows."""

    name: str
    columns: list[Column]

    def __len__(self) -> int:
        return len(self.columns[0].values)


def in_words(name: str, values: pd.Series, words: Words) -> Column:
    """Return a column of the tables' own values in words, coloured by what they are."""
    raw = values.astype(object).where(values.notna(), None).tolist()
    shown = {value: words.shown(value) for value in set(raw) if value is not None}
    return Column(name, "text", objects(map(shown.get, raw)), [TONES.get(v) for v in raw])


def invested(contracts: pd.Series, entries: pd.Series, facts: RunFacts) -> pd.Series:
    """Return the initial margin at an entry price, blank where nothing is held."""
    margin = facts.contract.initial_margin
    return each_pair(lambda count, price: margin(count, price, facts.leverage), contracts, entries)


def each_pair(
    function: Callable[[float, float], float], contracts: pd.Series, prices: pd.Series
) -> pd.Series:
    """Return a figure of contracts and a price for each row."""
    # One by one: the contracts' arithmetic is of floats. A float divided by NaN is NaN.
    pairs = zip(contracts.astype(float).tolist(), prices.astype(float).tolist(), strict=True)
    return pd.Series([function(*pair) for pair in pairs], dtype=np.float64)


def without_zeros(values: pd.Series) -> pd.Series:
    """Return values with 0 as blank, to divide by."""
    return values.where(values != 0.0)


def objects(values: Iterable[Any]) -> pd.Series:
    """Return values of any kind, None among them."""
    return pd.Series(list(values), dtype=object)
