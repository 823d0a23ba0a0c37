"""report.html read back without a browser."""

from __future__ import annotations

import base64
import gzip
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import numpy.typing as npt


class Scripts(HTMLParser):
    """Collects the script elements as a browser would: attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.titles: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        if tag == "script":
            self.found.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            attributes, text = self.found[-1]
            self.found[-1] = (attributes, text + data)
        elif self._open == "title":
            self.titles.append(data)


def scripts(page: str) -> dict[str, str]:
    parser = Scripts()
    parser.feed(page)
    return {attributes.get("id") or f"code {number}": text
            for number, (attributes, text) in enumerate(parser.found)}  # fmt: skip


def unpack(about: dict[str, Any], text: str) -> dict[str, npt.NDArray[np.float64]]:
    """Read a packed table back, as `assets/page_data.js` does."""
    block = np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=np.uint8)
    offset = 0

    def take(count: int, kind: str) -> npt.NDArray[Any]:
        nonlocal offset
        size = np.dtype(kind).itemsize
        turned = block[offset : offset + size * count].reshape(size, count).T
        offset += size * count
        return np.ascontiguousarray(turned).view(kind).reshape(-1)

    def steps(count: int) -> npt.NDArray[np.int64]:
        folded = take(count, "<u4").astype(np.int64)
        return np.cumsum((folded >> 1) ^ -(folded & 1))

    table = {}
    for column in about["columns"]:
        if column["form"] == "steps":
            whole = column["first"] + steps(about["rows"])
            values = whole / 10.0 ** column["decimals"]
        else:
            values = take(about["rows"], "<f8").copy()
        bounds = steps(column["blanks"])
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            values[start:end] = np.nan
        table[column["name"]] = values
    assert offset == len(block)
    return table


def read_back(page: str) -> tuple[dict[str, Any], dict[str, dict[str, npt.NDArray[np.float64]]]]:
    parts = scripts(page)
    facts = json.loads(parts["facts"])
    return facts, {name: unpack(about, parts[f"table-{name}"])
                   for name, about in facts["tables"].items()}  # fmt: skip
