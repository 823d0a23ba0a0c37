"""Plugins: how strategies, feeds and analyzers are named, found and checked.

A plugin is a class with a decorator::

    @register_strategy("simple_ma")
    class SimpleMA(SignalStrategy): ...

The decorator checks the class and marks it; it keeps no list. `discover` imports every module in
the plugin folders and gathers the marked classes into a `Registry`. A module that fails to import
is an error for whoever asks for a plugin of its name, a warning for everybody else.

A backtrader strategy of no kind of ours, as the web has them, needs no decorator: each class that a
module of strategies defines is a plugin by its own name.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import logging
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import PluginError

logger = logging.getLogger(__name__)

PluginClass = TypeVar("PluginClass", bound=type)

_MARK = "__cryptosim_plugin__"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Kind(StrEnum):
    """The kinds of plugins; each has an entry-point group of its name.

    Each has a package of those that ship, and a folder, but notifiers, which are named.
    """

    STRATEGY = "strategies"
    FEED = "feeds"
    ANALYZER = "analyzers"
    NOTIFIER = "notifiers"

    @property
    def singular(self) -> str:
        """The word for one of the kind."""
        return "strategy" if self is Kind.STRATEGY else self.value.removesuffix("s")

    @property
    def package(self) -> str:
        """Where those that ship stand."""
        return f"cryptosim_bt.{'live.' if self is Kind.NOTIFIER else ''}{self.value}"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A registered class and the file it stands in."""

    kind: Kind
    name: str
    cls: type
    origin: str


@dataclass(frozen=True, slots=True)
class BrokenModule:
    """A plugin module that could not be imported, and why, with its own line."""

    stem: str
    reason: str


# ---------------------------------------------------------------------- decorators
def register_strategy(name: str) -> Callable[[PluginClass], PluginClass]:
    """Mark a `SignalStrategy` subclass, or a plain backtrader strategy, as the strategy ``name``.

    Raises
    ------
    PluginError
        If the class is neither, or is a `SignalStrategy` that does not give ``warmup``, or gives
        neither ``generate_signals`` nor ``signal``.
    """

    def mark(cls: PluginClass) -> PluginClass:
        from cryptosim_bt.strategy.signal_strategy import (
            SignalStrategy,  # strategy imports backtrader: only here
        )

        if is_plain(cls):
            return _marked(Kind.STRATEGY, name, cls)
        _require_base(Kind.STRATEGY, name, cls, SignalStrategy)
        _require_override(Kind.STRATEGY, name, cls, SignalStrategy, ["warmup"])
        _require_override(Kind.STRATEGY, name, cls, SignalStrategy, ["generate_signals", "signal"])
        return _marked(Kind.STRATEGY, name, cls)

    return mark


def register_feed(name: str) -> Callable[[PluginClass], PluginClass]:
    """Mark a `Feed` subclass as the feed ``name``; it must give ``load``."""

    def mark(cls: PluginClass) -> PluginClass:
        from cryptosim_bt.data.feed import Feed

        _require_base(Kind.FEED, name, cls, Feed)
        _require_override(Kind.FEED, name, cls, Feed, ["load"])
        return _marked(Kind.FEED, name, cls)

    return mark


def register_analyzer(name: str) -> Callable[[PluginClass], PluginClass]:
    """Mark a `ReportAnalyzer` subclass as the analyzer ``name``."""

    def mark(cls: PluginClass) -> PluginClass:
        from cryptosim_bt.plugins.analyzer import ReportAnalyzer

        _require_base(Kind.ANALYZER, name, cls, ReportAnalyzer)
        return _marked(Kind.ANALYZER, name, cls)

    return mark


def register_notifier(name: str) -> Callable[[PluginClass], PluginClass]:
    """Mark a `Notifier` subclass as the notifier ``name``; it must give ``send``."""

    def mark(cls: PluginClass) -> PluginClass:
        from cryptosim_bt.plugins.notifier import Notifier

        _require_base(Kind.NOTIFIER, name, cls, Notifier)
        _require_override(Kind.NOTIFIER, name, cls, Notifier, ["send"])
        return _marked(Kind.NOTIFIER, name, cls)

    return mark


