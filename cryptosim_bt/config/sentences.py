"""pydantic's findings as sentences: place in the file, what it was, what is allowed."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cryptosim_bt.config.document import Document

_TYPES = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": 'a text (put it in quotes: "...")',
    "list_type": "a list: [a, b]",
    "model_type": "keys and values below it",
    "dict_type": "keys and values below it",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or above",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or below",
}


def sentences(error: ValidationError, model: type[BaseModel], document: Document) -> str:
    """Return one line per wrong key."""
    return "\n".join(_sentence(detail, model, document) for detail in error.errors())


def _sentence(detail: ErrorDetails, model: type[BaseModel], document: Document) -> str:
    path = tuple(str(part) for part in detail["loc"])
    kind, context = detail["type"], detail.get("ctx", {})
    place = document.place(path)
    if kind == "extra_forbidden":
        return f"{place}: unknown key; {_known(model, path)}"
    if kind == "missing":
        return f"{place}: missing; it has no default"
    if kind == "literal_error":
        allowed = context["expected"]
    elif kind == "string_pattern_mismatch":
        allowed = '"HH:MM" in 24 hours, UTC'
    elif kind in _BOUNDS:
        allowed = _BOUNDS[kind].format(**{name: f"{value:g}" for name, value in context.items()})
    else:
        allowed = _TYPES.get(kind, detail["msg"])
    return f"{place}: was {detail['input']!r}; allowed: {allowed}"


def _known(model: type[BaseModel], path: tuple[str, ...]) -> str:
    names = list(_section(model, path[:-1]).model_fields)
    near = difflib.get_close_matches(path[-1], names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}known here: {', '.join(names)}"


def _section(model: type[BaseModel], path: tuple[str, ...]) -> type[BaseModel]:
    for part in path:
        annotation: Any = model.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next(
            each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)
        )
    return model
