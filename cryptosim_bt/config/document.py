"""Reading a YAML file with the line of every key, and ``--set key.path=value``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cryptosim_bt.errors import ConfigError

KeyPath = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: 1e-4 is a number, 08:00 is no base-60 number."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers
             if tag not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int",
                            "tag:yaml.org,2002:timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # fmt: skip
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?"
               r"|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+0123456789."),
)  # fmt: skip
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][\d_]*)$"), list("-+0123456789")
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
        try:
            value = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: the value is no YAML: {error}") from error
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
    try:
        root = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"{where}: no valid YAML: {problem}") from error
    if not isinstance(values, dict) or not isinstance(root, yaml.MappingNode):
        found = "empty" if values is None else f"{type(values).__name__}"
        raise ConfigError(f"{path}: was {found}; allowed: keys such as `data:` and `trading:`")
    document = Document(str(path), values)
    _note_lines(document, root, ())
    return document


def _note_lines(document: Document, node: yaml.MappingNode, path: KeyPath) -> None:
    seen: set[str] = set()
    for key, value in node.value:
        name = str(key.value)
        line = key.start_mark.line + 1
        if name in seen:
            raise ConfigError(
                f"{document.source} line {line}: {'.'.join((*path, name))} stands twice; keep one"
            )
        seen.add(name)
        document.lines[(*path, name)] = line
        if isinstance(value, yaml.MappingNode):
            _note_lines(document, value, (*path, name))
