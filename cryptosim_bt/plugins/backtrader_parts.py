"""backtrader's own analyzers, observers and sizers as a configuration names them."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import backtrader as bt
import numpy as np

from cryptosim_bt.config.keys import Keys
from cryptosim_bt.errors import PluginError
from cryptosim_bt.plugins.parameters import parameters

Part = tuple[type, dict[str, Any]]
Parts = Mapping[str, Part]

# An analyzer has this before its name in the strategy, so that none of ours has the same.
PREFIX = "backtrader_"


@dataclass(frozen=True)
class BacktraderParts:
    """Classes with their parameters: analyzers and observers by name, and a sizer, if any."""

    analyzers: Parts = field(default_factory=dict)
    observers: Parts = field(default_factory=dict)
    sizer: Part | None = None

    def add_to(self, cerebro: bt.Cerebro) -> None:
        """Let a Cerebro run them."""
        for name, (cls, given) in self.analyzers.items():
            cerebro.addanalyzer(cls, _name=f"{PREFIX}{name}", **given)
        for name, (cls, given) in self.observers.items():
            cerebro.addobserver(cls, obsname=f"{PREFIX}{name}", **given)
        if self.sizer is not None:
            cerebro.addsizer(self.sizer[0], **self.sizer[1])

    def results(self, strategy: bt.Strategy, bars: slice) -> dict[str, dict[str, Any]]:
        """Return what they say of a strategy that has run, as JSON has it: {} where none are.

        An analyzer its analysis, an observer a list for each line, a value for each of the bars.
        """
        found: dict[str, dict[str, Any]] = {}
        for name in self.analyzers:
            analyzer = strategy.analyzers.getbyname(f"{PREFIX}{name}")
            found.setdefault("analyzers", {})[name] = as_json(analyzer.get_analysis())
        for name in self.observers:
            observer = strategy.stats.getbyname(f"{PREFIX}{name}")
            found.setdefault("observers", {})[name] = {
                alias: as_json(list(getattr(observer.lines, alias).array[bars]))
                for alias in observer.getlinealiases()
            }
        return found


def find_parts(
    keys: Keys, strategy: type, place: Callable[..., str]
) -> BacktraderParts:
    """Return the classes that a configuration names, its parameters checked by name.

    A class of the strategy's own file goes before backtrader's of the same name.

    Raises
    ------
    PluginError
        If one is unknown or has no such parameter.
    """
    own = sys.modules.get(strategy.__module__)
    groups = (
        ("analyzers", keys.analyzers, bt.Analyzer, bt.analyzers),
        ("observers", keys.observers, bt.Observer, bt.observers),
        ("sizer", keys.sizer, bt.Sizer, bt.sizers),
    )
    found: dict[str, dict[str, Part]] = {}
    for key, named, base, module in groups:
        known = {
            name: cls for each in (module, own) for name, cls in vars(each).items()
            if isinstance(cls, type) and issubclass(cls, base) and cls is not base
        }  # fmt: skip
        found[key] = {
            name: _part(known, name, given or {}, place(key, name)) for name, given in named.items()
        }
    if len(keys.sizer) > 1:
        raise PluginError(f"{place('sizer')}: was {', '.join(keys.sizer)}; allowed: one")
    sizer = next(iter(found["sizer"].values()), None)
    return BacktraderParts(found["analyzers"], found["observers"], sizer)


def _part(
    known: Mapping[str, type], name: str, given: Mapping[str, Any], place: str
) -> Part:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise PluginError(f"{place}: unknown; {hint}known: {', '.join(sorted(known))}")
    cls = known[name]
    takes = parameters(cls)
    for parameter in given:
        if parameter not in takes:
            raise PluginError(
                f"{place}: unknown parameter {parameter!r}; known: {', '.join(takes) or 'none'}"
            )
    return cls, {each: _value(each, value, place) for each, value in given.items()}


def _value(name: str, value: Any, place: str) -> Any:
    if name != "timeframe" or not isinstance(value, str):
        return value
    names = {each.lower(): each for each in bt.TimeFrame.Names if each}
    if value.lower() not in names:
        allowed = ", ".join(names.values())
        raise PluginError(f"{place}: timeframe was {value!r}; allowed: {allowed}")
    return getattr(bt.TimeFrame, names[value.lower()])


def as_json(value: Any) -> Any:
    """Return an analysis as JSON has it: keys as text, times in ISO 8601, null for no number."""
    if isinstance(value, Mapping):
        return {_key(key): as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray):
        return [as_json(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | bool | int | float | None) else _key(value)


def _key(key: Any) -> str:
    return str(key.isoformat()) if hasattr(key, "isoformat") else str(key)
