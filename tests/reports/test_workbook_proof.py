"""report.xlsx proves itself: its formulas, computed by LibreOffice, give the engine's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cryptosim_bt import SHIPPED_CONFIGS, Result, load_settings, run_backtest
from cryptosim_bt.backtest.stored_run import flat
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.workbook import write_workbook
from tests.report_runs import LINEAR, sample_result
from tests.spreadsheet import (
    COMPUTED,
    ENGINE,
    FIGURE,
    KIND,
    WHAT,
    Computed,
    changed,
    office,
    recalculated,
)

pytestmark = pytest.mark.usefixtures("quiet_framework")

HEAVY = ("trading.leverage=100", "trading.position_size=1.0", "trading.take_profit_pct=0.05",
         "position_set.max_long_set=20", "position_set.max_short_set=20",
         "risk.max_concurrent_positions=40")  # fmt: skip
PARTS = ("backtest.fill.max_volume_share=0.0002", "data.volume_unit=contracts",
         "trading.order_cancel_timeout=86400", "trading.position_size=0.05")  # fmt: skip
MONTH = "backtest.trading_period.end_date=2025-02-01"
RUNS: Mapping[str, tuple[str, ...]] = {
    "main": (MONTH,),
    "linear": (*LINEAR, "report.language=en"),
    "liquidation": HEAVY,
    "isolated": (*HEAVY, "trading.position_size=0.2", "trading.margin_mode=isolated"),
    "isolated_parts": (*HEAVY, *PARTS, "trading.position_size=0.5",
                       "trading.margin_mode=isolated"),
    "shortfall": (*HEAVY, "trading.stop_loss_pct=0.004", "backtest.fill.slippage=0.5",
                  "trading.position_size=0.4"),
    "parts": (*PARTS, "trading.stop_loss_pct=0.01", "trading.take_profit_pct=0.004"),
    "parts_linear": (*LINEAR, *PARTS, "backtest.fill.max_volume_share=0.00003"),
    "cryptosim": (*LINEAR, "backtest.linear_pnl=cryptosim", "instrument.tick=0",
                  "backtest.fill.entry_fill=signal_close", "backtest.close_at_end=true"),
    "cryptosim_parts": (*LINEAR, *PARTS, "backtest.fill.max_volume_share=0.00003",
                        "backtest.linear_pnl=cryptosim"),
    "no_fills": ("trading.position_size=0.0001",),
    "one_bar": ("backtest.trading_period.end_date=2025-01-01 01:00:00",),
}  # fmt: skip
# A plain backtrader strategy: trades from flat to flat, without sets.
PLAIN = ("report.language=ko", "strategy.SmaCross.fast=6", "strategy.SmaCross.slow=20")
PLAIN_RUNS: Mapping[str, tuple[str, ...]] = {
    "plain": ("trading.leverage=50", "trading.margin_mode=isolated"),
    "plain_parts": ("backtest.fill.max_volume_share=0.0001", "data.volume_unit=contracts"),
}
# Eight days, at the end of which sets have closed.
SHORT_RUN = ("backtest.trading_period.end_date=2025-01-08",)
RICH = (*LINEAR, "backtest.initial_balance=1000000")
# One changed number a workbook: sheet, heading, row, and what the proof calls it.
CHANGES = {
    "trade": ("거래내역", "손익(BTC)", 7, "거래 8"),
    "fill": ("체결", "거래잔고(BTC)", 20, "체결 21"),
    "set": ("포지션세트", "평균진입가", 1, "S2"),
    "bar": ("시세분석", "총자산(BTC)", 100, "봉"),
    "figure": ("요약", "최종 총자산", None, None),
}
# All of these in one workbook.
TOGETHER = (
    ("거래내역", "수수료(BTC)", 3, "거래 4"),
    ("거래내역", "진입가격", 2, "거래 3"),
    ("체결", "수수료(BTC)", 11, "체결 12"),
    ("포지션세트", "익절가격", 0, "S1"),
    ("포지션세트", "펀딩비(BTC)", 0, "S1"),
    ("펀딩", "펀딩금액(BTC)", 5, "펀딩 6"),
    ("펀딩", "거래잔고(BTC)", 6, "펀딩 7"),
    ("시세분석", "거래잔고(BTC)", 90, "봉"),
    ("시세분석", "총 롱진입가", 120, "봉"),
    ("시세분석", "총 롱가치", 130, "봉"),
    ("시세분석", "누적수익률(%)", 60, "봉"),
    ("요약", "샤프 지수", None, None),
    ("요약", "승", None, None),
)


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    office()
    found = {name: sample_result(*overrides) for name, overrides in RUNS.items()}
    for name, overrides in PLAIN_RUNS.items():
        settings = load_settings(SHIPPED_CONFIGS / "net_mode.yaml", [*PLAIN, *overrides])
        found[name] = run_backtest(settings, discover())[0]
    return found


@pytest.fixture(scope="module")
def computed(
    results: dict[str, Result], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Computed]:
    """Every workbook of this module, written, changed, and computed in one go."""
    folder = tmp_path_factory.mktemp("proof")
    books = {name: write_workbook(result, folder / f"{name}.xlsx")
             for name, result in results.items()}  # fmt: skip
    main = results["main"]
    books["days"] = write_workbook(main, folder / "days.xlsx", formula_bars=100)
    books["cut"] = write_workbook(main, folder / "cut.xlsx", row_limit=500)
    short = write_workbook(sample_result(*SHORT_RUN), folder / "short.xlsx")
    for name, change in CHANGES.items():
        books[name] = changed(short, [change[:3]], folder / f"{name}.xlsx")
    books["close"] = changed(short, [("시세분석", "종가", 100)], folder / "close.xlsx")
    rich = write_workbook(sample_result(*SHORT_RUN, *RICH), folder / "rich.xlsx")
    books["rich"] = changed(rich, [("거래내역", "수수료(USDT)", 3)], folder / "rich_fee.xlsx",
                            factor=1.0 + 1e-5)  # fmt: skip
    books["together"] = changed(short, [each[:3] for each in TOGETHER], folder / "together.xlsx")
    paths = recalculated(list(books.values()), folder)
    return {name: Computed.read(path) for name, path in zip(books, paths, strict=True)}


def test_runs_hold_what_is_to_be_proved(results: dict[str, Result]) -> None:
    def figure(name: str, key: str) -> float:
        return float(flat(results[name].summary)[key])

    assert len(results["main"].bars) == 744
    assert figure("main", "trades") > 100
    assert figure("liquidation", "liquidations") == 1
    assert figure("isolated", "liquidations") > 1
    assert figure("isolated_parts", "liquidations") > 1
    assert figure("shortfall", "shortfall") > 0.0
    assert figure("no_fills", "fills") == 0
    assert figure("plain", "liquidations") > 1
    assert len(results["one_bar"].bars) == 1
    for name in ("parts", "parts_linear", "cryptosim_parts", "isolated_parts"):
        # More than one fill an entry, and exits in parts.
        fills = results[name].fills
        entries = fills[fills["role"] == "entry"]
        assert len(entries) > 2 * entries["order_id"].nunique()
        assert (fills["role"] == "take_profit").sum() > len(results[name].sets)


@pytest.mark.parametrize("name", [*RUNS, *PLAIN_RUNS])
def test_formulas_give_the_numbers_of_the_engine(
    name: str, results: dict[str, Result], computed: dict[str, Computed]
) -> None:
    found, english = computed[name], name == "linear"
    assert found.verdict == ("OK" if english else "일치")
    assert not found.of("differs" if english else "불일치")
    assert found.largest < 1e-9
    assert found.summary["Result of the proof" if english else "검산 결과"] == found.verdict
    result = results[name]
    by_kind: dict[str, int] = {}
    for row in found.rows:
        by_kind[str(row[KIND])] = by_kind.get(str(row[KIND]), 0) + 1
    words = RunFacts.of(result).words()
    names = {table: words(f"workbook.sheet.{table}")
             for table in ("trades", "sets", "fills", "funding", "bars")}  # fmt: skip
    # Each trade by seven figures, each set by seven, each payment by three; bars by fourteen.
    assert by_kind.get(names["trades"], 0) == 7 * len(result.trades)
    assert by_kind.get(names["sets"], 0) == 7 * len(result.sets)
    assert by_kind.get(names["funding"], 0) == 3 * len(result.funding)
    assert by_kind.get(names["fills"], 0) >= 2 * len(result.fills)
    figures_of_a_bar = 13 if name.startswith("cryptosim") else 14
    assert by_kind[names["bars"]] == figures_of_a_bar * len(result.bars)


def test_every_number_of_the_summary_is_proved_or_counted_as_given(
    results: dict[str, Result], computed: dict[str, Computed]
) -> None:
    found = computed["main"]
    given = [row[FIGURE] for row in found.of("미검산")]
    assert given == [
        "거부된 진입: 세트 한도", "청산가까지 최소 거리", "순서가 불확실한 봉", "불러온 봉 수"
    ]
    assert found.given.startswith("4개 미검산")
    proved = {row[FIGURE]: row for row in found.rows if row[KIND] == "요약" and row[COMPUTED]}
    summary = results["main"].summary
    for label, name in (("최종 총자산", "final_equity"), ("최대 낙폭", "max_drawdown"),
                        ("샤프 지수", "sharpe"), ("소르티노 지수", "sortino"),
                        ("연환산 수익률", "annual_return"), ("승률", "win_rate"),
                        ("수익 팩터 (Profit factor)", "profit_factor"),
                        ("총수익률 (USD)", "total_return_usd"),
                        ("가격 변동률 (단순 보유)", "buy_and_hold_return"),
                        ("수수료 합계", "fees_paid"), ("펀딩비 합계", "funding_paid")):  # fmt: skip
        # LibreOffice writes fifteen digits.
        assert proved[label][COMPUTED] == pytest.approx(summary[name], rel=1e-9)
        assert proved[label][ENGINE] == pytest.approx(summary[name], rel=1e-14)


@pytest.mark.parametrize("name", CHANGES)
def test_one_changed_number_is_one_wrong_row(name: str, computed: dict[str, Computed]) -> None:
    found = computed[name]
    assert found.verdict == "1행 불일치"
    assert found.summary["검산 결과"] == "1행 불일치"
    (row,) = found.of("불일치")
    sheet, heading, _, what = CHANGES[name]
    assert (row[KIND], row[FIGURE], row[WHAT]) == (sheet, heading, what)


def test_changed_close_makes_what_is_reckoned_at_it_wrong(computed: dict[str, Computed]) -> None:
    wrong = {row[FIGURE] for row in computed["close"].of("불일치")}
    assert {"미실현손익(BTC)", "총자산(BTC)", "누적수익률(%)"} <= wrong


def test_changed_fee_of_a_rich_account_is_one_wrong_row(computed: dict[str, Computed]) -> None:
    (row,) = computed["rich"].of("불일치")
    assert (row[KIND], row[FIGURE], row[WHAT]) == ("거래내역", "수수료(USDT)", "거래 4")


def test_changed_numbers_are_as_many_wrong_rows(computed: dict[str, Computed]) -> None:
    found = computed["together"]
    assert found.verdict == f"{len(TOGETHER)}행 불일치"
    rows = {(row[KIND], row[FIGURE], row[WHAT]) for row in found.of("불일치")}
    assert rows == {(sheet, heading, what) for sheet, heading, _, what in TOGETHER}


def test_beyond_the_formulas_limit_each_days_last_bar_is_proved(
    computed: dict[str, Computed]
) -> None:
    found = computed["days"]
    assert found.verdict == "일치"
    bars = [row for row in found.rows if row[KIND] == "시세분석"]
    # 31 days of Seoul; balance, unrealised PnL, equity and equity from both books.
    assert len(bars) == 31 * 4
    given = {row[FIGURE] for row in found.of("미검산")}
    assert {"최대 낙폭", "샤프 지수", "소르티노 지수"} <= given
    assert "최종 총자산" not in given


def test_of_cut_bars_those_in_the_sheet_are_proved(computed: dict[str, Computed]) -> None:
    found = computed["cut"]
    assert found.verdict == "일치"
    # The proof itself has 500 rows too: what has no place there is counted as given.
    assert 0 < len(found.rows) <= 500
    assert "최종 총자산" in {row[FIGURE] for row in found.of("미검산")}
    assert int(found.given.partition("개")[0]) > 744


def test_tables_that_do_not_fit_are_not_proved(
    results: dict[str, Result], tmp_path: Path
) -> None:
    path = write_workbook(results["main"], tmp_path / "report.xlsx", row_limit=100)
    found = Computed.read(path)
    assert found.summary["검산 결과"] == "검산하지 않음"
