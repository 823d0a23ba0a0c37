"""Files that are whole or not there: written aside, brought to disk, renamed; and locks.

A reader needs no lock: it sees a file before a rename or after it, never between.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptosim_bt.errors import StoreError

_ASIDE: Final = ".writing-"
_LOCK: Final = ".lock"


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Put a whole file in the place of `path`, or leave what is there.

    The bytes reach the disk before the name does (fsync of the file, rename, fsync of the folder):
    a crash at any moment, of the program or the machine, leaves the old file or the new one.
    What a killed writer left aside is removed by the next one; hold the folder's `locked`. Raise
    `StoreError` if it cannot be written; the old file is untouched.
    """
    aside = path.with_name(f"{_ASIDE}{os.getpid()}-{path.name}")
    try:
        _make_folder(path.parent)
        try:
            with aside.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}; free the disk, or name another "
            "folder with data.directory"
        ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder that outlives a crash: its name, and those above it, reach the disk too."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and keeps renames in order by itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path, purpose: str = "write", waiting: Callable[[], None] | None = None,
           timeout_s: float = -1) -> Iterator[None]:  # fmt: skip
    """Hold a folder for one purpose against all other processes; a killed holder lets go.

    It is made where it is not there. Holders for different purposes do not shut each other out;
    `waiting` is called once when another process holds it. Raise `StoreError` if it cannot be
    written, or another process keeps it longer than `timeout_s` (negative: wait for ever).
    """
    import filelock  # takes as long as half of pandas; runs from files never lock

    try:
        _make_folder(folder)
        lock = filelock.FileLock(folder / f"{_LOCK}-{purpose}")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if waiting is not None:
                waiting()
            lock.acquire(timeout=timeout_s)
    except filelock.Timeout as error:
        raise StoreError(f"{folder}: another process holds it; try again later") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"{folder}: cannot be locked: {reason}; name another data.directory"
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path) -> int:
    """Remove what killed writers left aside; hold the folder's write lock. Return how many."""
    left = list(folder.glob(f"{_ASIDE}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def read_json(path: Path) -> Any:
    """Read a JSON file; None where there is none, `StoreError` where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read: {error.strerror or error}; name another data.directory"
        ) from error
    except ValueError as error:
        raise StoreError(
            f"{path}: is damaged ({type(error).__name__}); `verify-data --repair` sets it aside"
        ) from error


def write_json(path: Path, value: object) -> None:
    """Replace a JSON file whole."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"

    def write(file: BinaryIO) -> None:
        file.write(text.encode("utf-8"))

    replace_file(path, write)


# ---------------------------------------------------------------------- names
def folder_name(symbol: str) -> str:
    """Write a symbol as a folder's name: ``BTC/USD:BTC`` is ``BTC-USD_BTC``.

    ``/`` becomes ``-``, ``:`` becomes ``_``; any other sign but letters, digits and dots is written
    as ``%`` and its code, so that `symbol_of` can tell them apart.
    """
    def escape(match: re.Match[str]) -> str:
        sign = match.group()
        known = {"/": "-", ":": "_"}
        return known.get(sign) or "".join(f"%{byte:02X}" for byte in sign.encode("utf-8"))

    return re.sub(r"[^A-Za-z0-9.]", escape, symbol)


def symbol_of(name: str) -> str:
    """Read a symbol back from its folder's name."""
    plain = name.replace("-", "/").replace("_", ":")
    raw = re.sub(rb"%([0-9A-F]{2})", lambda code: bytes([int(code[1], 16)]), plain.encode("utf-8"))
    return raw.decode("utf-8", errors="replace")
