"""The tables of docs/configuration*.md, made of the keys and of the words in docs/keys.yaml.

``python -m tests.key_tables`` writes them; test_key_tables.py fails where a page is behind.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.config.keys import Keys, Paths

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {"en": DOCS / "configuration.md", "ko": DOCS / "configuration.ko.md"}
HEADINGS = {
    "en": "| Key | Meaning | Allowed | Default |",
    "ko": "| 키 | 뜻 | 허용값 | 기본값 |",
}
TYPES = {
    "str": ("text", "문자열"), "int": ("whole number", "정수"), "float": ("number", "수"),
    "list": ("list", "목록"), "paths": ("path or paths", "경로(목록)"),
    "dict": ("names with parameters", "이름과 매개변수"),
    "required": ("required", "필수"), "none": ("none", "없음"),
}  # fmt: skip
_TABLE = re.compile(r"(<!-- keys: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SIGNS = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< "}
_ENDLESS = 1e5  # an upper end beyond this only keeps floats from overflowing


class Key(NamedTuple):
    """A key of a configuration: where it stands, its type, what pydantic knows of it."""

    section: str
    name: str
    hint: Any
    field: FieldInfo


def keys(model: type[BaseModel] = Keys, path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Yield every key; one that stands in no section is of the section ``top``."""
    hints = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        if isinstance(hints[name], type) and issubclass(hints[name], BaseModel):
            yield from keys(hints[name], (*path, name))
        else:
            section, *within = *path, name
            yield Key(section if within else "top", ".".join(within) or name, hints[name], field)


def words() -> dict[str, dict[str, list[str]]]:
    """Return what keys.yaml says, by section and key."""
    return dict(YAML(typ="safe", pure=True).load(DOCS / "keys.yaml"))


def allowed(hint: Any, place: int) -> str:
    """Return the values that a key takes, in words of one language."""
    if get_origin(hint) in (Union, types.UnionType) and hint != Paths:
        return ", ".join(allowed(each, place) for each in get_args(hint) if each is not type(None))
    if hint == Paths:
        return TYPES["paths"][place]
    if get_origin(hint) is Literal:
        return " ".join(f"`{each}`" for each in get_args(hint))
    if hint is bool:
        return "`true` `false`"
    if hasattr(hint, "__metadata__"):
        kind, *metadata = get_args(hint)
        return f"{TYPES[kind.__name__][place]} {bounds(metadata)}".strip()
    return TYPES[(get_origin(hint) or hint).__name__][place]


def bounds(metadata: list[Any]) -> str:
    """Return the ends of a range: `` > 0, < 1``."""
    found = []
    for each in (part for field in metadata for part in field.metadata):
        for name, sign in _SIGNS.items():
            end = getattr(each, name, None)
            if end is not None and abs(end) <= _ENDLESS:
                found.append(f"{sign}{end:,g}")
    return ", ".join(found)


def default(key: Key, said: list[str], place: int) -> str:
    """Return what holds when a key is left out."""
    if key.field.is_required():
        return TYPES["required"][place]
    value = key.field.default
    if value is None:
        return said[2 + place]
    if value in ([], {}):
        return TYPES["none"][place]
    text = ", ".join(value) if isinstance(value, list) else yaml_text({"x": value})[3:].strip()
    return f"`{text}`"


def table(section: str, place: int) -> str:
    """Return a section's table in the language at a place of (English, Korean)."""
    known = words().get(section, {})
    rows = [HEADINGS["ko" if place else "en"], "|---|---|---|---|"]
    for key in keys():
        if key.section == section:
            said = known[key.name]
            cells = (f"`{key.name}`", said[place], allowed(key.hint, place),
                     default(key, said, place))  # fmt: skip
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def with_tables(text: str, place: int) -> str:
    """Return a page, each table between its marks made anew."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{table(found[2], place)}\n{found[3]}", text)


if __name__ == "__main__":
    for number, path in enumerate(PAGES.values()):
        path.write_text(with_tables(path.read_text("utf-8"), number), encoding="utf-8")
