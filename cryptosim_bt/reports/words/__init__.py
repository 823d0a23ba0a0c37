"""The words of the reports: each under an id, its English and its Korean side by side.

They stand in the YAML files here. An id is the file's name and the way through it:
``workbook.sheet.bars``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

LANGUAGES = ("en", "ko")


class Words:
    """The words of one language.

    Parameters
    ----------
    language
        ``"ko"`` or ``"en"``.
    names
        What stands for ``{currency}``, ``{base}``, ``{quote}``, ``{zone}``.
    """

    def __init__(self, language: str, **names: str) -> None:
        self._names = names
        self._place = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of an id, ``values`` in their places."""
        area, _, within = key.partition(".")
        return texts_of(area)[within][self._place].format(**self._names, **values)

    def get(self, key: str, default: str) -> str:
        """Return the text of an id, or what to say where there is no such id."""
        area, _, within = key.partition(".")
        return self(key) if within in texts_of(area) else default

    def shown(self, value: str) -> str:
        """Return a value of a run's tables in words.

        One without is returned as it is: a refusal that names its own numbers.
        """
        return self.get("value." + re.sub(r"\W+", "_", value), value)

    def heading(self, column: str) -> str:
        """Return the heading of a workbook's column; an indicator's is its name in capitals."""
        return self.get(f"workbook.column.{column}", column.upper())

    def note(self, column: str) -> str:
        """Return what a column holds; empty where its heading says it all."""
        return self.get(f"workbook.column.{column}.note", "")

    def figure(self, name: str) -> tuple[str, str]:
        """Return label and explanation of a figure of the summary."""
        key = f"workbook.figure.{name}"
        return self.get(key, name), self.get(f"{key}.note", "")


def texts() -> dict[str, tuple[str, ...]]:
    """Return the texts of every id in the order of `LANGUAGES`."""
    areas = sorted(file.stem for file in Path(__file__).parent.glob("*.yaml"))
    return {f"{area}.{key}": pair for area in areas for key, pair in texts_of(area).items()}


def strategy_text(settings: Mapping[str, Any]) -> str:
    """Return a run's strategy with all its parameters, as every report shows it."""
    name = settings["strategy"]["name"]
    parameters = settings["strategy"].get(name) or {}
    given = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name} ({given})" if given else str(name)


@cache
def texts_of(area: str) -> Mapping[str, tuple[str, ...]]:
    """Return the texts of one file by their ids within it; it is read when first asked for."""
    tree = YAML(typ="safe", pure=True).load(Path(__file__).with_name(f"{area}.yaml"))
    return {key.removeprefix("."): tuple(pair) for key, pair in _leaves("", tree)}


def _leaves(path: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, each in tree.items():
        if isinstance(each, dict):
            yield from _leaves(f"{path}.{name}", each)
        else:
            yield f"{path}.{name}", each
