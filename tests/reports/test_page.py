"""report.html without a browser: what it holds, and that it asks nobody for more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.exchange.ambiguity import (
    ENTRY_AND_EXIT,
    EXIT_AND_LIQUIDATION,
    TAKE_PROFIT_AND_STOP,
)
from cryptosim_bt.exchange.order_types import OrderType
from cryptosim_bt.plugins.registry import Kind, discover
from cryptosim_bt.reports.page.packed import PackedTable
from cryptosim_bt.reports.page.page import ASSETS, page_of, write_page
from cryptosim_bt.reports.run_facts import decimals_of, figures_decimals
from cryptosim_bt.reports.words import texts_of
from cryptosim_bt.results.performance import performance_of
from tests.page_cases import page_result
from tests.page_files import Scripts, read_back, scripts, unpack

AMBIGUITIES = (ENTRY_AND_EXIT, TAKE_PROFIT_AND_STOP, EXIT_AND_LIQUIDATION)
NASTY = '</script><script>alert("x")</script><!-- {{tables}}'


def page_code() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in ASSETS.glob("page*"))


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
    assert [decimals_of(step, 1.0) for step in (1e-11, 2.5e-12, 1e-18)] == [11, 13, 18]
    assert [decimals_of(0.0, price) for price in (95000.0, 0.00025)] == [2, 10]
    assert figures_decimals(np.array([np.nan, np.inf, 95123.0, 1e-9])) == 2
    assert figures_decimals(np.array([np.nan, 0.0])) == 0


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDT:USDT"])
def test_page_holds_the_tables_of_the_run(symbol: str) -> None:
    result = page_result(symbol=symbol)
    facts, tables = read_back(page_of(result))
    money = 8 if symbol.endswith(":BTC") else 4
    assert facts["decimals"] == {"price": 1, "contracts": 0, "money": money, "rate": 8, "count": 0}
    for name, decimals in [("open", 1), ("high", 1), ("low", 1), ("close", 1),
                           ("liquidation_below", 1), ("long_average", 1), ("balance", money),
                           ("equity", money), ("margin", money), ("volume", 0),
                           ("long_contracts", 0)]:  # fmt: skip
        expected = result.bars[name].round(decimals)
        np.testing.assert_allclose(tables["bars"][name], expected, rtol=0, atol=10.0**-decimals)
    opened = result.bars["time"].astype("int64") / 1000
    np.testing.assert_array_equal(tables["bars"]["time"], opened)
    for name in ("sma_24", "rsi_14"):
        np.testing.assert_allclose(
            tables["bars"][f"indicator:{name}"], result.bars[name], rtol=1e-6
        )
    for table, column in [("trades", "net_pnl"), ("fills", "group_pnl"), ("sets", "net_pnl"),
                          ("funding", "payment")]:  # fmt: skip
        np.testing.assert_allclose(
            tables[table][column], getattr(result, table)[column], atol=0.5 * 10.0**-money
        )
    about = {column["name"]: column for column in facts["tables"]["trades"]["columns"]}
    levels = about["exit_reason"]["levels"]
    reasons = [levels[int(code)] for code in tables["trades"]["exit_reason"]]
    assert reasons == list(result.trades["exit_reason"])
    assert np.isnan(tables["sets"]["ended"][-1])
    orders = tables["orders"]
    np.testing.assert_array_equal(orders["order_id"], result.orders["order_id"])
    np.testing.assert_allclose(orders["price"], result.orders["price"], rtol=0, atol=0.05)
    unfilled = result.orders["fill_price"].isna()
    np.testing.assert_array_equal(np.isnan(orders["fill_price"]), unfilled)
    np.testing.assert_array_equal(tables["funding"]["rate"], result.funding["rate"])
    opened = result.ambiguous["time"].astype("int64") / 1000
    np.testing.assert_array_equal(tables["ambiguous"]["time"], opened)


def test_words_of_the_tables_are_those_of_the_workbook_in_both_languages() -> None:
    facts, _ = read_back(page_of(page_result()))
    about = {column["name"]: column for column in facts["tables"]["orders"]["columns"]}
    assert about["status"]["levels"] == ["filled", "expired"]
    assert about["status"]["words"] == {"en": ["filled", "expired"], "ko": ["체결", "만료"]}
    assert about["reason"]["words"] == {"en": ["its time had passed"], "ko": ["유효 시간 경과"]}
    assert "words" not in about["group"]


def test_page_of_a_run_without_trades_has_empty_tables() -> None:
    facts, tables = read_back(page_of(page_result(trades=0)))
    assert {name: facts["tables"][name]["rows"] for name in facts["tables"]} == {
        "bars": 744, "fills": 0, "trades": 0, "sets": 0, "orders": 0, "funding": 0, "ambiguous": 0,
    }  # fmt: skip
    assert len(tables["bars"]["close"]) == 744


def test_page_holds_volumes_with_their_unit_and_decimals() -> None:
    result = page_result(50, trades=0)
    result.settings["data"]["volume_unit"] = "base"  # type: ignore[index]
    result.bars["volume"] = [np.nan, 7.5, *range(48)]
    facts, tables = read_back(page_of(result))
    # Seven figures of the largest, 47.
    assert facts["volume"] == {"unit": "base", "decimals": 5}
    np.testing.assert_array_equal(tables["bars"]["volume"], result.bars["volume"])
    assert [each["name"] for each in facts["indicators"]] == ["sma_24", "rsi_14"]


@pytest.mark.parametrize("volume", [np.nan, 0.0, [np.nan, *[0.0] * 49]])
def test_page_of_bars_without_volume_has_none(volume: Any) -> None:
    result = page_result(50, trades=0)
    result.bars["volume"] = volume
    facts, tables = read_back(page_of(result))
    assert facts["volume"] is None
    assert "volume" not in tables["bars"]


def test_page_has_the_figures_of_the_summary() -> None:
    result = page_result()
    facts, _ = read_back(page_of(result))
    assert facts["summary"] == {
        name: value for name, value in result.summary.items() if name != "data"
    }
    assert facts["summary"]["entries_refused"] == {"sets_full": 3}


def test_page_has_the_figures_of_performance_but_the_sets_one_by_one() -> None:
    result = page_result()
    facts, _ = read_back(page_of(result))
    figures = json.loads(json.dumps(performance_of(result)))
    del figures["sets"]["each"]
    assert facts["performance"] == figures


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


def test_every_word_that_the_page_asks_for_is_there() -> None:
    page = page_of(page_result(50, trades=0))
    words = json.loads(scripts(page)["words"])
    assert words == {name: list(pair) for name, pair in texts_of("page").items()}
    code = page_code()
    asked = set(re.findall(r'word\("([\w.]+)"', code))
    asked |= set(re.findall(r'data-(?:word|title)="(\w+)"', code))
    columns = read_back(page)[0]["tables"]
    asked |= {f"head.{column['name']}" for table in ("trades", "sets", "orders", "funding")
              for column in columns[table]["columns"]}  # fmt: skip
    lists = dict(re.findall(r"const ([A-Z_]+) = \[(.*?)\];", code, re.DOTALL))
    figures = {name: re.findall(r'\["([\w.]+)", "', lists[name]) for name in lists}
    asked |= {f"figure.{name}" for name in figures["FIGURES"]} | {"figure.version"}
    tables = ("ACCOUNT", "TRADES", "SETS", "MARKET", "MONTH", "WINS_AND_LOSSES", "HOLDING_TIMES")
    asked |= {f"of.{name}" for table in tables for name in figures[table]}
    asked |= {f"{name}_tab" for name in re.findall(r'id="tab-(\w+)"', code)}
    asked |= {f"part.{role.value}" for role in Role if role is not Role.ENTRY}
    asked |= {f"part.{kind.value}" for kind in OrderType}
    asked |= {f"ambiguous_{kind}" for kind in AMBIGUITIES}
    assert asked - set(words) == set()


def test_every_word_of_the_page_is_asked_for() -> None:
    code = page_code()
    named = {"noscript", *re.findall(r'"([\w.]+)"', code)}
    # `head.${name}`: what fills the place is named by the scripts, or a value or column of a table.
    tables = read_back(page_of(page_result(50, trades=0)))[0]["tables"].values()
    values = texts_of("value")
    fillings = {*named, *values, *AMBIGUITIES, *re.findall(r'id="tab-(\w+)"', code)}
    fillings |= {each["name"] for table in tables for each in table["columns"]}
    fillings |= {f"entries_refused.{value}" for value in values}
    places = [f"{re.escape(before)}(.+){re.escape(after)}"
              for before, after in re.findall(r"`([\w.]*)\$\{[^{}`]+\}([\w.]*)`", code)]
    dead = {
        name for name in set(texts_of("page")) - named
        if not any(found[1] in fillings for place in places if (found := re.fullmatch(place, name)))
    }  # fmt: skip
    assert dead == set()


def test_page_of_many_bars_is_small_and_quickly_made(tmp_path: Path) -> None:
    path = write_page(page_result(100_000, trades=2_000), tmp_path / "report.html")
    # Under 30 MB for 525,600 bars: 57 bytes a bar, all columns together.
    assert path.stat().st_size < 57 * 100_000
