"""A comparison of two runs to read: tables for the terminal, and one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from cryptosim_bt.backtest.comparison import REPORTED, Comparison, Effect, FirstDifference, Pair
from cryptosim_bt.reports.page.page import filled_in
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.result import Result

_FRACTIONS = {
    "total_return", "total_return_usd", "annual_return", "buy_and_hold_return", "max_drawdown",
    "win_rate",
}  # fmt: skip
_NOTHING = "-"
# Beyond so many cells of a row the rest is left to the tables.
_CELLS = 6
# What names a fill, whether it differs or not.
_WHICH = ("time", "role", "side", "price", "contracts")
# So many more columns than rows are read more easily the other way round, in a terminal.
_WIDE = 4
_LINE = 26
_POINTS, _WIDTH, _HEIGHT = 800, 960, 260


@dataclass(frozen=True)
class Section:
    """A table with its title; ``note`` stands above it, ``empty`` instead of no rows."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    empty: str = ""


def sections(comparison: Comparison, language: str) -> Iterator[Section]:
    """Yield the tables of a comparison in a language, ``"ko"`` or ``"en"``."""
    words = Words(language)
    what = words("comparison.what")
    settings, origins = (
        tuple((pair.name, _value(pair.a), _value(pair.b)) for pair in pairs)
        for pairs in (comparison.settings, comparison.origins)
    )
    yield Section(words("comparison.settings"), (words("comparison.key"), "A", "B"), settings,
                  empty=words("comparison.same_settings"))  # fmt: skip
    if origins:
        yield Section(words("comparison.origins"), (what, "A", "B"), origins)
    differences = [*comparison.bars, *([comparison.fill] if comparison.fill else [])]
    yield Section(
        words("comparison.parting"),
        (what, words("comparison.first"), "A", "B"),
        tuple(_first_difference(each, words) for each in differences),
        empty=words("comparison.no_parting"),
    )
    if comparison.effects:
        yield Section(
            words("comparison.effects"),
            (words("comparison.difference"), *REPORTED),
            tuple(_effect(effect, words) for effect in comparison.effects),
            note=words("comparison.effects_note") if len(comparison.effects) > 1 else "",
        )
    figures = tuple(
        (pair.name, _number(pair.name, pair.a), _number(pair.name, pair.b),
         _number(pair.name, pair.change, "+"))
        for pair in comparison.figures
    )  # fmt: skip
    headings = (what, "A", "B", words("comparison.change"))
    yield Section(words("comparison.figures"), headings, figures)


def _value(value: Any) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{key} {str(each)[:12]}" for key, each in value.items()) or _NOTHING
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 and text.isalnum() else text


def _number(name: str, value: float | None, sign: str = "", digits: int = 10) -> str:
    if value is None:
        return _NOTHING
    if name in _FRACTIONS:
        return f"{value:{sign}.4%}"
    return f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign},.{digits}g}"


def _first_difference(difference: FirstDifference, words: Words) -> tuple[str, ...]:
    shown: tuple[Pair, ...] = difference.cells[:_CELLS]
    if difference.stage == "fill":
        shown = tuple(cell for cell in difference.cells if cell.a != cell.b or cell.name in _WHICH)
    more = ", …" if difference.stage != "fill" and len(shown) < len(difference.cells) else ""

    def cells(values: list[tuple[str, Any]]) -> str:
        if all(value is None for _, value in values):
            return _NOTHING
        return ", ".join(f"{name} {_value(value)}" for name, value in values) + more

    a, b = ([(pair.name, getattr(pair, side)) for pair in shown] for side in "ab")
    place = f"#{difference.place}" if difference.stage == "fill" else difference.place
    return words(f"comparison.stage.{difference.stage}"), place, cells(a), cells(b)


def _effect(effect: Effect, words: Words) -> tuple[str, ...]:
    name = words.get(f"comparison.group.{effect.group}", effect.group)
    if effect.refusal is not None:
        text = f"{name} ({words('comparison.refused', why=effect.refusal)})"
        return (text, *[_NOTHING] * len(REPORTED))
    changes = (_number(each, effect.changes.get(each), "+", digits=5) for each in REPORTED)
    return (name, *changes)