def is_plain(cls: object) -> bool:
    """Tell whether a class is a backtrader strategy and no `SignalStrategy` of ours."""
    backtrader = sys.modules.get("backtrader")
    if backtrader is None or not isinstance(cls, type) or not issubclass(cls, backtrader.Strategy):
        return False
    from cryptosim_bt.strategy.signal_strategy import SignalStrategy

    return not issubclass(cls, SignalStrategy)


def _marked(kind: Kind, name: str, cls: PluginClass) -> PluginClass:
    if not _NAME.fullmatch(name):
        raise PluginError(
            f"{kind.singular} {name!r} of {cls.__name__}: allowed: letters, digits and _, not "
            "beginning with a digit"
        )
    setattr(cls, _MARK, (kind, name))
    return cls


def _require_base(kind: Kind, name: str, cls: type, base: type) -> None:
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise PluginError(
            f"{kind.singular} {name!r}: {getattr(cls, '__name__', cls)!r} is no {base.__name__}; "
            f"write class {getattr(cls, '__name__', 'Mine')}({base.__name__})"
        )


def _require_override(kind: Kind, name: str, cls: type, base: type, methods: list[str]) -> None:
    def same(method: str) -> bool:
        mine, theirs = getattr(cls, method), getattr(base, method)
        return getattr(mine, "__func__", mine) is getattr(theirs, "__func__", theirs)

    if all(same(method) for method in methods):
        raise PluginError(
            f"{kind.singular} {name!r}: {cls.__name__} gives no {' or '.join(methods)}()"
        )


