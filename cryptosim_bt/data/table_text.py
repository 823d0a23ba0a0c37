"""The bytes of a file as a table of cells: CSV as people have it, JSON, Parquet, Feather."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from cryptosim_bt.data.table_columns import Layout, is_first_row, named_without_header
from cryptosim_bt.data.table_files import (
    FEATHER,
    MAX_BYTES,
    PARQUET,
    READ_ERRORS,
    Content,
    cannot_be_read,
)
from cryptosim_bt.errors import DataError

# Before 3.1, pandas could be off in the last bit; since then the option is deprecated.
_PANDAS: Final = tuple(int(part) for part in pd.__version__.split(".")[:2])
EXACT_FLOATS: Final[dict[str, Any]] = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_COMMENT: Final = re.compile(r"\s*(#|//|;;|https?:)")
_BOMS: Final = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_HEAD: Final = 40
_BYTES_A_CELL: Final = 8
_DEEPEST: Final = 6


def raw_table(content: Content, layout: Layout, notes: list[str]) -> pd.DataFrame:
    """Return a file's cells with the names of their columns; what was done to it is in `notes`.

    `DataError` if the bytes are not what the file's ending says, or do not hold one table.
    """
    name = content.name
    try:
        if content.ending in PARQUET:
            raw = _parquet(content)
        elif content.ending in FEATHER:
            raw = pd.read_feather(io.BytesIO(content.data))
        else:
            text = _decoded(content, notes)
            if content.ending in (".json", ".jsonl") or text.lstrip()[:1] in ("[", "{"):
                return _from_json(text, layout, name, notes)
            return _from_csv(text, layout, name, notes)
    except (*READ_ERRORS, RecursionError, MemoryError) as error:
        raise cannot_be_read(name, error) from error
    return raw if has_plain_index(raw) else raw.reset_index()


def has_plain_index(raw: pd.DataFrame) -> bool:
    """Tell whether the index only counts rows. Times at equal steps may be a RangeIndex too."""
    return raw.index.equals(pd.RangeIndex(len(raw)))


def _parquet(content: Content) -> pd.DataFrame:
    import pyarrow.parquet as pq

    size = pq.ParquetFile(io.BytesIO(content.data)).metadata
    # A few bytes may say "the same value, a billion times".
    if size.num_rows * size.num_columns * _BYTES_A_CELL > MAX_BYTES:
        raise ValueError(f"{size.num_rows:,} rows of {size.num_columns} columns are too many")
    return pd.read_parquet(io.BytesIO(content.data))


def _decoded(content: Content, notes: list[str]) -> str:
    data = content.data
    encoding = _BOMS.get(data[:2], "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        try:
            text = data.decode("cp949")
        except UnicodeDecodeError as error:
            raise ValueError("it is no text in UTF-8 or cp949") from error
        encoding = "cp949"
    if "\0" in text:
        raise ValueError("it is no text")
    if encoding != "utf-8-sig":
        notes.append(f"text in {encoding}")
    return text


# ---------------------------------------------------------------------- CSV
def _from_csv(text: str, layout: Layout, name: str, notes: list[str]) -> pd.DataFrame:
    lines = _LINE_END.split(text[: 2**20], maxsplit=_HEAD)[:_HEAD]
    number, has_header = _start(lines, layout)
    first = lines[number]
    skipped = [line for line in lines[:number] if line.strip()]
    if skipped:
        notes.append(f"{len(skipped)} line(s) above the header left out")
    body = _LINE_END.split(text, maxsplit=number)[number] if number else text
    body = _without_odd_lines(body, first if has_header else None, notes)
    raw: pd.DataFrame = pd.read_csv(
        io.StringIO(body),
        sep=_separator(first),
        header=0 if has_header else None,
        **EXACT_FLOATS,
        skipinitialspace=True,
        low_memory=False,  # in chunks, one column could come out in two types
    )
    if not has_plain_index(raw):
        raise DataError(f"{name}: the rows have more cells than the header; mend the header")
    return raw if has_header else named_without_header(raw, layout, name, notes)


def _start(lines: list[str], layout: Layout) -> tuple[int, bool]:
    """Return the line at which the table starts, and whether that is a header."""
    cells = [_cells(line) for line in lines]
    for number, each in enumerate(cells):
        if layout.knows_header(each):
            return number, True
        if is_first_row(each) and not _COMMENT.match(lines[number]):
            break
    rows = [number for number, line in enumerate(lines) if line.strip()]
    if not rows:
        raise ValueError("it has no lines")
    likely = (each for each in rows if len(cells[each]) > 1 and not _COMMENT.match(lines[each]))
    number = next(likely, rows[0])
    return number, not is_first_row(cells[number])


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(_separator(line))]


def _separator(line: str) -> str:
    return max(",;\t|", key=line.count)


def _without_odd_lines(body: str, header: str | None, notes: list[str]) -> str:
    """Leave out comments, and headers that come again where files were put together."""
    if "\n#" not in body and (header is None or body.count(header) == 1):
        return body
    first, *rest = _LINE_END.split(body)
    rest = [line for line in rest if not line.startswith("#")]
    kept = [line for line in rest if header is None or line.strip() != header.strip()]
    if len(kept) < len(rest):
        notes.append(f"the header came again {len(rest) - len(kept)} time(s), left out")
    return "\n".join([first, *kept])


# ---------------------------------------------------------------------- JSON
def _from_json(text: str, layout: Layout, name: str, notes: list[str]) -> pd.DataFrame:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        lines = [line for line in _LINE_END.split(text) if line.strip()]
        if error.msg != "Extra data" or len(lines) < 2:
            raise ValueError(f"no JSON: {error.msg} in line {error.lineno}") from error
        value = [json.loads(line) for line in lines]
    tables = list(_tables_in(value, 0))
    if len(tables) > 1:
        raise DataError(f"{name}: holds {len(tables)} tables; give a file with one of them")
    rows = tables[0] if tables else []
    if isinstance(rows, dict) or all(isinstance(row, dict) for row in rows):
        return pd.DataFrame(rows)
    if not all(isinstance(row, list) for row in rows):
        raise DataError(f"{name}: its rows are neither arrays nor objects all of them")
    uneven = next((n for n, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if uneven is not None:
        raise DataError(
            f"{name}: row {uneven + 1} has {len(rows[uneven])} cells, the first {len(rows[0])}; "
            "mend the rows"
        )
    first = [str(cell) for cell in rows[0]]
    if not is_first_row(first):
        return pd.DataFrame(rows[1:], columns=first)
    return named_without_header(pd.DataFrame(rows), layout, name, notes)


def _tables_in(value: Any, depth: int) -> Iterator[Any]:
    """Yield what could be tables: lists of rows, or a list for each column."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
        yield value
    if not isinstance(value, dict):
        return
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        yield [value["columns"], *value["data"]]  # as pandas splits a table
        return
    if len(value) > 1 and all(_is_row(row) for row in value.values()):
        yield [{"index": key, **row} for key, row in value.items()]
        return
    columns = {key: each for key, each in value.items() if _is_column(each)}
    if len(columns) > 1 and len({len(each) for each in columns.values()}) == 1:
        yield {key: list(each.values()) if isinstance(each, dict) else each
               for key, each in columns.items()}  # fmt: skip
        return
    for each in value.values():
        yield from _tables_in(each, depth + 1)


def _is_row(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and not all(key.isdigit() for key in value)
        and not any(isinstance(cell, (list, dict)) for cell in value.values())
    )


def _is_column(value: Any) -> bool:
    cells = list(value.values()) if isinstance(value, dict) else value
    return (
        isinstance(cells, list)
        and bool(cells)
        and not any(isinstance(cell, (list, dict)) for cell in cells)
        and (isinstance(value, list) or all(key.isdigit() for key in value))
    )
