"""A plugin's parameters: their names, defaults and types, and those that were given."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from cryptosim_bt.errors import PluginError
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


def _expected(default: Any) -> str | None:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(type(default))


def _is_a(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))
