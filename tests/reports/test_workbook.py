"""report.xlsx: every column, exact numbers, local times, both languages, any run."""

from __future__ import annotations

import datetime
import math
import re
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from cryptosim_bt import SHIPPED_CONFIGS, PluginError, Result, load_settings, run_backtest
from cryptosim_bt.analyzers.excel import Excel
from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.reports.run_facts import RunFacts, instrument_of
from cryptosim_bt.reports.workbook.book import EXCEL_ROWS, write_workbook
from cryptosim_bt.reports.workbook.proof.checks import HEADING_ROW
from cryptosim_bt.reports.workbook.sheets import sheets_of
from tests.report_runs import sample_result, sample_settings

pytestmark = pytest.mark.usefixtures("quiet_framework")

END = "backtest.trading_period.end_date=2025-01-{:02} 00:00:00"
LINEAR = ("exchange.trade_type=1", "trading.symbol=BTC/USDT:USDT",
          "backtest.initial_balance=5000")  # fmt: skip
RUNS = {
    "coin": (),
    "linear": LINEAR,
    "own_panel": ("strategy.name=rsi_dip",),
    "no_fills": ("trading.position_size=0.0001",),
    "cryptosim": ("backtest.fill.entry_fill=signal_close", "instrument.lot=0", "instrument.tick=0"),
    "plain": (*LINEAR, "strategy.name=SmaCross", "strategy.warmup=96",
              "trading.position_mode=net"),
    "stops": ("trading.stop_loss_pct=0.02", "trading.leverage=100", "trading.position_size=0.3"),
}
FIRST_CRYPTOSIM = [
    "시간", "시가", "고가", "저가", "종가", "SMA_24", "SMA_720", "매수신호", "매도신호", "거래ID",
    "거래방향", "거래가격", "거래크기", "거래수익", "총 롱크기", "롱Set", "총 롱진입가",
    "총 롱가치", "총 숏크기", "숏Set", "총 숏진입가", "총 숏가치", "포지션크기",
    "포지션수익율(%)", "총마진(BTC)", "거래잔고(BTC)", "총자산(BTC)", "누적수익률(%)",
]  # fmt: skip
FIRST_CRYPTOSIM_TRADES = [
    "진입시간", "청산시간", "포지션", "수량(BTC)", "진입가격", "청산가격", "투입마진(BTC)",
    "손익(BTC)", "수익률(%)", "청산이유",
]  # fmt: skip

OWN_COLUMNS = """
from cryptosim_bt import SignalStrategy, register_strategy


@register_strategy("mine")
class Mine(SignalStrategy):
    @classmethod
    def warmup(cls, params):
        return 0

    @classmethod
    def generate_signals(cls, bars, params):
        close = bars["close"]
        return bars.assign(signal=0, x=close, EXTRA).rename(columns={"second": "x"})
"""

Cells = dict[str, list[tuple[Any, ...]]]


def run(*overrides: str, last: int = 14) -> Result:
    settings = load_settings(SHIPPED_CONFIGS / "config.yaml", [END.format(last), *overrides])
    return run_backtest(settings, discover())[0]


def in_language(result: Result, language: str) -> Result:
    report = {**result.settings["report"], "language": language}
    return replace(result, settings={**result.settings, "report": report})


def cells(path: Path) -> Cells:
    book = openpyxl.load_workbook(path)
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}


def column(rows: list[tuple[Any, ...]], heading: str) -> list[Any]:
    return [row[rows[0].index(heading)] for row in rows[1:]]


def tables_of(book: openpyxl.Workbook) -> list[Any]:
    """Return the sheets whose first row is a heading."""
    return [sheet for sheet in book.worksheets[1:] if sheet.title not in ("차트", "검산")]


def exact(values: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in values.tolist()]


@pytest.fixture(scope="module", params=RUNS)
def any_run(request: pytest.FixtureRequest) -> Result:
    return run(*RUNS[request.param], last=5)


@pytest.fixture(scope="module")
def coin() -> Result:
    result = run()
    assert len(result.trades) > 20
    assert len(result.sets) > 2
    return result


