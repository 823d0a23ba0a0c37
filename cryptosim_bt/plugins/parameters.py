"""A plugin's parameters: their names, defaults and types, and those that were given."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import PluginError, masked
from cryptosim_bt.plugins.registry import Plugin, is_plain

# Parameters that the framework sets, not the user.
_FRAMEWORK_PARAMS = {"context"}


def parameters(cls: type) -> dict[str, Any]:
    """Return a plugin's parameters with their defaults; {} for a class without any."""
    declared: Any = getattr(cls, "params", None)
    if not hasattr(declared, "_getpairs"):
        return {}
    hidden = set() if is_plain(cls) else _FRAMEWORK_PARAMS
    return {name: value for name, value in declared._getpairs().items() if name not in hidden}


def checked_parameters(
    plugin: Plugin,
    given: Mapping[str, Any],
    place: str,
    place_of: Callable[[str], str] | None = None,
) -> SimpleNamespace:
    """Return a plugin's parameters, given ones over defaults, as attributes.

    ``place`` says where they were given, ``place_of`` where each of them was (default: in it).

    Raises
    ------
    PluginError
        For an unknown name, a value of another type than the default's, or values that the
        plugin's own ``check_params`` refuses. A plain strategy was not written for our
        configuration: it has no ``check_params``, and ``size=1`` there may well mean 0.5 as well,
        so any number is taken for a number; its ``False`` means that there is none of what may
        stand there (``trailamount=False``), so anything is taken for that.
    """
    known, ours = parameters(plugin.cls), not is_plain(plugin.cls)
    # A tuple stands as a list in a configuration.
    given = {name: tuple(value) if isinstance(value, list) and isinstance(known.get(name), tuple)
             else value for name, value in given.items()}  # fmt: skip
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            where = place_of(name) if place_of else place
            raise PluginError(
                f"{where}: unknown parameter {name!r} for {plugin.cls.__name__}; {hint}"
                f"known: {', '.join(known) or 'none'}"
            )
        default = known[name]
        if not ours and type(default) is int:
            default = float(default)
        if not ours and default is False:
            default = None
        expected = _expected(default)
        if expected is not None and not _is_a(value, default):
            where = place_of(name) if place_of else f"{place}.{name}"
            raise PluginError(f"{where}: was {value!r}; allowed: {expected}")
    values = SimpleNamespace(**{**known, **given})
    check = getattr(plugin.cls, "check_params", None) if ours else None
    complaint = check(values) if check else None
    if complaint:
        raise PluginError(f"{place}: {complaint}")
    return values


def resolved(settings: Settings, params: SimpleNamespace) -> dict[str, Any]:
    """Return all settings with every parameter that the strategy runs with, defaults too.

    Left out are parameters that no configuration can hold, such as a class.
    """
    values, name = settings.resolved(), settings.keys.strategy.name
    used = {key: _plain(value) for key, value in vars(params).items()}
    used = {key: value for key, value in used.items() if value is not None}
    if used:
        values["strategy"][name] = used
    return values


def _plain(value: Any) -> Any:
    """Return a value as a configuration holds it, None where it cannot."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, list | tuple):
        each = [_plain(part) for part in value]
        return None if None in each else each
    if isinstance(value, dict):
        named = {key: _plain(part) for key, part in value.items() if isinstance(key, str)}
        return None if None in named.values() or len(named) < len(value) else named
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if type(value) is str:
        return masked(value)
    return value if type(value) in (bool, int, float) else None


def _expected(default: Any) -> str | None:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(type(default))


def _is_a(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, type(default))