# ---------------------------------------------------------------------- registry
@dataclass
class Registry:
    """The plugins that were found, and the modules that could not be read."""

    plugins: list[Plugin] = field(default_factory=list)
    broken: list[BrokenModule] = field(default_factory=list)

    def names(self, kind: Kind) -> list[str]:
        """Return the names of a kind, sorted."""
        return sorted({plugin.name for plugin in self.plugins if plugin.kind is kind})

    def of_kind(self, kind: Kind) -> list[Plugin]:
        """Return the plugins of a kind, by name."""
        return sorted(
            (plugin for plugin in self.plugins if plugin.kind is kind),
            key=lambda plugin: plugin.name,
        )

    def get(self, kind: Kind, name: str, place: str) -> Plugin:
        """Return the one plugin of a name.

        Parameters
        ----------
        place
            Where the name was asked for, for the message (``strategy.name``).

        Raises
        ------
        PluginError
            If there is none (with near names, and the reason where its module is broken), or if
            two have the name.
        """
        found = [plugin for plugin in self.of_kind(kind) if plugin.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise PluginError(
                f"{place}: {kind.singular} {name!r} is registered twice, in "
                f"{' and '.join(plugin.origin for plugin in found)}; rename one"
            )
        for module in self.broken:
            if _same_word(module.stem, name):
                raise PluginError(f"{place}: {kind.singular} {name!r} cannot be used: "
                                  f"{module.reason}")  # fmt: skip
        near = difflib.get_close_matches(name, self.names(kind), n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        failed = "".join(f"; not importable: {module.reason}" for module in self.broken)
        raise PluginError(
            f"{place}: unknown {kind.singular} {name!r}; {hint}"
            f"known: {', '.join(self.names(kind)) or 'none'}{failed}"
        )

    def warn(self) -> None:
        """Log a warning for every broken module and every name that is registered twice."""
        for module in self.broken:
            logger.warning("plugin module skipped: %s", module.reason)
        for kind in Kind:
            for name in self.names(kind):
                origins = [p.origin for p in self.of_kind(kind) if p.name == name]
                if len(origins) > 1:
                    logger.warning("%s %s is registered twice: %s", kind.singular, name, origins)


def _same_word(module: str, name: str) -> bool:
    """Tell whether a module is named like a plugin: ``my_cross`` holds ``my_cross`` or MyCross."""
    return module.replace("_", "").lower() == name.replace("_", "").lower()


def discover(folders: Iterable[Path] = (), paths: Iterable[Path] = ()) -> Registry:
    """Find all plugins.

    Parameters
    ----------
    folders
        Folders that may hold ``strategies/``, ``feeds/``, ``analyzers/`` (beside the config file,
        the working directory).
    paths
        Files and folders named under ``plugins:``.

    Raises
    ------
    PluginError
        If one of ``paths`` does not exist.
    """
    registry = Registry()
    seen: set[Path] = set()
    for kind in Kind:
        _read_package(registry, kind, seen)
        for folder in folders if kind is not Kind.NOTIFIER else ():
            _read_files(registry, sorted((folder / kind.value).glob("*.py")), seen, kind)
    for path in paths:
        if not path.exists():
            raise PluginError(f"plugins: {path} does not exist; name a .py file or a folder")
        _read_files(registry, sorted(path.glob("*.py")) if path.is_dir() else [path], seen)
    for kind in Kind:
        for entry in importlib.metadata.entry_points(group=f"cryptosim_bt.{kind.value}"):
            _read(registry, entry.name, entry.value, entry.load, kind)
    return registry


def plugins_for(settings: Settings) -> Registry:
    """Find the plugins that a configuration can use; warn of files that are broken."""
    paths = [settings.directory / Path(path).expanduser() for path in settings.keys.plugins]
    registry = discover([settings.directory, Path.cwd()], paths)
    registry.warn()
    return registry


def _read_package(registry: Registry, kind: Kind, seen: set[Path]) -> None:
    package = importlib.import_module(kind.package)
    for module in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{module.name}"
        seen.update(Path(folder, f"{module.name}.py").resolve() for folder in package.__path__)
        _read(registry, module.name, name, partial(importlib.import_module, name), kind)


def _read_files(
    registry: Registry, files: Iterable[Path], seen: set[Path], kind: Kind | None = None
) -> None:
    for file in files:
        if file.name.startswith("_") or file.resolve() in seen:
            continue
        seen.add(file.resolve())
        _read(registry, file.stem, str(file), partial(_import_file, file), kind)


def _import_file(file: Path) -> ModuleType:
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    name = f"cryptosim_bt_plugin_{digest}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # backtrader looks the module of a class up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _read(
    registry: Registry, stem: str, origin: str, load: Callable[[], Any], kind: Kind | None
) -> None:
    """Import one module; a failure of any kind is recorded with the module's own line.

    Plain strategies are looked for in a module of strategies, or of no ``kind`` (`plugins:`).
    """
    try:
        loaded = load()
    except (Exception, SystemExit) as error:
        registry.broken.append(BrokenModule(stem, _reason(origin, error)))
        return
    module = loaded if isinstance(loaded, ModuleType) else sys.modules[loaded.__module__]
    known = {id(plugin.cls) for plugin in registry.plugins}
    for found, name, cls in _plugin_classes(module, plain=kind in (None, Kind.STRATEGY)):
        if id(cls) not in known:
            known.add(id(cls))
            registry.plugins.append(Plugin(found, name, cls, module.__file__ or origin))


def _plugin_classes(module: ModuleType, *, plain: bool) -> Iterator[tuple[Kind, str, type]]:
    """Yield the plugins that a module defines: marked ones, and ``plain`` ones by their class."""
    for value in vars(module).values():
        if not isinstance(value, type) or value.__module__ != module.__name__:
            continue
        if _MARK in vars(value):
            kind, name = vars(value)[_MARK]
            yield kind, name, value
        elif plain and is_plain(value) and not value.__name__.startswith("_"):
            yield Kind.STRATEGY, value.__name__, value


def _reason(origin: str, error: BaseException) -> str:
    """Return file, line and error of a module that failed to import."""
    if isinstance(error, SyntaxError):
        return f"{error.filename} line {error.lineno}: {type(error).__name__}: {error.msg}"
    stem = origin if origin.endswith(".py") else origin.rpartition(".")[2] + ".py"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.endswith(stem):
            return f"{frame.filename} line {frame.lineno}: {type(error).__name__}: {error}"
    return f"{origin}: {type(error).__name__}: {error}"
