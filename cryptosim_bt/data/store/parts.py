"""One file of a series: rows of a month or a year, and the spans of which everything is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from cryptosim_bt.data.store.files import replace_file
from cryptosim_bt.data.store.spans import Span, Spans, union
from cryptosim_bt.errors import StoreError

FORMAT: Final = 1
_KEY: Final = b"cryptosim"

Columns = dict[str, npt.NDArray[Any]]
"""``time`` (int64, ms) and float64 columns of the same length."""


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What a file says of itself, read without its rows.

    ``first_ms`` and ``last_ms`` are the first and last row's times, None where there are no rows.
    """

    labels: dict[str, str]
    known: Spans
    rows: int
    first_ms: int | None
    last_ms: int | None


def write_part(path: Path, labels: dict[str, str], columns: Columns, known: Spans) -> None:
    """Replace a file; rows ascending. Each row names its venue, so that none can lose it."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # some milliseconds, that runs from files need not wait

    times = columns["time"]
    meta = {
        "format": FORMAT,
        **labels,
        "known": [list(span) for span in known],
        "first_ms": int(times[0]) if len(times) else None,
        "last_ms": int(times[-1]) if len(times) else None,
    }
    venue = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(times), dtype=np.int32)), pa.array([labels["venue"]])
    )
    arrays = {"venue": venue, **{name: pa.array(values) for name, values in columns.items()}}
    table = pa.table(arrays).replace_schema_metadata({_KEY: json.dumps(meta).encode()})

    def write(file: BinaryIO) -> None:
        pq.write_table(
            table, file, compression="zstd", write_page_checksum=True,
            use_dictionary=["venue"], write_statistics=False,
        )  # fmt: skip

    replace_file(path, write)


def read_info(path: Path) -> PartInfo:
    """Read a file's own description.

    Raises
    ------
    StoreError
        If it is damaged or no file of a store.
    """
    import pyarrow.parquet as pq

    try:
        meta = pq.read_metadata(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    return _info(path, meta.metadata, meta.num_rows)


def read_part(path: Path, names: tuple[str, ...]) -> tuple[PartInfo, Columns]:
    """Read a file's description and some of its columns; page checksums are compared.

    Raises
    ------
    StoreError
        If it is damaged or no file of a store.
    """
    import pyarrow.parquet as pq

    try:
        # The file is opened once: a rename by another process in between changes nothing.
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle, page_checksum_verification=True)
            table = file.read(columns=list(names))
            meta = file.metadata
        # Copies: without them, the whole table would stay in memory as long as one column does.
        columns = {name: table.column(name).to_numpy().copy() for name in names}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise damaged(path, error) from error
    return _info(path, meta.metadata, meta.num_rows), columns


def damaged(path: Path, error: Exception) -> StoreError:
    """Return the error that names a damaged file."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return StoreError(f"{path}: is damaged ({reason[:120]}); `verify-data --repair` fixes it")


def _info(path: Path, metadata: dict[bytes, bytes] | None, rows: int) -> PartInfo:
    try:
        meta = json.loads((metadata or {})[_KEY])
        if meta["format"] > FORMAT:
            raise StoreError(
                f"{path}: was written by a newer CryptoSim (format {meta['format']}); update"
            )
        known: list[Span] = [(int(start), int(end)) for start, end in meta["known"]]
        return PartInfo(
            labels={name: str(meta[name]) for name in ("venue", "symbol", "kind")},
            known=union(known),
            rows=rows,
            first_ms=meta["first_ms"],
            last_ms=meta["last_ms"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path, error) from error
