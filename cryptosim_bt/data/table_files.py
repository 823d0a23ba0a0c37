"""Files of market data as bytes: single ones, lists, folders, archives; never more than a limit.

What is no regular file (a device, a pipe) is refused before it is opened, and what unpacks to much
more than any table of bars would is refused while it is unpacked.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cryptosim_bt.errors import DataError, listed

PARQUET: Final = (".parquet", ".pq")
FEATHER: Final = (".feather", ".arrow")
_TEXT: Final = (".csv", ".tsv", ".json", ".jsonl")
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip")
_BOOKS: Final = (".xlsx", ".xls", ".ods")

FORMS: Final = "CSV (.csv, .csv.gz, .zip, ...), JSON, Parquet (.parquet) or Feather (.feather)"

# The largest file of minutes that we know has some 500 MB; text of bars packs to a tenth or so,
# while a bomb unpacks to a thousand times its size.
MAX_BYTES: Final = 2 * 2**30
_ALWAYS_ALLOWED: Final = 64 * 2**20
_MOST_PACKED: Final = 100
_MOST_MEMBERS: Final = 10_000

READ_ERRORS: Final = (
    OSError, EOFError, ValueError, ImportError, NotImplementedError, RuntimeError,
    zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip
"""What decompressors, pandas and pyarrow raise for broken files; ValueError: parsing, encoding,
emptiness; RuntimeError: a zip file with a password."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one table: ``name`` for messages, ``ending`` without that of the packing."""

    name: str
    ending: str
    data: bytes


def cannot_be_read(name: str, error: Exception) -> DataError:
    """Return the error for a file that is broken, or not what its ending says."""
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return DataError(
        f"{name}: cannot be read ({reason}); needed: {FORMS}, matching the file's ending"
    )


def contents(paths: Sequence[Path], notes: list[str]) -> Iterator[Content]:
    """Yield the tables of files, of all files in folders, and of all files in archives.

    Files come in the order given, those of a folder by their names; what was left out is added to
    `notes`. Raise `DataError` if one is missing, empty, broken, no regular file, or larger than any
    table of bars.
    """
    for path in files_of(paths, notes):
        with _opening(path):
            state = _regular(path)
            if state.st_size == 0:
                raise DataError(f"{path}: the file is empty; give a file with data")
            if state.st_size > MAX_BYTES:
                raise _too_large(str(path), MAX_BYTES)
            data = path.read_bytes()
        yield from _unpacked(str(path), path.name, data, notes)


def files_of(paths: Sequence[Path], notes: list[str] | None = None) -> list[Path]:
    """Return the files that are meant by paths of files and folders."""
    found: list[Path] = []
    for path in paths:
        with _opening(path):
            found += _files_in(path, notes) if path.is_dir() else [path]
    return found


def file_sha256(*paths: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, of its bytes as they are (compressed or not).

    Of several files, or of those of a folder: the SHA-256 of their names and checksums.
    """
    files = files_of(paths)
    if files == [*paths] and len(files) == 1:
        return _sha256(paths[0])
    lines = [f"{_sha256(path)} {path.name}\n" for path in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    with _opening(path):
        _regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Turn what a system says of a path into a sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; give the path of {FORMS}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read: {reason}; check the path") from error


def _regular(path: Path) -> os.stat_result:
    """Return the file's state; a device or a pipe could be read for ever."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        found = "a folder" if stat.S_ISDIR(state.st_mode) else "a device or a pipe, no file"
        raise DataError(f"{path}: is {found}; give the path of {FORMS}")
    return state


def _files_in(folder: Path, notes: list[str] | None) -> list[Path]:
    every = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    found = [each for each in every if _holds_a_table(each.name) and not each.is_dir()]
    if not found:
        raise DataError(f"{folder}: is a folder without a file of market data; needed: {FORMS}")
    others = [each.name for each in every if each not in found]
    if others and notes is not None:
        notes.append(f"left out of the folder: {listed(others)}")
    return found


def _holds_a_table(name: str) -> bool:
    lower = name.lower()
    plain = _without_packing(lower)
    return plain.endswith((*_TEXT, *PARQUET, *FEATHER)) or lower.endswith(".zip")


def _without_packing(name: str) -> str:
    ending = Path(name).suffix.lower()
    return name[: -len(ending)] if ending in _PACKED else name


def _unpacked(name: str, file_name: str, data: bytes, notes: list[str]) -> Iterator[Content]:
    ending = Path(file_name).suffix.lower()
    if ending in _BOOKS:
        raise DataError(f"{name}: is a workbook; save its sheet as CSV and give that")
    try:
        if ending == ".zip":
            yield from _members(name, data, notes)
            return
        if ending in _PACKED:
            data = _decompressed(name, ending, data)
    except READ_ERRORS as error:
        raise cannot_be_read(name, error) from error
    yield Content(name, Path(_without_packing(file_name)).suffix.lower(), data)


def _decompressed(name: str, ending: str, data: bytes) -> bytes:
    stream: Any
    if ending == ".zst":
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.py_buffer(data), "zstd")
    else:
        stream = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[ending].open(io.BytesIO(data))
    with stream:
        return _limited(name, stream, len(data))


def _limited(name: str, stream: IO[bytes], packed: int) -> bytes:
    """Read a stream that unpacks, up to what any table of bars could have."""
    limit = min(MAX_BYTES, max(_ALWAYS_ALLOWED, _MOST_PACKED * packed))
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise _too_large(name, limit)
    return data


def _too_large(name: str, limit: int) -> DataError:
    return DataError(
        f"{name}: holds more than {limit / 2**20:,.0f} MB, more than bars would take; give the "
        "file of bars, or cut it in several"
    )


def _members(name: str, data: bytes, notes: list[str]) -> Iterator[Content]:
    """Yield the tables of a zip file; a single member may have any ending."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [each for each in archive.infolist() if not each.is_dir()]
        if len(members) > _MOST_MEMBERS:
            raise DataError(f"{name}: holds {len(members):,} files; give those that are needed")
        chosen = [each for each in members if _is_table_member(each.filename)]
        chosen = sorted(chosen, key=lambda each: each.filename) or members[:1]
        if not chosen or (len(members) > 1 and not _is_table_member(chosen[0].filename)):
            raise DataError(f"{name}: holds no file of market data; needed: {FORMS}")
        others = [each.filename for each in members if each not in chosen]
        if others:
            notes.append(f"left out of the archive: {listed(others)}")
        for each in chosen:
            with archive.open(each) as stream:
                inner = _limited(name, stream, len(data))
            label = name if len(chosen) == 1 else f"{name}, {each.filename}"
            file_name = Path(each.filename).name
            if file_name.lower().endswith(".zip"):
                raise DataError(f"{label}: is an archive in an archive; unpack the outer one")
            yield from _unpacked(label, file_name, inner, notes)


def _is_table_member(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
    return _holds_a_table(Path(name).name) and not hidden