@pytest.fixture(scope="module")
def book(coin: Result, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return cells(write_workbook(coin, tmp_path_factory.mktemp("book") / "report.xlsx"))


def test_workbook_is_written_by_a_clock_before_1980(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "localtime", lambda *_: time.struct_time((1970, 1, 1, *[0] * 6)))
    assert write_workbook(sample_result(), tmp_path / "report.xlsx").stat().st_size


def test_workbook_has_the_sheets_in_both_languages(
    coin: Result, book: Cells, tmp_path: Path
) -> None:
    assert list(book) == [
        "요약", "차트", "시세분석", "일별", "거래내역", "주문", "포지션세트", "체결", "펀딩",
        "검산", "장부", "거래과정",
    ]  # fmt: skip
    english = cells(write_workbook(in_language(coin, "en"), tmp_path / "en.xlsx"))
    assert list(english) == [
        "Summary", "Charts", "Bars", "Days", "Trades", "Orders", "Sets", "Fills", "Funding",
        "Proof", "Ledger", "Steps",
    ]  # fmt: skip
    assert [len(rows) for rows in english.values()] == [len(rows) for rows in book.values()]
    assert english["Trades"][0][:3] == ("Entry time", "Exit time", "Side")
    assert column(english["Trades"], "Side")[0] == "long"
    assert column(book["거래내역"], "포지션")[0] == "롱"
    text = [str(cell) for rows in english.values() for row in rows for cell in row]
    assert not [cell for cell in text if any("가" <= letter <= "힣" for letter in cell)]


def test_workbook_keeps_the_columns_of_the_first_cryptosim(book: Cells) -> None:
    headings = book["시세분석"][0]
    assert [heading for heading in headings if heading in FIRST_CRYPTOSIM] == FIRST_CRYPTOSIM
    trades = book["거래내역"][0]
    assert list(trades[: len(FIRST_CRYPTOSIM_TRADES)]) == FIRST_CRYPTOSIM_TRADES


def test_bars_sheet_holds_the_numbers_of_the_result_exactly(coin: Result, book: Cells) -> None:
    rows, bars = book["시세분석"], coin.bars
    assert len(rows) == 1 + len(bars)
    same = {"시가": "open", "종가": "close", "SMA_720": "sma_720", "총 롱크기": "long_contracts",
            "롱Set": "long_sets", "총 롱진입가": "long_average", "총마진(BTC)": "margin",
            "거래잔고(BTC)": "balance", "총자산(BTC)": "equity",
            "미실현손익(BTC)": "unrealized_pnl"}  # fmt: skip
    for heading, name in same.items():
        assert column(rows, heading) == exact(bars[name]), heading
    values = column(rows, "총 롱가치")
    expected = bars["long_contracts"] * 100.0 / bars["close"]
    assert values == pytest.approx(expected.tolist(), rel=1e-15)
    assert column(rows, "누적수익률(%)")[-1] == (bars["equity"].iloc[-1] / 0.5 - 1) * 100


def test_bars_sheet_shows_what_filled_in_each_bar(coin: Result, book: Cells) -> None:
    rows, fills = book["시세분석"], coin.fills
    times = coin.bars["time"].tolist()
    counts = fills.groupby("time").size()
    single = fills[fills["time"].map(counts) == 1].iloc[0]
    row = times.index(single["time"])
    assert column(rows, "거래ID")[row] == single["order_id"]
    assert column(rows, "거래가격")[row] == single["price"]
    assert column(rows, "거래크기")[row] == single["contracts"]
    filled = [action for action in column(rows, "거래방향") if action]
    assert sum(action.count(",") + 1 for action in filled) == len(fills)
    exits = fills.loc[fills["role"] != "entry", "group_pnl"].sum()
    pnl = [value for value in column(rows, "거래수익") if value is not None]
    assert math.fsum(pnl) == pytest.approx(exits, rel=1e-12)
    signals = [value for value in column(rows, "매수신호") if value]
    assert set(signals) == {"롱 진입"}
    assert len(signals) == (coin.bars["signal"] == 1).sum()


def test_times_are_excel_times_of_the_configured_zone(coin: Result, book: Cells) -> None:
    # The run begins at midnight in Seoul, which is 15:00 UTC of the day before.
    assert column(book["시세분석"], "시간")[0] == datetime.datetime(2025, 1, 1)  # noqa: DTZ001
    assert column(book["시세분석"], "시간(UTC)")[0] == datetime.datetime(2024, 12, 31, 15)  # noqa: DTZ001
    entries = coin.trades["entry_time"].dt.tz_convert("Asia/Seoul").dt.tz_localize(None)
    assert column(book["거래내역"], "진입시간") == entries.tolist()
    assert any("Asia/Seoul" in str(row[0]) for row in book["요약"])


def test_trades_sheet_adds_margin_amount_and_return(coin: Result, book: Cells) -> None:
    rows, trade = book["거래내역"], coin.trades.iloc[0]
    margin = trade["contracts"] * 100.0 / trade["entry_price"] / 5
    assert column(rows, "투입마진(BTC)")[0] == pytest.approx(margin, rel=1e-15)
    assert column(rows, "수량(BTC)")[0] == pytest.approx(margin * 5, rel=1e-15)
    assert column(rows, "손익(BTC)") == coin.trades["net_pnl"].tolist()
    assert column(rows, "수익률(%)")[0] == pytest.approx(trade["net_pnl"] / margin * 100, rel=1e-14)
    assert column(rows, "청산이유")[0] == "익절"


def test_linear_amount_is_the_coins_of_the_contracts() -> None:
    facts = RunFacts.of(run(*LINEAR, last=2))
    assert facts.base_amount(300.0, 95_000.0) == 300 * 0.01
    assert (facts.instrument.currency, facts.money_decimals) == ("USDT", 4)


def test_instrument_of_settings_is_the_instrument_of_the_run() -> None:
    settings = load_settings(SHIPPED_CONFIGS / "config.yaml")
    found = instrument_of(settings.resolved())
    assert found == replace(settings.instrument, maker=settings.maker, taker=settings.taker)


def test_sheets_are_formatted(coin: Result, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(write_workbook(coin, tmp_path / "report.xlsx"))
    for sheet in tables_of(book):
        assert sheet.freeze_panes == "B2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert sheet["A1"].font.bold
        assert sheet["A1"].fill.fgColor.rgb == "001F3864"
        assert all(sheet.column_dimensions[cell.column_letter].width >= 7 for cell in sheet[1])
    bars = book["시세분석"]
    formats = {cell.value: bars.cell(2, cell.column).number_format for cell in bars[1]}
    assert formats["시간"] == "yyyy-mm-dd hh:mm"
    assert formats["시가"] == "#,##0.0"
    assert formats["총자산(BTC)"] == "#,##0.00000000"
    trades = book["거래내역"]
    pnl = trades.cell(2, [cell.value for cell in trades[1]].index("손익(BTC)") + 1)
    assert pnl.number_format == "+#,##0.00000000;-#,##0.00000000;#,##0.00000000"
    assert pnl.font.color.rgb == ("0000803C" if pnl.value > 0 else "00C00000")


def test_synthetic_data_are_labelled(coin: Result, tmp_path: Path) -> None:
    path = write_workbook(coin, tmp_path / "report.xlsx")
    book = openpyxl.load_workbook(path)
    assert "합성 표본" in book["요약"]["A2"].value
    assert all("합성 표본" in sheet["A1"].comment.text for sheet in tables_of(book))
    assert "합성 표본" in book["차트"]["A3"].value
    assert "합성 표본" in book["검산"]["A4"].comment.text
    real = replace(coin, summary={**coin.summary, "data": {**coin.summary["data"],
                                                           "synthetic": False}})  # fmt: skip
    assert not any("합성 표본" in str(row[0])
                   for row in cells(write_workbook(real, path))["요약"])  # fmt: skip


def test_summary_sheet_explains_every_figure(coin: Result, book: Cells) -> None:
    rows = {row[0]: row for row in book["요약"] if len(row) > 1 and row[1] is not None}
    words = RunFacts.of(coin).words()
    for name, value in coin.summary.items():
        if isinstance(value, dict) or name in ("start", "end"):
            continue
        label, note = words.figure(name)
        assert note, f"{name} has no explanation"
        assert rows[label][1:] == ("-" if value is None else value, note)
    assert rows["거부된 진입: 세트 한도"][1] == coin.summary["entries_refused"]["sets_full"]
    assert rows["strategy.simple_ma.short_period"][1] == 24
    assert rows["trading.symbol"][1] == "BTC/USD:BTC"


def test_new_figure_of_the_summary_is_shown_under_its_key(coin: Result, tmp_path: Path) -> None:
    newer = replace(coin, summary={**coin.summary, "brand_new": {"one": 1.5}, "odd": "=1+1\x07"})
    book = openpyxl.load_workbook(write_workbook(newer, tmp_path / "report.xlsx"))
    found = {row[0].value: row[1] for row in book["요약"].iter_rows(max_col=2)}
    assert found["brand_new.one"].value == 1.5
    # No formula, and no character that a workbook cannot hold.
    assert (found["odd"].value, found["odd"].data_type) == ("=1+1", "s")


def test_result_read_back_gives_the_same_workbook(any_run: Result, tmp_path: Path) -> None:
    any_run.write_tables(tmp_path)
    any_run.write_summary(tmp_path)
    first = cells(write_workbook(any_run, tmp_path / "first.xlsx"))
    again = cells(write_workbook(Result.read(tmp_path), tmp_path / "again.xlsx"))
    assert first == again


@pytest.mark.parametrize("language", ["ko", "en"])
def test_any_run_gives_a_workbook(any_run: Result, language: str, tmp_path: Path) -> None:
    (path,) = Excel.without_run().write(in_language(any_run, language), tmp_path)
    rows = cells(path)
    assert path.name == "report.xlsx"
    words = RunFacts.of(any_run).words(language)
    for name in ("bars", "trades", "orders", "sets", "fills", "funding"):
        assert len(rows[words(f"workbook.sheet.{name}")]) == 1 + len(getattr(any_run, name))
    events = len(any_run.fills) + len(any_run.funding)
    assert len(rows[words("workbook.sheet.ledger")]) == 2 + events
    for sheet, lines in list(rows.items())[2:]:
        headings = lines[HEADING_ROW - 1 if sheet == words("workbook.sheet.proof") else 0]
        assert len(set(headings)) == len(headings) > 4, sheet


@pytest.mark.parametrize("language", ["ko", "en"])
def test_indicator_with_a_heading_of_the_sheet_gets_a_number(coin: Result, language: str) -> None:
    price = coin.bars["close"]
    named = coin.bars.assign(drawdown=price, 거래ID=price, fill_price=price, Sma=price, sma=price)
    result = replace(coin, bars=named)
    words = RunFacts.of(result).words(language)
    for sheet in sheets_of(result, RunFacts.of(result), words):
        headings = [words.heading(each.name) for each in sheet.columns]
        assert len(set(headings)) == len(headings)
        if sheet.name == "bars":
            assert {"DRAWDOWN_#2", "SMA", "SMA_#2"} < set(headings)


@pytest.mark.parametrize("extra", ["equity=close", "time=close", "second=close"])
def test_strategys_column_of_a_name_that_is_taken_is_refused(tmp_path: Path, extra: str) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text(OWN_COLUMNS.replace("EXTRA", extra), "utf-8")
    settings = sample_settings("strategy.name=mine")
    with pytest.raises(PluginError, match=r"generate_signals\(\) gave a column '"):
        prepare(settings, discover([tmp_path]))


def test_table_beyond_the_row_limit_is_cut_and_says_so(coin: Result, tmp_path: Path) -> None:
    book = cells(write_workbook(coin, tmp_path / "report.xlsx", row_limit=100))
    rows = book["시세분석"]
    assert len(rows) == 100
    assert column(rows, "시가")[:98] == coin.bars["open"].tolist()[:98]
    assert "98" in rows[-1][0]
    assert "bars.csv" in rows[-1][0]
    assert any("bars.csv" in str(row[0]) for row in book["요약"])
    exact_fit = cells(write_workbook(coin, tmp_path / "fit.xlsx", row_limit=len(coin.bars) + 1))
    assert len(exact_fit["시세분석"]) == len(coin.bars) + 1
    assert not any("bars.csv" in str(row[0]) for row in exact_fit["요약"])
    assert EXCEL_ROWS == 2**20


def test_every_column_has_a_heading_of_its_own(coin: Result, book: Cells) -> None:
    for name, rows in book.items():
        row = HEADING_ROW - 1 if name == "검산" else 0
        headings = [] if name in ("요약", "차트") else [each for each in rows[row] if each]
        assert len(set(headings)) == len(headings), name
        own = {each.upper() for each in coin.indicators}
        # A column without words would bear its own name.
        assert [each for each in headings if not re.search("[가-힣]", each)
                and each not in own] == [], name  # fmt: skip


# ---------------------------------------------------------------------- charts, days, progress
def test_charts_draw_the_account_with_titles_and_axes(coin: Result, tmp_path: Path) -> None:
    for chart_bars, sheet, rows in ((20_000, "시세분석", len(coin.bars)), (100, "일별", 13)):
        path = write_workbook(coin, tmp_path / "report.xlsx", chart_bars=chart_bars)
        with zipfile.ZipFile(path) as book:
            lines, area = (book.read(f"xl/charts/chart{n}.xml").decode() for n in (1, 2))
        assert "lineChart" in lines
        assert "areaChart" in area
        assert "총자산과 잔고 (BTC)" in lines
        assert "낙폭 (%)" in area
        for chart in (lines, area):
            assert f"'{sheet}'!$A$2:$A${rows + 1}" in chart
            assert chart.count('<c:delete val="0"') + chart.count('<delete val="0"') == 2
            assert "Asia/Seoul" in chart


def test_days_sheet_sums_each_local_day(coin: Result, book: Cells) -> None:
    rows, bars = book["일별"], coin.bars
    # 13 days from midnight to midnight in Seoul.
    assert len(rows) == 1 + 13
    assert column(rows, "날짜")[0] == datetime.datetime(2025, 1, 1)  # noqa: DTZ001
    assert column(rows, "총자산(BTC)") == bars["equity"].tolist()[23::24]
    assert column(rows, "시가") == bars["open"].tolist()[::24]
    assert column(rows, "고가")[1] == bars["high"].iloc[24:48].max()
    first = (bars["equity"].iloc[23] / 0.5 - 1) * 100
    assert column(rows, "일수익률(%)")[0] == pytest.approx(first, rel=1e-12)
    assert -min(column(rows, "낙폭(%)")) == pytest.approx(100 * coin.summary["max_drawdown"])
    assert sum(column(rows, "청산거래수")) == len(coin.trades)
    assert math.fsum(column(rows, "손익(BTC)")) == pytest.approx(coin.trades["net_pnl"].sum())
    assert math.fsum(column(rows, "수수료(BTC)")) == pytest.approx(coin.summary["fees_paid"])
    assert math.fsum(column(rows, "펀딩비(BTC)")) == pytest.approx(coin.summary["funding_paid"])


def test_progress_is_told_up_to_the_last_row(coin: Result, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_workbook(coin, tmp_path / "report.xlsx", progress=lambda *each: told.append(each))
    done = [each[0] for each in told]
    assert done == sorted(done)
    assert {each[1] for each in told} == {done[-1]}


def test_workbook_is_computed_when_it_is_opened(coin: Result, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(write_workbook(coin, tmp_path / "report.xlsx"))
    assert book.calculation.fullCalcOnLoad
    assert book["검산"]["B1"].data_type == "f"
    assert str(book["검산"]["B1"].value).startswith("=IF(COUNTIF(")
    # Rates and the tolerance stand in cells of their own: whoever doubts one changes it.
    for name in ("contract_size", "maker_fee", "taker_fee", "tick", "tolerance"):
        title, place = book.defined_names[name].attr_text.replace("'", "").split("!")
        assert isinstance(book[title][place.replace("$", "")].value, int | float), name
    assert not list(tmp_path.glob(".report-*"))


def test_workbook_is_written_by_a_machine_whose_clock_stands_before_1980(
    coin: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_1975 = 157_766_400.0
    monkeypatch.setattr(time, "time", lambda: in_1975)
    path = write_workbook(coin, tmp_path / "report.xlsx")
    with zipfile.ZipFile(path) as archive:
        assert 1980 in {item.date_time[0] for item in archive.infolist()}
        assert archive.testzip() is None


def test_made_of_rows_have_labels(book: Cells) -> None:
    labels = [str(row[0]) for row in book["요약"]]
    assert "봉 SHA-256" in labels
    assert "라이브러리: numpy" in labels
    assert not [label for label in labels if label.startswith("provenance.")]
