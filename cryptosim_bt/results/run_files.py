"""What a run wrote: its manifest, and whether its files are whole and free."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptosim_bt.data.tabular import file_sha256
from cryptosim_bt.errors import OutputError

MANIFEST = ".cryptosim-run"
# What spreadsheet programs leave beside a workbook that they have open.
_LOCK_PATTERNS = ("~$*.xlsx", ".~lock.*#")
_WROTE = re.compile(r"\d{1,18} [0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_manifest(folder: Path) -> dict[str, str] | None:
    """Return size and SHA-256 of the files that a run wrote by their names, None if not told."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    plain = isinstance(found, dict) and all(
        _WROTE.fullmatch(str(wrote)) and not Path(name).is_absolute() and ".." not in
        Path(name).parts for name, wrote in found.items()
    )  # fmt: skip
    return found if plain else None


def write_manifest(folder: Path, paths: Iterable[Path]) -> None:
    """List files of a run in its folder as its own, besides those that are listed."""
    files = {**(read_manifest(folder) or {})}
    files |= {path.relative_to(folder).as_posix(): digest(path) for path in paths}
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)


def digest(path: Path) -> str:
    """Return a file's size and SHA-256, as the manifest has them."""
    return f"{path.stat().st_size} {file_sha256(path)}"


def check_whole(folder: Path, counts: Mapping[str, tuple[int, int]]) -> None:
    """Raise `OutputError` where a table of a finished run was cut.

    That is where it ends within a row, is shorter than its run wrote it, or has fewer rows than
    they should be: ``counts`` gives both by its name.
    """
    own = read_manifest(folder) or {}
    for path in sorted(folder.glob("*.csv")):
        size, wrote = path.stat().st_size, int(own.get(path.name, "0").partition(" ")[0])
        rows, expected = counts.get(path.stem, (0, 0))
        why = f"{rows:,} rows of {expected:,}" if rows < expected else None
        if size < wrote:
            why = f"{size:,} bytes of {wrote:,}"
        elif size and not _ends_a_line(path):
            why = "it ends within a row"
        if why is not None:
            raise OutputError(
                f"{folder}: {path.name} was cut: {why}; copy the run's folder once more, or run "
                "its config.yaml again"
            )


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def note_files(folder: Path, paths: Iterable[Path]) -> None:
    """List files that were made of a finished run as its own, where the run tells its files."""
    if read_manifest(folder) is not None:
        write_manifest(folder, paths)


def disk_is_full(error: BaseException | None) -> bool:
    """Tell whether an exception comes of a disk without space, a quota or a size limit."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def check_not_open(folder: Path) -> None:
    """Raise `OutputError` where a workbook in a folder is open in another program."""
    for pattern in _LOCK_PATTERNS:
        for lock in folder.glob(pattern):
            raise OutputError(
                f"{folder}: {lock.name} shows that a workbook in it is open in another program; "
                "close it there, or name another folder"
            )
