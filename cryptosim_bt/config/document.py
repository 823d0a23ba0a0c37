"""YAML with the line of every key, what overrides its keys, and settings written as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML, MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver

from cryptosim_bt.errors import ConfigError, listed, shown

KeyPath = tuple[str, ...]

Overrides = Sequence[str] | Mapping[str, Any]
"""``key.path=value`` assignments whose values are YAML, or values of Python by their key's path."""

# More than any configuration needs; aliases, which can double it line by line, count written out.
_MOST_LEVELS = 32
_MOST_KEYS = 10_000
_MOST_BYTES = 1_000_000


class _Words(VersionedResolver):
    """YAML as people expect it: yes and 1e-4 are values; 08:00, 010 and a date are texts."""

    processing_version = (1, 2)
    versioned_resolver = property(lambda self: self.yaml_implicit_resolvers)


for _kind, _first, _pattern in (
    ("bool", "yYnNtTfFoO", "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE"
                           "|on|On|ON|off|Off|OFF"),
    ("float", "-+.0123456789", r"[-+]?(?:(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?"
                               r"|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf|INF|nan|NaN|NAN))"),
    ("int", "-+0123456789", r"[-+]?(?:0|[1-9][\d_]*)"),
    ("merge", "<", "<<"),
    ("null", ["~", "n", "N", ""], "~|null|Null|NULL|"),
):  # fmt: skip
    _Words.add_implicit_resolver_base(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), list(_first)
    )


@dataclass
class Document:
    """A configuration as read: its values, and where each key stands."""

    source: str
    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    # What was not read from there, and by what words it was given.
    overridden: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """Return where a key stands: file and line, or what overrode it."""
        name = ".".join(path)
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.overridden:
                return f"{self.overridden[path[:depth]]} {name}"
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.lines:
                return f"{self.source} line {self.lines[path[:depth]]}: {name}"
        return f"{self.source}: {name}" if name else self.source

    def section(self, path: KeyPath) -> dict[str, Any]:
        """Return the keys below a path as they stand, to be changed; none where it holds none."""
        values: Any = self.values
        for part in path:
            values = values.get(part) if isinstance(values, dict) else None
        return values if isinstance(values, dict) else {}

    def override(self, overrides: Overrides) -> None:
        """Put values in the place of what was read, in their order.

        Raise `ConfigError` if one is no assignment, or leads through a key that holds no keys.
        """
        if isinstance(overrides, Mapping):
            for name, value in overrides.items():
                self._put("overrides:", name, name, _plain(value))
            return
        for assignment in overrides:
            name, equals, text = assignment.partition("=")
            given = listed([assignment])  # cut
            value, _ = _parsed(text, f"--set {given}")
            self._put("--set", given, name if equals else "", value)

    def _put(self, by: str, given: str, name: str, value: Any) -> None:
        path = tuple(part.strip() for part in name.split("."))
        if not all(path):
            allowed = ("key.path", "trading.leverage")
            if by == "--set":
                allowed = ("key.path=value", "trading.leverage=10")
            raise ConfigError(f"{by} {given}: allowed: {allowed[0]}, for example {allowed[1]}")
        branch = self.values
        for depth, part in enumerate(path[:-1], start=1):
            deeper = branch.setdefault(part, {})
            if deeper is None:
                deeper = branch[part] = {}
            if not isinstance(deeper, dict):
                raise ConfigError(
                    f"{by} {given}: {'.'.join(path[:depth])} holds {shown(deeper)}, no keys"
                )
            branch = deeper
        branch[path[-1]] = value
        self.overridden[path] = by


def _plain(value: Any) -> Any:
    """Return a value of Python as YAML would have given it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path | date) else value


def read_document(path: Path) -> Document:
    """Read a configuration file.

    Raise `ConfigError` if it is missing, unreadable, empty, no YAML, no mapping, or names a key
    twice.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe could be read for ever
            raise ConfigError(f"{path}: is no file; give a configuration in YAML")
        if path.exists() and path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path}: holds more than {_MOST_BYTES:,} bytes; give settings")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: there is no such file; `cryptosim-bt new-config` writes one"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    values, lines = _parsed(text, str(path))
    if not isinstance(values, dict):
        found = "empty" if values is None else f"{type(values).__name__}"
        raise ConfigError(f"{path}: was {found}; allowed: keys such as `data:` and `trading:`")
    return Document(str(path), values, lines)


def yaml_text(values: dict[str, Any]) -> str:
    """Return values as YAML that reads the same by the rules of YAML 1.1 and 1.2."""
    writer = YAML(typ="safe", pure=True)
    writer.version = (1, 1)
    writer.representer.default_flow_style = False
    writer.representer.sort_base_mapping_type_on_output = False
    text = StringIO()
    writer.dump(values, text)
    return text.getvalue().partition("---\n")[2]  # without the line that names the version


def _parsed(text: str, source: str) -> tuple[Any, dict[KeyPath, int]]:
    """Return what a text of YAML holds, and the line of each key and list item."""
    reader = YAML(typ="safe", pure=True)
    reader.Resolver, reader.max_depth = _Words, _MOST_LEVELS
    reader.composer.warn_double_anchors = False
    lines: dict[KeyPath, int] = {}
    try:
        root = reader.compose(text)
        _require_readable(root, reader)
        for path, node, value in _places(root):
            if path in lines:
                twice = f"{'.'.join(path)} stands twice; keep one"
                raise MarkedYAMLError(problem=twice, problem_mark=node.start_mark)
            if len(path) > _MOST_LEVELS or len(lines) == _MOST_KEYS:
                raise MaxDepthExceededError(problem_mark=node.start_mark)
            lines[path] = node.start_mark.line + 1
            _require_readable(value, reader)
        return None if root is None else reader.constructor.construct_document(root), lines
    except YAMLError as error:
        problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        if isinstance(error, MaxDepthExceededError):
            problem = f"more than {_MOST_LEVELS} levels or {_MOST_KEYS:,} keys, with aliases"
        place = f"{source} line {mark.line + 1}" if mark else source
        text = " ".join(str(problem or error).split())
        raise ConfigError(f"{place}: no valid YAML: {text}") from error


def _require_readable(node: Node | None, reader: YAML) -> None:
    """Refuse a scalar that is not what its tag says, or a number of thousands of digits."""
    if not isinstance(node, ScalarNode):
        return
    try:
        reader.constructor.construct_object(node)
    except (ValueError, KeyError) as error:
        unread = f"{shown(node.value)} cannot be read as {str(node.tag).rpartition(':')[2]}"
        raise MarkedYAMLError(problem=unread, problem_mark=node.start_mark) from error


def _places(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node, Node]]:
    """Yield each key and list item with the nodes of it and of its value, through aliases too."""
    if isinstance(node, MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, SequenceNode):
        children = [(str(number), value, value) for number, value in enumerate(node.value)]
    else:
        return
    for name, at, child in children:
        yield (*path, name), at, child
        yield from _places(child, (*path, name))
