"""YAML with the line of every key, ``--set key.path=value``, and settings written as YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, Node, SequenceNode
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.resolver import VersionedResolver

from cryptosim_bt.errors import ConfigError

KeyPath = tuple[str, ...]

# More than any configuration needs; aliases, which can double it line by line, count written out.
_MOST_LEVELS = 32
_MOST_KEYS = 10_000


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
    overridden: set[KeyPath] = field(default_factory=set)

    def place(self, path: KeyPath) -> str:
        """Return where a key stands: file and line, or the --set that gave it."""
        name = ".".join(path)
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.overridden:
                return f"--set {name}"
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.lines:
                return f"{self.source} line {self.lines[path[:depth]]}: {name}"
        return f"{self.source}: {name}" if name else self.source

    def override(self, assignment: str) -> None:
        """Apply one ``key.path=value``; the value is read as YAML.

        Raises
        ------
        ConfigError
            If it is no assignment, or leads through a key that holds no keys.
        """
        name, equals, text = assignment.partition("=")
        path = tuple(part.strip() for part in name.split("."))
        if not equals or not all(path):
            raise ConfigError(
                f"--set {assignment}: allowed: key.path=value, for example trading.leverage=10"
            )
        value, _ = _parsed(text, f"--set {assignment}")
        branch = self.values
        for depth, part in enumerate(path[:-1], start=1):
            deeper = branch.setdefault(part, {})
            if deeper is None:
                deeper = branch[part] = {}
            if not isinstance(deeper, dict):
                raise ConfigError(
                    f"--set {assignment}: {'.'.join(path[:depth])} holds {deeper!r}, no keys"
                )
            branch = deeper
        branch[path[-1]] = value
        self.overridden.add(path)


def read_document(path: Path) -> Document:
    """Read a configuration file.

    Raises
    ------
    ConfigError
        If the file is missing, unreadable, empty, no YAML, no mapping, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: there is no such file; `cryptosim-bt new-config` writes one"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
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
        for path, node in _places(root):
            if path in lines:
                twice = f"{'.'.join(path)} stands twice; keep one"
                raise MarkedYAMLError(problem=twice, problem_mark=node.start_mark)
            if len(path) > _MOST_LEVELS or len(lines) == _MOST_KEYS:
                raise MaxDepthExceededError(problem_mark=node.start_mark)
            lines[path] = node.start_mark.line + 1
        return None if root is None else reader.constructor.construct_document(root), lines
    except YAMLError as error:
        problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        if isinstance(error, MaxDepthExceededError):
            problem = f"more than {_MOST_LEVELS} levels or {_MOST_KEYS:,} keys, with aliases"
        place = f"{source} line {mark.line + 1}" if mark else source
        text = " ".join(str(problem or error).split())
        raise ConfigError(f"{place}: no valid YAML: {text}") from error


def _places(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Yield each key and list item with its node, through aliases too."""
    if isinstance(node, MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, SequenceNode):
        children = [(str(number), value, value) for number, value in enumerate(node.value)]
    else:
        return
    for name, at, child in children:
        yield (*path, name), at
        yield from _places(child, (*path, name))
