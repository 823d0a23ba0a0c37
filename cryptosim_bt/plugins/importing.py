"""Importing a user's file: as Python would run it as a script, but for what it says and trades.

The modules beside it can be imported. What it prints is not ours, so it goes nowhere; it is asked
nothing. A script that runs a Cerebro of its own at its top level has said by then what its classes
are: it is not read any further.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)


class RunsItself(BaseException):
    """A file's own Cerebro was about to run; no ``except Exception`` of the file takes it."""


def import_file(file: Path) -> ModuleType:
    """Return the module of a Python file, known under a name that no other file has.

    ``runs_itself`` in it says whether it was read only as far as its own Cerebro's run.
    """
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    name = f"cryptosim_bt_plugin_{digest}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # backtrader looks the module of a class up there
    runs_itself = False
    try:
        with _beside(file.resolve().parent), _quiet(), _no_run_of_its_own():
            spec.loader.exec_module(module)
    except RunsItself:
        runs_itself = True
        logger.debug("%s runs a Cerebro of its own: it was read as far as that", file)
    except BaseException:
        del sys.modules[name]
        raise
    vars(module)["runs_itself"] = runs_itself
    return module


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported before all others; later, after all others.

    One of the same name that came from another user's folder gives way: who imported it has it.
    """
    here = str(folder)
    for path in (*folder.glob("*.py"), *folder.glob("*/__init__.py")):
        stem = path.stem if path.parent == folder else path.parent.name
        known = getattr(sys.modules.get(stem), "__file__", None)
        if known and Path(known) != path and any(known.startswith(each) for each in _FOLDERS):
            for name in [each for each in sys.modules if each.partition(".")[0] == stem]:
                del sys.modules[name]
    _FOLDERS.add(f"{here}/")
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)  # for an import within a function


# Folders whose modules were importable.
_FOLDERS: set[str] = set()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.stdin = stdin


@contextlib.contextmanager
def _no_run_of_its_own() -> Iterator[None]:
    import backtrader as bt  # takes its time: not before a file is read

    def run(*_: Any, **__: Any) -> None:
        raise RunsItself

    own = bt.Cerebro.run
    bt.Cerebro.run = run
    try:
        yield
    finally:
        bt.Cerebro.run = own
