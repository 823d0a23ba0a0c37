"""No report holds a number that disagrees with summary.json: every analyzer that is registered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from cryptosim_bt import Result
from cryptosim_bt.backtest.stored_run import flat
from cryptosim_bt.plugins.registry import Kind, discover
from cryptosim_bt.reports.run_facts import RunFacts
from tests.chromium import open_page, settle
from tests.page_files import read_back
from tests.report_runs import LINEAR, sample_settings, store

pytestmark = pytest.mark.usefixtures("quiet_framework")

# Where performance.json says again what the summary says: its block, and names that differ.
BLOCKS = ("result", "account", "trades.all")
RENAMED = {
    "holding.total_return": "buy_and_hold_return",
    "in_quote.total_return": "total_return_usd",
    "bars": "bars_traded",
    "currency": "currency",
    "sets.all.open": "open_sets",
}
# Sums over closed trades; the summary's are over fills and funding times.
OTHERWISE = {"fees", "funding_paid"}


def analyzers() -> list[str]:
    return discover().names(Kind.ANALYZER)


@pytest.fixture(scope="module", params=["coin", "linear"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / request.param
    overrides = LINEAR if request.param == "linear" else ()
    everything = f"report.analyzers=[{', '.join(analyzers())}]"
    store(sample_settings(everything, *overrides), directory)
    return directory


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def summary_of(run: Path) -> dict[str, Any]:
    summary = read(run / "summary.json")
    return {name: value for name, value in flat(summary).items()
            if not name.startswith(("settings.", "panels.", "provenance."))}  # fmt: skip


def told_again(performance: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[tuple]:
    """Yield (name here, name there) of each figure that both files hold."""
    for name in flat(performance):
        block, _, last = name.rpartition(".")
        if name in RENAMED:
            yield name, RENAMED[name]
        elif block in BLOCKS and last in summary and last not in OTHERWISE:
            yield name, last


def test_performance_agrees_with_the_summary(run: Path) -> None:
    performance, summary = flat(read(run / "performance.json")), summary_of(run)
    pairs = list(told_again(read(run / "performance.json"), summary))
    told = {there for _, there in pairs}
    assert {"total_return", "annual_return", "max_drawdown", "sharpe", "sortino", "trades",
            "win_rate", "profit_factor", "final_equity", "open_sets"} <= told  # fmt: skip
    for here, there in pairs:
        # A linear account has no total_return_usd: its own return is in that money.
        if summary[there] is not None or there != "total_return_usd":
            assert performance[here] == summary[there], here


def test_summary_agrees_with_the_tables(run: Path) -> None:
    result, summary = Result.read(run), summary_of(run)
    last = result.bars.iloc[-1]
    assert summary["bars_traded"] == len(result.bars)
    assert summary["fills"] == len(result.fills)
    assert summary["trades"] == len(result.trades)
    assert summary["final_balance"] == last["balance"]
    assert summary["final_equity"] == last["equity"]
    assert summary["unrealized_pnl"] == last["unrealized_pnl"]
    assert summary["fees_paid"] == pytest.approx(result.fills["fee"].sum(), rel=1e-9)
    assert summary["orders_expired"] == (result.orders["status"] == "expired").sum()
    assert summary["open_sets"] == (result.sets["status"] == "open").sum()
    for side in ("long", "short"):
        assert summary[f"open_contracts.{side}"] == last[f"{side}_contracts"]


def test_workbook_agrees_with_the_summary(run: Path) -> None:
    words = RunFacts.of(Result.read(run)).words()
    book = openpyxl.load_workbook(run / "report.xlsx", read_only=True)
    labels: dict[str, list[Any]] = {}
    for row in book[book.sheetnames[0]].iter_rows(values_only=True):
        cells = [cell for cell in row if cell is not None]
        if len(cells) > 1:
            labels.setdefault(str(cells[0]), []).append(cells[1])
    book.close()
    compared = 0
    for name, value in summary_of(run).items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        label, _ = words.figure(name)
        # A figure that another section counts in its own way, such as refusals, has another label.
        if not is_number or label not in labels:
            continue
        cells = [cell for cell in labels[label] if isinstance(cell, int | float)]
        near = pytest.approx(value, rel=1e-12, abs=0.0)
        assert any(cell == near for cell in cells), f"{name}: {labels[label]}, not {value}"
        compared += 1
    assert compared >= 20


# ---------------------------------------------------------------------- report.html
def page_sources(run: Path) -> dict[str, dict[str, Any]]:
    """Return the figures that a page may show: its name of their file, and theirs by name."""
    performance = read(run / "performance.json")
    return {"summary": summary_of(run), "performance": flat(performance)}


def test_page_holds_the_figures_of_summary_and_performance(run: Path) -> None:
    facts, tables = read_back((run / "report.html").read_text(encoding="utf-8"))
    sources = page_sources(run)
    for source, expected in sources.items():
        found = flat(facts[source])
        assert found
        assert {name: expected[name] for name in found} == found
    result, money = Result.read(run), 0.5 * 10.0 ** -facts["decimals"]["money"]
    bars, summary = tables["bars"], sources["summary"]
    assert len(bars["time"]) == summary["bars_traded"]
    assert len(tables["trades"]["id"]) == summary["trades"]
    assert len(tables["orders"]["order_id"]) == len(result.orders)
    assert bars["equity"][-1] == pytest.approx(summary["final_equity"], abs=money)
    assert bars["balance"][-1] == pytest.approx(summary["final_balance"], abs=money)
    paid = -tables["funding"]["payment"].sum()
    assert paid == pytest.approx(summary["funding_paid"], abs=money * len(result.funding))


FIGURES = """return [...document.querySelectorAll("[data-figure]")].map((place) =>
    [place.dataset.source, place.dataset.figure, place.textContent])"""


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_figure_that_the_page_shows_agrees(browser: Any, run: Path, language: str) -> None:
    open_page(browser, run / "report.html")
    if browser.execute_script("return document.documentElement.lang") != language:
        browser.find_element("id", "language").click()
    sources, shown = page_sources(run), set()
    for tab in ("summary", "figures"):
        browser.find_element("id", f"tab-{tab}").click()
        settle(browser)
        # Those in the head of the page are among them both times.
        for source, name, text in browser.execute_script(FIGURES):
            assert agrees(text, sources[source][name]), f"{source} {name}: {text}"
            shown.add((source, name))
    for source, names in sources.items():
        lacking = {name for name in names if (source, name) not in shown}
        assert {name for name in lacking if not NOT_SHOWN.match(f"{source}.{name}")} == set()


# Texts, and figures that stand in another place of the page under the same or another name.
NOT_SHOWN = re.compile(
    r"summary\.(bars_loaded|start|end|symbol|currency|margin_mode|mark|data\..*|funding_missing.*"
    r"|ambiguous_bars\.(?!total).*)$"
    r"|performance\.(currency|coin|quote|bars|result\..*|account\..*|sets\.each"
    r"|by_month\..*)$"
)


def agrees(text: str, value: Any) -> bool:
    """Return whether a figure as text is that value, rounded to the decimals of the text."""
    if value is None:
        return text == "–"
    if isinstance(value, str):
        return text == value
    plain = text.replace(",", "").rstrip("%")
    scale = 100.0 if text.endswith("%") else 1.0
    decimals = len(plain.partition(".")[2])
    return abs(float(plain) - scale * value) <= 0.5 * 10.0**-decimals * (1.0 + 1e-9)


def test_sheets_of_days_fills_and_funding_agree_with_the_summary(run: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    words, summary = RunFacts.of(Result.read(run)).words(), summary_of(run)
    book = openpyxl.load_workbook(run / "report.xlsx", read_only=True)

    def column(sheet: str, name: str) -> list[Any]:
        rows = list(book[words(f"workbook.sheet.{sheet}")].iter_rows(values_only=True))
        place = rows[0].index(words.heading(name))
        return [row[place] for row in rows[1:]]

    assert column("days", "equity")[-1] == summary["final_equity"]
    assert column("days", "balance")[-1] == summary["final_balance"]
    assert -min(column("days", "drawdown")) == pytest.approx(100 * summary["max_drawdown"])
    assert sum(column("days", "trades_closed")) == summary["trades"]
    assert sum(column("days", "fees")) == pytest.approx(summary["fees_paid"])
    assert sum(column("days", "funding_paid")) == pytest.approx(summary["funding_paid"])
    assert -sum(column("funding", "payment")) == pytest.approx(summary["funding_paid"])
    assert sum(column("fills", "fee")) == pytest.approx(summary["fees_paid"])
    assert sum(column("fills", "shortfall")) == summary["shortfall"]
    last, paid = ((column(table, "time")[-1], column(table, "balance")[-1])
                  for table in ("fills", "funding"))  # fmt: skip
    # Within a bar funding comes before fills.
    assert (last if last[0] >= paid[0] else paid)[1] == summary["final_balance"]
    book.close()
