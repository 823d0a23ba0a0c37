"""Files with faults that nobody thought of: a table of bars comes out, or one short sentence."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosim_bt.data.bars import COLUMNS, check_bars
from cryptosim_bt.data.funding import read_funding_file
from cryptosim_bt.errors import InputError
from cryptosim_bt.feeds.file import FileFeed
from tests.data.test_file_forms import FORMS, JSON, REFUSED, ROWS, USUAL, request

CELLS = (
    "", " ", "0", "-1", "1e308", "1e999", "-0.0", "NaN", "inf", "None", "null", "true", "now",
    "today", "NaT", "2025-01-01", "05.02.2025", "2025-13-45", "9999-12-31", "0001-01-01",
    "1735689600", "99999999999999999999", "9" * 5000, "-9223372036854775808", "0.01%", "%", "1,5",
    '"', '""', "'", "#", "[", "{", "\\", "\0", "\ufeff", "시간", "\ud7ff", "x" * 3000, "12:30",
    "2025-01-01T00:00:00+99:99", "1_000", "0x1F", "=1+1", "\x1a", "\r", "\u2028",
)  # fmt: skip
TEXTS = [form for form, _ in FORMS.values()] + [form for form, _ in REFUSED.values()][:-1]
TEXTS += [json.dumps(value) for value in JSON.values()]
ENDINGS = (".csv", ".json", ".txt", ".csv.gz", ".zip", ".parquet", ".feather", ".xz", ".bz2",
           ".zst")  # fmt: skip
FAST = settings(
    max_examples=200, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def _packed(data: bytes, ending: str) -> bytes:
    if ending == ".csv.gz":
        return gzip.compress(data, 1)
    if ending == ".zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("bars.csv", data)
            archive.writestr("more.csv", data)
        return packed.getvalue()
    table = pd.DataFrame(ROWS, columns=USUAL.split(","))
    packed = io.BytesIO()
    if ending == ".parquet":
        table.to_parquet(packed)
    elif ending == ".feather":
        table.to_feather(packed)
    return packed.getvalue() or data


@st.composite
def mutated_texts(draw: st.DrawFn) -> str:
    """A file that could be read, with a few of its cells, lines and signs changed."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        separator = draw(st.sampled_from([",", "\n", "\t", ":", ""]))
        parts = text.split(separator) if separator else list(text or " ")
        place = draw(st.integers(0, len(parts) - 1))
        change = draw(st.sampled_from(["cell", "out", "twice", "cut", "swap", "turn"]))
        if change == "cell":
            parts[place] = draw(st.sampled_from(CELLS) | st.text(max_size=5))
        elif change == "out":
            del parts[place]
        elif change == "twice":
            parts.insert(place, parts[place])
        elif change == "cut":
            parts = parts[:place]
        elif change == "swap":
            other = draw(st.integers(0, len(parts) - 1))
            parts[place], parts[other] = parts[other], parts[place]
        else:
            parts.reverse()
        text = separator.join(parts)
    return text


@st.composite
def mutated_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """The ending and the bytes of a file."""
    ending = draw(st.sampled_from(ENDINGS))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "cp949"]))
    data = _packed(draw(mutated_texts()).encode(encoding, "replace"), ending)
    if draw(st.booleans()) and data:
        place = draw(st.integers(0, len(data) - 1))
        noise = draw(st.binary(max_size=8))
        data = data[:place] + noise + data[place + draw(st.integers(0, 50)) :]
    return ending, data


def _one_short_sentence(error: InputError) -> None:
    assert len(str(error)) < 1_600
    assert "\n" not in str(error)


def _read(path: Path, read: Callable[[Path], object]) -> None:
    try:
        read(path)
    except InputError as error:
        _one_short_sentence(error)


def _bars(path: Path) -> None:
    bars = FileFeed().load(request(path))
    assert list(bars.columns) == list(COLUMNS)
    assert bars.index.is_monotonic_increasing
    check_bars(bars, "1h", str(path))


@FAST
@given(file=mutated_files())
def test_mutated_file_of_bars_is_read_or_refused(tmp_path: Path, file: tuple[str, bytes]) -> None:
    path = tmp_path / f"bars{file[0]}"
    path.write_bytes(file[1])
    _read(path, _bars)


@FAST
@given(file=mutated_files())
def test_mutated_file_of_rates_is_read_or_refused(tmp_path: Path, file: tuple[str, bytes]) -> None:
    path = tmp_path / f"rates{file[0]}"
    path.write_bytes(file[1].replace(b"open", b"rate"))
    _read(path, read_funding_file)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("column", range(6))
def test_any_cell_of_bars_is_read_or_refused(tmp_path: Path, cell: str, column: int) -> None:
    rows = [[str(value) for value in row] for row in ROWS]
    rows[1][column] = cell
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([USUAL, *map(",".join, rows)]), encoding="utf-8", newline="")
    _read(path, _bars)
