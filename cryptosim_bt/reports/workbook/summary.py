"""The first sheet of the workbook: the verdict of the proof, every figure, every setting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptosim_bt.reports.workbook.columns import Sheet
from cryptosim_bt.reports.workbook.look import (
    BANNER_FONT,
    HAIRLINE,
    LEFT,
    NOTE_FONT,
    RIGHT,
    SECTION_FILL,
    SECTION_FONT,
    TITLE_FONT,
    TOP,
    WRONG,
    Look,
    cell,
    columns_of,
    shade,
)
from cryptosim_bt.reports.workbook.row_xml import Formula
from cryptosim_bt.reports.workbook.summary_rows import SummaryRow, summary_sections
from cryptosim_bt.reports.workbook.tables import cut_note, shown_rows
from cryptosim_bt.results.result import Result

_VALUE_WIDTH, _NOTE_WIDTH, _LINE_HEIGHT = 40, 84, 15
# What the proof compares, in the order of its rows.
PROVED = ("summary", "trades", "sets", "fills", "funding", "bars")
VERDICT = "proof"
# Sheets that are no tables of the run.
_MADE = ("charts", "proof", "ledger", "steps")


@dataclass(frozen=True)
class SummaryLayout:
    """The lines of the sheet: a text with its font, a section's heading, or a row of figures."""

    lines: list[Any] = field(default_factory=list)

    @classmethod
    def of(
        cls, result: Result, sheets: Sequence[Sheet], look: Look, row_limit: int
    ) -> SummaryLayout:
        """Lay out the sheet."""
        words = look.words
        layout = cls(list(_head(sheets, look, row_limit)))
        sections = [*summary_sections(result, look.facts, words)]
        settings = sections.pop()

        def row(label: str, note: str, value: Any = None, name: str = "") -> SummaryRow:
            return SummaryRow(words(label), value, "plain", words(note), name)

        proof = [row("proof.verdict", "proof.verdict_note", name=VERDICT)]
        proof += [row(f"workbook.sheet.{each}", f"proof.of.{each}", name=f"{VERDICT}:{each}")
                  for each in PROVED]  # fmt: skip
        counts = {sheet.name: len(sheet) for sheet in sheets} | dict.fromkeys(_MADE, "")
        about = [row(f"workbook.sheet.{each}", f"workbook.about.{each}", count)
                 for each, count in counts.items()]  # fmt: skip
        sections.insert(0, (words("workbook.section.proof"), proof))
        sections += [(words("workbook.section.sheets"), about), settings]
        for heading, rows in sections:
            layout.lines.extend(["", heading, *rows])
        return layout

    def rows(self) -> Iterator[SummaryRow]:
        """Yield the rows of figures and settings."""
        return (line for line in self.lines if isinstance(line, SummaryRow))

    def places(self) -> dict[str, int]:
        """Return the row of each figure and setting by its name."""
        return {
            line.name: number
            for number, line in enumerate(self.lines, 1)
            if isinstance(line, SummaryRow) and line.name
        }


def _head(sheets: Sequence[Sheet], look: Look, row_limit: int) -> Iterator[tuple[str, Any]]:
    words = look.words
    yield f"{words('workbook.title')} · {look.facts.instrument.symbol}", TITLE_FONT
    if look.facts.synthetic:
        yield words("workbook.synthetic"), BANNER_FONT
    for sheet in sheets:
        shown = shown_rows(sheet, row_limit)
        if shown < len(sheet):
            note = f"{words(f'workbook.sheet.{sheet.name}')}: {cut_note(sheet, shown, look)}"
            yield note, BANNER_FONT
    yield words("workbook.summary.times"), None
    yield words("workbook.summary.colours"), None
    yield words("workbook.summary.formulas"), None


def write_summary(
    page: Any, layout: SummaryLayout, values: Mapping[str, str | Formula], look: Look
) -> None:
    """Write the sheet, with the values of some rows by their names."""
    words = look.words
    for letter, width in zip("ABC", (38, _VALUE_WIDTH, _NOTE_WIDTH), strict=True):
        page.column_dimensions[letter].width = width
    page.freeze_panes = "A2"
    page.row_dimensions[1].height = 26
    verdict = f"B{layout.places()[VERDICT]}"
    at = f"$B${verdict[1:]}"
    shade(page, verdict, {f'{at}="{words("proof.right")}"': RIGHT, f'{at}<>""': WRONG})
    for number, line in enumerate(layout.lines, 1):
        if isinstance(line, SummaryRow):
            line = replace(line, value=values.get(line.name, line.value))
            # Excel makes no room by itself for a text that is too long for one line.
            needed = columns_of(line.note) / _NOTE_WIDTH
            if not isinstance(line.value, Formula):
                needed = max(needed, columns_of(str(line.value)) / _VALUE_WIDTH)
            if needed > 1:
                page.row_dimensions[number].height = _LINE_HEIGHT * math.ceil(needed)
        page.append(list(_cells(page, line, look)))


def _cells(page: Any, line: Any, look: Look) -> Iterator[Any]:
    words = look.words
    if isinstance(line, SummaryRow):
        yield cell(page, line.label, alignment=TOP, border=HAIRLINE)
        yield cell(page, line.value, number_format=_figure_format(line, look), alignment=LEFT,
                   border=HAIRLINE)  # fmt: skip
        yield cell(page, line.note, font=NOTE_FONT, alignment=TOP, border=HAIRLINE)
    elif isinstance(line, tuple):
        text, font = line
        yield cell(page, text, font=font) if font else cell(page, text)
    elif line:
        is_settings = line == words("workbook.section.settings")
        last = "workbook.summary.settings" if is_settings else "workbook.summary.meaning"
        for text in (line, words("workbook.summary.value"), words(last)):
            yield cell(page, text, font=SECTION_FONT, fill=SECTION_FILL)


def _figure_format(row: SummaryRow, look: Look) -> str:
    if row.kind == "plain" and isinstance(row.value, int) and row.value >= 1_000:
        return "#,##0"
    return look.number_format(row.kind)
