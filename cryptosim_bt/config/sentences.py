"""pydantic's findings as sentences: place in the file, what it was, what is allowed."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cryptosim_bt.config.document import Document
from cryptosim_bt.errors import shown

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
_SHARES = frozenset(
    ("take_profit_pct", "stop_loss_pct", "daily_loss_limit_pct", "risk_share", "price_band",
     "maintenance_margin_rate", "liquidation_fee_rate", "commission", "maker", "taker", "rate",
     "slippage", "slippage_range", "max_volume_share")
)  # fmt: skip


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
    return f"{place}: was {shown(detail['input'])}; allowed: {allowed}{_as_share(path, detail)}"


def _as_share(path: tuple[str, ...], detail: ErrorDetails) -> str:
    """Name what a number above 1 most likely means where a share is wanted: so many per cent."""
    value = detail["input"]
    if detail["type"] not in ("less_than", "less_than_equal") or path[-1] not in _SHARES:
        return ""
    return f" ({value:g} % is {value / 100:g})" if 1 <= value < 100 else ""


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
