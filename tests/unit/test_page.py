"""report.html without a browser: what it holds, and that it asks nobody for more."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from cryptosim_bt.packed import PackedTable, decimals_of, figures_decimals
from cryptosim_bt.page import ASSETS, page_of, write_page
from cryptosim_bt.plugins import Kind, discover
from tests.page_cases import page_result

NASTY = '</script><script>alert("x")</script><!-- {{tables}}'


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


def packed(values: Any, decimals: int) -> npt.NDArray[np.float64]:
    table = PackedTable(len(values))
    table.add_numbers("it", values, decimals)
    return unpack({"rows": table.rows, "columns": table.columns}, table.encoded())["it"]


# --- packing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([], 2),
        ([1.5], 1),
        ([np.nan], 1),
        ([0.1, 0.2, -0.3, 0.3], 1),
        ([np.nan, 1.0, np.nan, np.nan, 2.0, np.nan], 0),
        ([20000.1, 19999.9, 0.0, -20000.1], 1),
        ([21.5, 0.00000001, 42.0], 8),
    ],
)
def test_packed_numbers_come_back(values: list[float], decimals: int) -> None:
    np.testing.assert_array_equal(packed(values, decimals), np.array(values))


def test_packed_numbers_are_rounded_to_their_decimals() -> None:
    np.testing.assert_array_equal(packed([1 / 3, 2 / 3], 4), [0.3333, 0.6667])


def test_infinite_numbers_become_blanks() -> None:
    np.testing.assert_array_equal(packed([1.0, np.inf, -np.inf], 0), [1.0, np.nan, np.nan])


@pytest.mark.parametrize("values", [[1e300, 1.25], [0.0, 3e9, 0.125], [1e17, 1e-5]])
def test_numbers_too_large_for_steps_come_back_exactly(values: list[float]) -> None:
    np.testing.assert_array_equal(packed(values, 2), np.array(values))


def test_packed_times_are_seconds_and_keep_milliseconds() -> None:
    table = PackedTable(3)
    whole = pd.Series(pd.to_datetime(["2025-01-01", None, "2014-05-01"], utc=True))
    table.add_times("whole", whole)
    table.add_times("fine", whole + pd.Timedelta(250, unit="ms"))
    found = unpack({"rows": 3, "columns": table.columns}, table.encoded())
    np.testing.assert_array_equal(found["whole"], [1735689600.0, np.nan, 1398902400.0])
    np.testing.assert_array_equal(found["fine"], [1735689600.25, np.nan, 1398902400.25])


def test_decimals_follow_the_grid_or_the_figures() -> None:
    assert [decimals_of(step, 1.0) for step in (0.1, 0.5, 1.0, 100.0, 1e-4)] == [1, 1, 0, 0, 4]
    assert [decimals_of(0.0, price) for price in (95000.0, 0.00025)] == [2, 10]
    assert figures_decimals(np.array([np.nan, np.inf, 95123.0, 1e-9])) == 2
    assert figures_decimals(np.array([np.nan, 0.0])) == 0


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDT:USDT"])
def test_page_holds_the_tables_of_the_run(symbol: str) -> None:
    result = page_result(symbol=symbol)
    facts, tables = read_back(page_of(result))
    money = 8 if symbol.endswith(":BTC") else 4
    assert facts["decimals"] == {"price": 1, "contracts": 0, "money": money, "count": 0}
    for name, decimals in [("open", 1), ("high", 1), ("low", 1), ("close", 1),
                           ("liquidation_below", 1), ("long_average", 1), ("balance", money),
                           ("equity", money), ("long_contracts", 0)]:  # fmt: skip
        expected = result.bars[name].round(decimals)
        np.testing.assert_allclose(tables["bars"][name], expected, rtol=0, atol=10.0**-decimals)
    opened = result.bars["time"].astype("int64") / 1000
    np.testing.assert_array_equal(tables["bars"]["time"], opened)
    for name in ("sma_24", "rsi_14"):
        np.testing.assert_allclose(
            tables["bars"][f"indicator:{name}"], result.bars[name], rtol=1e-6
        )
    for table, column in [("trades", "net_pnl"), ("fills", "group_pnl"), ("sets", "net_pnl")]:
        np.testing.assert_allclose(
            tables[table][column], getattr(result, table)[column], atol=0.5 * 10.0**-money
        )
    about = {column["name"]: column for column in facts["tables"]["trades"]["columns"]}
    levels = about["exit_reason"]["levels"]
    reasons = [levels[int(code)] for code in tables["trades"]["exit_reason"]]
    assert reasons == list(result.trades["exit_reason"])
    assert np.isnan(tables["sets"]["ended"][-1])


def test_page_of_a_run_without_trades_has_empty_tables() -> None:
    facts, tables = read_back(page_of(page_result(trades=0)))
    assert [facts["tables"][name]["rows"] for name in ("fills", "trades", "sets")] == [0, 0, 0]
    assert len(tables["bars"]["close"]) == 744


def test_page_shows_volume_where_bars_have_it_and_not_as_indicator() -> None:
    result = page_result(50, trades=0)
    result.bars["volume"] = 7.5
    facts, tables = read_back(page_of(result))
    assert set(tables["bars"]["indicator:volume"]) == {7.5}
    assert [each["name"] for each in facts["indicators"]] == ["sma_24", "rsi_14"]


def test_page_has_the_figures_of_the_summary() -> None:
    result = page_result()
    facts, _ = read_back(page_of(result))
    plain = {key: value for key, value in result.summary.items() if not isinstance(value, dict)}
    assert facts["summary"] == plain


@pytest.mark.parametrize("language", ["ko", "en"])
def test_page_begins_in_the_configured_language(language: str) -> None:
    page = page_of(page_result(50, trades=0, language=language))
    assert f'<html lang="{language}">' in page
    assert read_back(page)[0]["language"] == language


def test_same_run_makes_the_same_page() -> None:
    assert page_of(page_result()) == page_of(page_result())


def test_page_analyzer_writes_report_html(tmp_path: Path) -> None:
    analyzer = discover([]).get(Kind.ANALYZER, "page", "here").cls
    # `write` needs nothing of the run that made the analyzer.
    (path,) = analyzer.write(None, page_result(50, trades=0), tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


# --- safe and alone -------------------------------------------------------------------------------


def test_page_loads_nothing_from_elsewhere() -> None:
    page = page_of(page_result())
    # The browser itself is told to load nothing; only inline code and styles may be.
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'" in page
    assert re.findall(r"<(?:link|img|iframe|object|embed|base|form)\b", page) == []
    assert re.findall(r"<script[^>]*\bsrc=", page) == []
    assert re.findall(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|import\(", page) == []
    # The library's own address in its licence comment.
    assert set(re.findall(r"https?://[^\s\"')]+", page)) == {"https://github.com/leeoniya/uPlot"}


def test_names_of_the_run_stay_text() -> None:
    plain = page_of(page_result(50, trades=0))
    page = page_of(page_result(
        50, trades=0, strategy=NASTY, indicators={NASTY: (NASTY, np.arange(50.0))}
    ))  # fmt: skip
    facts, tables = read_back(page)
    assert facts["strategy"] == f"{NASTY} (short_period=24)"
    assert facts["indicators"] == [{"name": NASTY, "panel": NASTY}]
    np.testing.assert_array_equal(tables["bars"][f"indicator:{NASTY}"], np.arange(50.0))
    assert len(scripts(page)) == len(scripts(plain))
    parser = Scripts()
    parser.feed(page)
    assert "".join(parser.titles) == f"BTC/USD:BTC {NASTY} (short_period=24) – CryptoSim"


def test_indicator_named_like_a_column_of_ours_is_kept_apart() -> None:
    result = page_result(50, trades=0, indicators={"drawdown": ("price", np.arange(50.0))})
    _, tables = read_back(page_of(result))
    np.testing.assert_array_equal(tables["bars"]["indicator:drawdown"], np.arange(50.0))


@pytest.mark.parametrize("name", sorted(path.name for path in ASSETS.glob("*.js")))
def test_no_script_closes_its_element(name: str) -> None:
    text = (ASSETS / name).read_text(encoding="utf-8").lower()
    assert "</script" not in text
    assert "<!--" not in text


def test_library_comes_with_its_licence() -> None:
    assert "MIT License" in (ASSETS / "uPlot.LICENSE").read_text(encoding="utf-8")
    assert (ASSETS / "uPlot.iife.min.js").stat().st_size < 1_000_000


def test_every_word_that_the_page_asks_for_is_there_in_both_languages() -> None:
    text = (ASSETS / "page_words.js").read_text(encoding="utf-8")
    pairs = re.findall(r'"?([\w.]+)"?: \["([^"]*)",\s*"([^"]*)"\]', text)
    words = {name for name, english, korean in pairs if english and korean}
    code = "\n".join(path.read_text(encoding="utf-8") for path in ASSETS.glob("page*"))
    asked = set(re.findall(r'word\("([\w.]+)"', code))
    asked |= set(re.findall(r'data-(?:word|title)="(\w+)"', code))
    columns = read_back(page_of(page_result(50, trades=0)))[0]["tables"]
    asked |= {f"head.{column['name']}" for table in ("trades", "sets")
              for column in columns[table]["columns"]}  # fmt: skip
    figures = re.search(r"const FIGURES = \[(.*?)\];", code, re.DOTALL)
    assert figures
    asked |= {f"figure.{name}" for name in re.findall(r'\["(\w+)", "', figures[1])}
    assert asked - words == set()


def test_page_of_many_bars_is_small_and_quickly_made(tmp_path: Path) -> None:
    path = write_page(page_result(100_000, trades=2_000), tmp_path / "report.html")
    # Under 30 MB for 525,600 bars: 57 bytes a bar, all columns together.
    assert path.stat().st_size < 57 * 100_000