# ---------------------------------------------------------------------- terminal
def tables(comparison: Comparison, language: str) -> Iterator[Table]:
    """Yield the comparison as tables for a terminal."""
    head = Table(show_header=False, title=Words(language)("comparison.title"), title_justify="left")
    for letter, run in (("A", comparison.a), ("B", comparison.b)):
        head.add_row(letter, Text(str(run.directory), overflow="fold"))
    yield head
    for section in map(_upright, sections(comparison, language)):
        table = Table(title=section.title, title_justify="left", caption=section.note or None,
                      caption_justify="left")  # fmt: skip
        for heading in section.headings:
            table.add_column(heading, overflow="fold")
        for row in section.rows or [(section.empty, *[""] * (len(section.headings) - 1))]:
            table.add_row(*(Text(cell) for cell in row))
        yield table


def _upright(section: Section) -> Section:
    """Return a section that is wider than it is long with its rows as columns."""
    if not section.rows or len(section.headings) <= len(section.rows) + _WIDE:
        return section
    headings, *rows = zip(section.headings, *section.rows, strict=True)
    return replace(section, headings=headings, rows=tuple(rows))


# ---------------------------------------------------------------------- page
# By this its template tells who made a page, so that no other file is written over.
_MADE_BY = b'<meta name="generator" content="cryptosim-bt compare">'
_HEAD_BYTES = 1000


def page(comparison: Comparison, language: str) -> str:
    """Return the comparison as one HTML page that needs nothing else."""
    words = Words(language)
    body = []
    for letter, run in (("A", comparison.a), ("B", comparison.b)):
        path = escape(str(run.directory))
        body.append(f'<p><span class="key-{letter.lower()}">{letter}</span> {path}</p>')
    body.append(f"<h2>{escape(words('comparison.equity'))}</h2>")
    body.append(_equity_picture(comparison.a.result, comparison.b.result))
    for section in sections(comparison, language):
        body.append(f"<h2>{escape(section.title)}</h2>")
        if section.note:
            body.append(f"<p>{escape(section.note)}</p>")
        body.append(_html_table(section) if section.rows else f"<p>{escape(section.empty)}</p>")
    parts = {"language": language, "title": escape(words("comparison.title")),
             "body": "\n".join(body)}  # fmt: skip
    return filled_in("comparison.html", parts)


def is_page(path: Path) -> bool:
    """Return whether a file is a page that `page` made.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return _MADE_BY in file.read(_HEAD_BYTES)


def _html_table(section: Section) -> str:
    lines = ["".join(f"<th>{escape(heading)}</th>" for heading in section.headings)]
    for row in section.rows:
        # What is short, and times and numbers are, stays on one line.
        marks = (' class="line"' if len(cell) < _LINE else "" for cell in row)
        lines.append("".join(f"<td{mark}>{escape(cell)}</td>"
                             for mark, cell in zip(marks, row, strict=True)))  # fmt: skip
    rows = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table>\n{rows}\n</table></div>'


def _equity_picture(a: Result, b: Result) -> str:
    """Return both runs' return on their initial balance over time, as SVG."""
    lines = [_line(each) for each in (a, b)]
    first = min(times[0] for times, _ in lines)
    span = max(times[-1] for times, _ in lines) - first or 1
    low = min(0.0, *(float(returns.min()) for _, returns in lines))
    high = max(0.0, *(float(returns.max()) for _, returns in lines))
    height = high - low or 1.0

    def at(value: float) -> float:
        return _HEIGHT - (value - low) / height * _HEIGHT

    parts = [f'<svg viewBox="-70 -10 {_WIDTH + 80} {_HEIGHT + 40}" role="img">']
    for value in sorted({low, 0.0, high}):
        y = at(value)
        parts.append(f'<line x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8886"/>')
        parts.append(f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{value:.1%}</text>')
    for name, (times, returns) in zip("ab", lines, strict=True):
        x = (times - first) / span * _WIDTH
        points = " ".join(
            f"{across:.1f},{at(value):.1f}"
            for across, value in zip(x.tolist(), returns.tolist(), strict=True)
        )
        parts.append(f'<polyline class="{name}" points="{points}"/>')
    ends = [np.datetime_as_string(np.datetime64(int(time), "ms"), unit="D")
            for time in (first, first + span)]  # fmt: skip
    parts.append(f'<text x="0" y="{_HEIGHT + 20}">{ends[0]}</text>')
    parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT + 20}" text-anchor="end">{ends[1]}</text>')
    return "".join([*parts, "</svg>"])


def _line(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Return times in ms and returns, thinned evenly to what a picture can show."""
    bars = result.bars
    rows = np.unique(np.linspace(0, len(bars) - 1, min(_POINTS, len(bars))).astype(np.int64))
    equity = bars["equity"].to_numpy(np.float64)[rows]
    times = bars["time"].dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)[rows]
    return times, equity / result.settings["backtest"]["initial_balance"] - 1.0
