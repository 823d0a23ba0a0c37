"""What a run was made of, so that it can be made again: code, data, libraries."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryptosim_bt.config.settings import Settings
from cryptosim_bt.data.tabular import file_sha256

if TYPE_CHECKING:
    from cryptosim_bt.backtest.prepare import Prepared

# What computes: a new version of one of these may change the last digit of a result.
_LIBRARIES = ("backtrader", "numpy", "pandas", "pyarrow", "tzdata")
_SHIPPED_PLUGINS = ("cryptosim_bt.strategies", "cryptosim_bt.feeds", "cryptosim_bt.analyzers")
_PRICES = ("open", "high", "low", "close", "volume")


def provenance(prepared: Prepared) -> dict[str, Any]:
    """Return what a run was made of.

    Returns
    -------
    dict
        ``directory``: folder of the configuration, where its plugins were looked for;
        ``bars_sha256``: of the bars that the run used, whatever file they came from;
        ``inputs``: SHA-256 of the other files that it read, by their key in the configuration;
        ``strategy``, ``feed``: SHA-256 of their source files by file name; ``python`` and
        ``libraries``: versions.
    """
    return {
        "directory": str(prepared.settings.directory),
        "bars_sha256": bars_sha256(prepared.bars),
        "inputs": {
            key: file_sha256(*paths) for key, paths in input_files(prepared.settings).items()
        },
        "strategy": source_hashes(prepared.strategy),
        "feed": {} if prepared.feed is None else source_hashes(prepared.feed),
        "python": platform.python_version(),
        "libraries": dict(_library_versions()),
    }


def input_files(settings: Settings) -> dict[str, list[Path]]:
    """Return the files beside ``data.path`` that a run reads, by their key."""
    files = {key: paths for key, paths in _given(settings).items() if key != "data.path"}
    return {
        key: paths
        for key, paths in files.items()
        if all(each.is_file() or (each.is_dir() and key != "instrument.tiers") for each in paths)
    }


def _given(settings: Settings) -> dict[str, list[Path]]:
    keys = settings.keys
    given = {
        "data.path": keys.data.path,
        "data.fill_path": keys.data.fill_path,
        "data.mark_path": keys.data.mark_path,
        "backtest.funding.path": keys.backtest.funding.path,
        "instrument.tiers": keys.instrument.tiers,
    }
    return {
        key: [Path(each) for each in ([path] if isinstance(path, str) else path)]
        for key, path in given.items()
        if path is not None
    }


def read_by(settings: Settings) -> list[Path]:
    """Return every file and folder that a run of a configuration reads, there or not."""
    plugins = [settings.directory / Path(path).expanduser() for path in settings.keys.plugins]
    return [*(path for paths in _given(settings).values() for path in paths), *plugins]


def bars_sha256(bars: pd.DataFrame) -> str:
    """Return the SHA-256 of bars: their times in ms, then each column of prices and volume."""
    digest = hashlib.sha256(pd.DatetimeIndex(bars.index).as_unit("ms").asi8.tobytes())
    for column in _PRICES:
        digest.update(np.ascontiguousarray(bars[column], dtype="<f8").tobytes())
    return digest.hexdigest()


def source_hashes(cls: type) -> dict[str, str]:
    """Return the SHA-256 of the files that a plugin class and its bases are written in.

    The framework's own and libraries' bases do not count, nor do modules that a plugin imports
    for something else than a base. A class without a file (of an interactive session) has none.
    """
    hashes: dict[str, str] = {}
    for base in cls.__mro__:
        if not _is_plugin_code(base):
            continue
        try:
            path = inspect.getsourcefile(base)
        except TypeError:
            continue
        if path is not None and Path(path).is_file():
            hashes[Path(path).name] = file_sha256(Path(path))
    return hashes


def _is_plugin_code(cls: type) -> bool:
    package = cls.__module__.partition(".")[0]
    if package == "cryptosim_bt":
        return cls.__module__.startswith(_SHIPPED_PLUGINS)
    return package not in ("backtrader", "builtins", "abc", "typing")


@functools.cache
def _library_versions() -> tuple[tuple[str, str], ...]:
    return tuple((name, importlib.metadata.version(name)) for name in _LIBRARIES)
