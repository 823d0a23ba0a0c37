"""One file of a series: rows of a month or a year, and the spans of which everything is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pandas as pd

from cryptosim_bt.data.store.files import replace_file
from cryptosim_bt.data.store.spans import Span, Spans, union
from cryptosim_bt.errors import StoreError

FORMAT: Final = 1
_KEY: Final = b"cryptosim"


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


def write_part(path: Path, labels: dict[str, str], rows: pd.DataFrame, known: Spans) -> None:
    """Replace a file; rows ascending. Each row names its venue, so that none can lose it."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # some milliseconds, that runs from files need not wait

    bounds = [int(rows["time"].iloc[at]) if len(rows) else None for at in (0, -1)]
    meta = {
        "format": FORMAT,
        **labels,
        "known": [list(span) for span in known],
        "first_ms": bounds[0],
        "last_ms": bounds[1],
    }
    venue = pa.DictionaryArray.from_arrays(
        pa.array([0] * len(rows), pa.int32()), pa.array([labels["venue"]])
    )
    arrays = {"venue": venue, **{name: pa.array(rows[name].to_numpy()) for name in rows.columns}}
    table = pa.table(arrays).replace_schema_metadata({_KEY: json.dumps(meta).encode()})

    def write(file: BinaryIO) -> None:
        pq.write_table(
            table, file, compression="zstd", write_page_checksum=True,
            use_dictionary=["venue"], write_statistics=False,
        )  # fmt: skip

    replace_file(path, write)


def read_part(path: Path, names: tuple[str, ...]) -> tuple[PartInfo, pd.DataFrame]:
    """Read a file's description and some of its columns, the time among them, or none.

    Page checksums are compared. `StoreError` if it is damaged or no file of a store.
    """
    import pyarrow.parquet as pq

    try:
        if not names:
            meta = pq.read_metadata(path)
            return _info(path, meta.metadata, meta.num_rows), pd.DataFrame()
        # The file is opened once: a rename by another process in between changes nothing.
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle, page_checksum_verification=True)
            table = file.read(columns=list(names))
            meta = file.metadata
        # A frame copies: otherwise the whole table would stay in memory as long as one column does.
        rows = pd.DataFrame({name: table.column(name).to_numpy() for name in names})
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError) as error:
        raise damaged(path, error) from error
    if not rows["time"].is_monotonic_increasing:
        raise damaged(path, ValueError("its times do not ascend"))
    return _info(path, meta.metadata, meta.num_rows), rows


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
