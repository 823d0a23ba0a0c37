"""Two runs told apart: settings, where they part, what each difference did, table and page."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from cryptosim_bt import Result
from cryptosim_bt.backtest.comparison import (
    Comparison,
    Pair,
    bar_differences,
    compare,
    differing,
    fill_difference,
    groups_of,
)
from cryptosim_bt.backtest.stored_run import StoredRun, read_run, run_again
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.reports.comparison_page import page, sections, tables
from tests.report_runs import LINEAR, sample_settings, store

pytestmark = pytest.mark.usefixtures("quiet_framework")

CHANGES = {
    "plain": (),
    "costly": ("backtest.fees.commission=0.0005", "trading.take_profit_pct=0.01"),
    "later": ("backtest.trading_period.start_date=2025-01-03",),
    "linear": LINEAR,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredRun]:
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in CHANGES.items():
        store(sample_settings(*overrides), folder / name)
    return {name: read_run(folder / name) for name in CHANGES}


def again(settings: Settings) -> Result:
    return run_again(settings, discover())


@pytest.fixture(scope="module")
def costly(runs: dict[str, StoredRun]) -> Comparison:
    return compare(runs["plain"], runs["costly"], again)


def test_same_run_is_identical(runs: dict[str, StoredRun]) -> None:
    found = compare(runs["plain"], runs["plain"])
    assert found.identical
    assert (found.settings, found.origins, found.effects) == ((), (), ())
    assert all(pair.change in (0, None) for pair in found.figures)


def test_settings_that_differ_are_named(costly: Comparison) -> None:
    assert {pair.name: (pair.a, pair.b) for pair in costly.settings} == {
        "trading.take_profit_pct": (0.02, 0.01),
        "backtest.fees.maker": (0.0001, 0.0005),
        "backtest.fees.taker": (0.0001, 0.0005),
    }


def test_setting_of_one_run_only_differs() -> None:
    assert differing({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}) == (Pair("a.c", None, 2),)


def test_first_bar_and_fill_are_where_the_first_fee_was_paid(
    runs: dict[str, StoredRun], costly: Comparison
) -> None:
    first = runs["plain"].result.fills.iloc[0]
    (account,) = costly.bars
    assert account.stage == "account"
    assert account.place == first["time"].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert "balance" in {pair.name for pair in account.cells}
    assert costly.fill is not None
    assert costly.fill.place == "1"
    cells = {pair.name: pair for pair in costly.fill.cells}
    assert cells["fee"].a == first["fee"]
    assert cells["fee"].b == pytest.approx(5 * first["fee"])
    assert cells["price"].a == cells["price"].b


def test_stages_come_in_the_order_of_time(runs: dict[str, StoredRun]) -> None:
    plain = runs["plain"].result
    bars = plain.bars.copy()
    bars.loc[50, "sma_24"] += 1.0
    bars.loc[40, "signal"] = 2
    bars.loc[50, "close"] += 1.0
    other = Result(**{**vars(plain), "bars": bars})
    found = bar_differences(plain, other)
    assert [parting.stage for parting in found] == ["signal", "prices", "indicators"]
    assert found[0].place < found[1].place == found[2].place


def test_other_windows_part_at_the_first_bar_that_one_lacks(runs: dict[str, StoredRun]) -> None:
    found = compare(runs["plain"], runs["later"])
    window = found.bars[0]
    assert (window.stage, window.place) == ("window", "2024-12-31T15:00:00Z")
    assert (window.cells[0].a, window.cells[0].b) == ("there", None)


def test_fill_that_one_run_lacks_is_where_they_part(runs: dict[str, StoredRun]) -> None:
    fills = runs["plain"].result.fills
    found = fill_difference(fills, fills.iloc[:-1])
    assert found is not None
    assert found.place == str(len(fills))
    assert all(pair.b is None for pair in found.cells)
    assert fill_difference(fills, fills) is None


def test_effects_are_those_of_runs_with_one_change(costly: Comparison) -> None:
    by_group = {effect.group: effect for effect in costly.effects}
    assert list(by_group) == ["trading.take_profit_pct", "fees", "together", "whole"]
    alone = again(sample_settings("backtest.fees.commission=0.0005"))
    change = alone.summary["final_equity"] - costly.a.result.summary["final_equity"]
    assert by_group["fees"].changes["final_equity"] == change
    assert by_group["fees"].keys == ("backtest.fees.maker", "backtest.fees.taker")
    for figure, whole in by_group["whole"].changes.items():
        parts = [effect.changes[figure] for name, effect in by_group.items() if name != "whole"]
        if whole is not None:
            assert sum(each for each in parts if each is not None) == pytest.approx(whole)


def test_one_difference_needs_no_other_run(runs: dict[str, StoredRun]) -> None:
    def refuse(_: Settings) -> Result:
        raise AssertionError("no run is needed")

    found = compare(runs["plain"], runs["later"], refuse)
    assert [effect.group for effect in found.effects] == ["whole"]


def test_change_that_cannot_be_made_alone_says_why(runs: dict[str, StoredRun]) -> None:
    found = compare(runs["plain"], runs["linear"], again)
    effects = {effect.group: effect for effect in found.effects}
    # 0.5 USDT is too little for an entry of 0.01 BTC, but it runs; money cannot be compared.
    assert set(effects) == {"market", "backtest.initial_balance", "together", "whole"}
    assert effects["market"].refusal is None
    assert effects["whole"].changes["final_equity"] is None
    assert effects["whole"].changes["total_return"] is not None


def test_keys_that_belong_together_are_one_group() -> None:
    names = ["exchange.trade_type", "trading.symbol", "instrument.tick", "trading.leverage",
             "report.language", "backtest.fees.maker"]  # fmt: skip
    groups = groups_of([Pair(name, 1, 2) for name in names])
    assert {name: [pair.name for pair in pairs] for name, pairs in groups.items()} == {
        "market": names[:3], "trading.leverage": names[3:4], "fees": names[5:],
    }  # fmt: skip


# ---------------------------------------------------------------------- to read
@pytest.mark.parametrize("language", ["ko", "en"])
def test_tables_hold_every_section(costly: Comparison, language: str) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    for table in tables(costly, language):
        console.print(table)
    text = console.export_text()
    for section in sections(costly, language):
        assert section.title in text
    assert "trading.take_profit_pct" in text


class Reader(HTMLParser):
    """Collect what a page loads, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "line", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag != "polyline":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("language", ["ko", "en"])
