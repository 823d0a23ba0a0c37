"""A run's directory: claimed when the run begins, written aside, put in place whole.

A claim is a folder that the run made (`mkdir`) and locked (`flock`). It ends with its process,
however that ends and in whatever container: what is left of a killed run is known by its free lock,
and the next run beside it clears it away.

What a run wrote is listed in it, by name and SHA-256 (`MANIFEST`). Nothing else ever gives way.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from cryptosim_bt.errors import OutputError
from cryptosim_bt.results.run_files import (
    MANIFEST,
    check_not_open,
    digest,
    read_manifest,
    write_manifest,
)

if sys.platform != "win32":  # there, a claim is the folder made, and nothing else
    import fcntl

# A run in its own folder on its way into place; whoever finds it there goes on with it.
_PUBLISHING = ".cryptosim-publishing"
_STAGING = re.compile(r"\.(?P<name>.+)\.cryptosim-(?P<kind>made|kept)-[a-z0-9_]{8}")
_AT_CWD, _EXCHANGE = -100, 2  # of renameat2(2)


class RunDirectory:
    """Where a run's files go.

    Files are written into ``staging``, a hidden folder beside ``target`` (or in it, where the
    target is a mount or another's); `publish` puts it in place, `abandon` leaves nothing of it.

    Parameters
    ----------
    force
        Replace an earlier run at ``target``; files that are no run's are kept.
    numbered
        Take the next free name, ``target_2``, where something is at ``target``.
    inputs
        What the run reads; none of it may lie in a folder that is replaced.
    """

    def __init__(
        self,
        target: Path,
        *,
        force: bool = False,
        numbered: bool = False,
        inputs: Iterable[Path] = (),
    ) -> None:
        self.target = target.absolute()
        self._made: list[Path] = []
        self._locks: list[int] = []
        self._staged: Path | None = None
        try:
            self._make(numbered=numbered)
            self._claim()
            _clear_dead(self._real)
            finish_publishing(self._real)
            self._check(inputs, force=force)
            self._staged = self._stage()
        except OSError as error:
            self.abandon()
            raise OutputError(
                f"{self.target}: cannot be written: {error.strerror}; name another folder with "
                "--output or report.output_dir"
            ) from error
        except BaseException:
            self.abandon()
            raise

    @property
    def staging(self) -> Path:
        """The folder to write into."""
        assert self._staged is not None
        return self._staged

    # ------------------------------------------------------------------ the claim
    def _make(self, *, numbered: bool) -> None:
        """Make the target, and the folders above it, where they are not there."""
        wanted = self.target
        for number in itertools.count(2):
            self._real = self.target.resolve()
            _clear_dead(self._real.parent)
            for folder in (*reversed(self._real.parents), self._real):
                with contextlib.suppress(FileExistsError):
                    if not folder.exists():
                        folder.mkdir()
                        self._made.append(folder)
            if not numbered or self._real in self._made:
                return
            self.target = wanted.with_name(f"{wanted.name}_{number}")

    def _claim(self) -> None:
        if not self._real.is_dir():
            raise OutputError(f"{self.target}: is a file; name a folder with --output")
        try:
            self._locks.append(_lock(self._real))
        except BlockingIOError as error:
            self._made = []  # it is the other's
            raise OutputError(
                f"{self.target}: another run is writing to it; name another folder with --output"
            ) from error

    def _check(self, inputs: Iterable[Path], *, force: bool) -> None:
        if not any(self._real.iterdir()):
            return
        if not force:
            raise OutputError(
                f"{self.target}: is not empty; give --force to replace the run in it, or name "
                "another folder"
            )
        if Path.cwd().is_relative_to(self._real):
            raise OutputError(
                f"{self.target}: is the working directory; name a folder of its own with --output"
            )
        check_not_open(self._real)
        for path in inputs:
            if path.resolve().is_relative_to(self._real):
                raise OutputError(
                    f"{self.target}: holds {path.name}, which this run reads; name another folder "
                    "with --output"
                )
        own = read_manifest(self._real)
        if own is None:
            raise OutputError(
                f"{self.target}: holds no run (no {MANIFEST} that lists its files), so --force "
                "replaces nothing in it; name another folder with --output"
            )
        for name, wrote in own.items():
            path = self._real / name
            if path.is_file() and (path.is_symlink() or digest(path) != wrote):
                raise OutputError(
                    f"{self.target}: {name} was changed after its run, so --force does not "
                    "replace it; move it away, or name another folder with --output"
                )

    def _stage(self) -> Path:
        kind = "made" if self._real in self._made else "kept"
        prefix = f".{self._real.name}.cryptosim-{kind}-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._real))
        self._locks.append(_lock(folder))
        beside = self._real.with_name(folder.name)
        if _alike(folder, self._real):
            with contextlib.suppress(OSError):  # a mount, or a folder above that is another's
                return folder.rename(beside)
        return folder

    # ------------------------------------------------------------------ the end
    def publish(self) -> None:
        """Put the run in place: whoever looks finds the old or the new one, whole.

        Raises
        ------
        OutputError
            If it cannot be put there; it is then kept beside the target, in a folder that is named.
        """
        write_manifest(self.staging, _files(self.staging))
        try:
            foreign = self._foreign()
            for name in foreign:
                if os.path.lexists(self.staging / name):
                    raise FileExistsError(errno.EEXIST, f"{name} there is no run's file")
            shutil.copymode(self._real, self.staging)
            if self.staging.parent == self._real or not self._swap(foreign):
                self.staging.rename(self._real / _PUBLISHING)
                finish_publishing(self._real)
        except OSError as error:
            aside = self._keep(self.target)
            raise OutputError(
                f"{self.target}: cannot be replaced: {error.strerror}; the run is in {aside}"
            ) from error
        self._made = []
        self._release()

    def _foreign(self) -> list[Path]:
        """Return what in the target is no file of the run there, relative to it."""
        own = {Path(name) for name in (*(read_manifest(self._real) or ()), MANIFEST)}
        folders = {parent for path in own for parent in path.parents}
        found = (path.relative_to(self._real) for path in sorted(self._real.rglob("*"))
                 if not path.is_relative_to(self.staging))  # fmt: skip
        return [path for path in found if path not in own and path not in folders]

    def _swap(self, foreign: Iterable[Path]) -> bool:
        """Let staging and target change places at once; False where that cannot be done."""
        try:
            for path in foreign:
                there, here = self._real / path, self.staging / path
                here.parent.mkdir(parents=True, exist_ok=True)
                if there.is_symlink() or not there.is_dir():
                    os.link(there, here, follow_symlinks=False)
                else:
                    here.mkdir()
                    if there.is_mount() or not _alike(here, there):
                        return False
                    shutil.copystat(there, here)
            _change_places(self.staging, self._real)
        except OSError:
            return False
        shutil.rmtree(self.staging, ignore_errors=True)
        return True

    def keep_failed(self) -> Path | None:
        """Keep the log of a failure beside the target; return the folder, None if it cannot be."""
        try:
            return self._keep(self.target.with_name(f"{self.target.name}_failed"))
        except OSError:
            return None

    def _keep(self, wanted: Path) -> Path:
        kept = _unused(wanted)
        shutil.copymode(self._real, self.staging)
        shutil.move(self.staging, kept)
        return kept

    def full(self) -> OutputError:
        """Return the error of a disk that is full; there is nothing to keep."""
        return OutputError(
            f"{self.target}: cannot be written: no space is left on its disk (or in the quota); "
            "free some, or name a folder of another disk with --output"
        )

    def abandon(self) -> None:
        """Remove what was written and not published, and the folders made for it."""
        if self._staged is not None:
            shutil.rmtree(self._staged, ignore_errors=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # no longer empty
                folder.rmdir()
        self._release()

    def _release(self) -> None:
        while self._locks:
            os.close(self._locks.pop())
        self._staged = None


# ---------------------------------------------------------------------- locks and left-overs
def _lock(folder: Path, *, surely: bool = False) -> int:
    """Lock a folder until the returned descriptor is closed, or its process is no more.

    Raises BlockingIOError where another has it. A file system that knows no locks is as good as
    free, unless it has to be so ``surely``.
    """
    if sys.platform == "win32":
        return os.open(os.devnull, os.O_RDONLY)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if surely or isinstance(error, BlockingIOError):
            os.close(descriptor)
            raise
    if not folder.exists() or not os.path.samestat(os.fstat(descriptor), folder.stat()):
        os.close(descriptor)
        raise BlockingIOError(errno.EAGAIN, "another run has replaced it")
    return descriptor


def _clear_dead(parent: Path) -> None:
    """Remove what killed runs have left in a folder: staging, and the empty targets they made."""
    if sys.platform == "win32" or not os.access(parent, os.W_OK):
        return
    for path in parent.glob(".*.cryptosim-*"):
        found = _STAGING.fullmatch(path.name)
        if found is None or path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError):  # it lives, or is another's
            lock = _lock(path, surely=True)
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
            if found["kind"] == "made":
                target = parent / found["name"]
                lock = _lock(target, surely=True)
                with contextlib.suppress(OSError):  # it holds something
                    target.rmdir()
                os.close(lock)


def finish_publishing(folder: Path) -> None:
    """Go on with a run that was being put in place, if there is one in its folder."""
    waiting = folder / _PUBLISHING
    if not waiting.is_dir():
        return
    new = read_manifest(waiting)
    if new is not None:  # the manifest goes last: without it all is in place
        for name in (read_manifest(folder) or {}).keys() - new.keys():
            (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                (folder / name).parent.rmdir()
        for name in (*new, MANIFEST):
            if (waiting / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (waiting / name).replace(folder / name)
    shutil.rmtree(waiting)


def finished(folder: Path) -> Path:
    """Return a run's folder for its reader, put in place whole if its run was killed at that."""
    if (folder / _PUBLISHING).is_dir():
        try:
            lock = _lock(folder)
            finish_publishing(folder)
            os.close(lock)
        except OSError as error:
            raise OutputError(
                f"{folder}: a run is being put in place there: {error.strerror}; ask again later"
            ) from error
    return folder


def _change_places(staging: Path, target: Path) -> None:
    """Put staging in the target's place, which takes that of staging or, empty, is no more."""
    with contextlib.suppress(OSError):
        staging.rename(target)
        return
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, TypeError) as error:
        raise OSError(errno.ENOSYS, "this system exchanges no folders") from error
    if swap(_AT_CWD, os.fsencode(staging), _AT_CWD, os.fsencode(target), _EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _alike(new: Path, given: Path) -> bool:
    """Tell whether a new folder has the owner of a given one, which has nothing special."""
    a, b = new.stat(), given.stat()
    special = b.st_mode & (stat.S_ISGID | stat.S_ISVTX)
    lists = False
    with contextlib.suppress(AttributeError, OSError):  # this system, or file system, has none
        lists = any(name.startswith("system.posix_acl") for name in os.listxattr(given))
    return (a.st_uid, a.st_gid) == (b.st_uid, b.st_gid) and not special and not lists


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def default_target(output_dir: Path, strategy: str, now: datetime) -> Path:
    """Return ``<output_dir>/<timestamp>_<strategy>``."""
    return output_dir / f"{now:%Y%m%d_%H%M%S}_{re.sub(r'[^0-9A-Za-z_]', '_', strategy)}"


def _unused(path: Path) -> Path:
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}_{number}")
    return candidate
