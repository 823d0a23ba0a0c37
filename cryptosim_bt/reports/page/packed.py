"""Tables as compressed columns for the page: whole numbers, differences, one byte at a time.

A column of n values becomes n differences of whole numbers (the value times a power of ten), each
folded so that small ones of either sign are small (0, -1, 1, -2 ... as 0, 1, 2, 3 ...), and the
four bytes of all of them are laid out one after the other: first all lowest bytes, then the next.
Neighbouring bars differ little, so the upper bytes are nearly all zero and gzip makes nothing of
them: a column costs one to two bytes a bar. `assets/page_data.js` reads it back.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]

# The fastest level: zlib's usual one (6) takes more than twice as long and saves 3 %.
_LEVEL = 1
# Differences that four bytes hold once folded, and whole numbers that a double holds.
_LARGEST_STEP, _LARGEST_WHOLE = 2**31 - 1, 2**53


@dataclass
class PackedTable:
    """A table being packed, column by column.

    Attributes
    ----------
    rows
        Length of every column.
    columns
        What the reader needs to know of each column, for JSON.
    """

    rows: int
    columns: list[dict[str, Any]] = field(default_factory=list)
    _blocks: list[bytes] = field(default_factory=list)

    def add_numbers(self, name: str, values: Any, decimals: int) -> None:
        """Add numbers, rounded to ``decimals``; NaN, None and infinities become blanks.

        Numbers too large for whole numbers of that many decimals are kept as doubles.
        """
        given = pd.Series(pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan))
        blank = ~np.isfinite(given)
        bounds = np.flatnonzero(np.diff(np.concatenate(([False], blank, [False]))))
        # A blank costs least as the number before it.
        numbers = given.mask(blank).ffill().fillna(0.0).to_numpy()
        whole = np.round(numbers * 10.0**decimals)
        column = {"name": name, "decimals": decimals, "blanks": len(bounds), "first": 0}
        steps = np.diff(whole, prepend=whole[:1])
        if np.abs(whole).max(initial=0.0) > _LARGEST_WHOLE or np.abs(steps).max(
            initial=0.0
        ) > _LARGEST_STEP:
            column["form"] = "double"
            self._blocks.append(_bytewise(numbers.astype("<f8")))
        else:
            column["form"] = "steps"
            column["first"] = int(whole[0]) if len(whole) else 0
            self._blocks.append(_bytewise(_folded(steps)))
        self._blocks.append(_bytewise(_folded(np.diff(bounds, prepend=0))))
        self.columns.append(column)

    def add_times(self, name: str, times: pd.Series) -> None:
        """Add times as seconds since 1970, in milliseconds where seconds are not enough."""
        index = pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None)
        milliseconds = index.to_numpy("datetime64[ms]").astype(np.int64).astype(np.float64)
        milliseconds[index.isna()] = np.nan
        whole = np.nanmax(milliseconds % 1000.0, initial=0.0) == 0.0
        self.add_numbers(name, milliseconds / 1000.0, 0 if whole else 3)

    def add_texts(self, name: str, texts: pd.Series) -> None:
        """Add texts as numbers of a list; what is missing is a blank."""
        codes, levels = pd.factorize(texts.astype(object))
        self.add_numbers(name, np.where(codes < 0, np.nan, codes), 0)
        self.columns[-1]["levels"] = [str(level) for level in levels]

    def encoded(self) -> str:
        """Return all columns, compressed, as base64."""
        packed = gzip.compress(b"".join(self._blocks), compresslevel=_LEVEL, mtime=0)
        return base64.b64encode(packed).decode("ascii")


def _folded(steps: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    whole = steps.astype(np.int64)
    return ((whole << 1) ^ (whole >> 63)).astype("<u4")


def _bytewise(values: npt.NDArray[Any]) -> bytes:
    """Return all first bytes, then all second bytes, and so on."""
    return values.view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