def test_page_is_whole_and_needs_nothing_else(costly: Comparison, language: str) -> None:
    text = page(costly, language)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.loads == []
    assert "http" not in text
    for section in sections(costly, language):
        assert section.title in reader.text
        for row in section.rows:
            assert all(cell in reader.text for cell in row)


def test_page_says_where_nothing_differs(runs: dict[str, StoredRun]) -> None:
    text = page(compare(runs["plain"], runs["plain"]), "en")
    assert "nowhere: every bar and fill is the same" in text
    assert "none: all settings are the same" in text


def test_page_escapes_what_is_not_its_own(runs: dict[str, StoredRun], tmp_path: Path) -> None:
    strange = StoredRun(tmp_path / "<b>run</b>", runs["plain"].result)
    text = page(compare(strange, runs["later"]), "en")
    assert "<b>run" not in text
    assert "&lt;b&gt;run" in text


def test_runs_without_a_shared_bar_can_be_compared(runs: dict[str, StoredRun]) -> None:
    plain = runs["plain"].result
    bars = plain.bars.assign(time=plain.bars["time"] + pd.Timedelta(days=400))
    far = StoredRun(Path("far"), Result(**{**vars(plain), "bars": bars}))
    found = compare(runs["plain"], far)
    assert [parting.stage for parting in found.bars] == ["window"]
    assert page(found, "en")
