"""A funding series with holes: how much was filled in, and what it could have cost."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import DataError, load_settings, run_backtest
from cryptosim_bt.data.funding import FundingSchedule, Missing, series_funding
from cryptosim_bt.plugins.registry import discover
from tests.exchange_files import write_bars, write_config
from tests.exchange_runs import exchange_run, outcome
from tests.helpers import HOUR_MS, NEW_YEAR_MS, PLAIN, changed, hours

pytestmark = pytest.mark.usefixtures("quiet_framework")

QUIET = (100.0, 100.0, 100.0, 100.0)
RULES = changed(PLAIN, tick=0.0, lot=0.0, position_size=10.0, use_tp=False)
START = pd.Timestamp(NEW_YEAR_MS, unit="ms", tz="UTC")
END = START + pd.Timedelta(hours=26)
# Rates by hours since the start; 8 h is missing. The series goes from -0.05 % to 0.2 %.
RATES = {-16: 0.0003, -8: 0.0004, 0: 0.001, 16: 0.002, 24: -0.0005, 32: 0.0001}


def schedule(missing: Missing, rates: dict[int, float] = RATES) -> FundingSchedule:
    index = [START + pd.Timedelta(hours=hour) for hour in rates]
    series = pd.Series(list(rates.values()), index=pd.DatetimeIndex(index).as_unit("ms"))
    return series_funding(series, START, END, missing)


def missing_of(
    missing: Missing,
    signals: dict[int, int],
    rules: dict[str, Any] = RULES,
    rates: dict[int, float] = RATES,
    **options: Any,
) -> tuple[dict[str, Any], float]:
    """Return the summary's ``funding_missing`` and ``funding_paid`` of a day and two hours."""
    prepared = exchange_run(
        hours(*[QUIET] * 26), signals, rules, funding_series=schedule(missing, rates), **options
    )
    summary = outcome(prepared).summary
    return summary["funding_missing"], summary["funding_paid"]


def test_zero_pays_nothing_for_a_missing_rate_and_says_what_it_could_have_been() -> None:
    # R48.
    found, paid = missing_of("zero", {0: 1})
    # 1,000 of notional at 16:00 and 24:00.
    assert paid == pytest.approx(1000.0 * (0.002 - 0.0005))
    assert found == {
        "share": 0.25,
        "missing": 1,
        "first": "2025-01-01T08:00:00Z",
        "funding_paid_worst": pytest.approx(paid + 1000.0 * 0.002),
        "funding_paid_best": pytest.approx(paid - 1000.0 * 0.0005),
    }


def test_last_pays_the_rate_before_and_says_what_it_could_have_been() -> None:
    found, paid = missing_of("last", {0: 1})
    assert paid == pytest.approx(1000.0 * (0.001 + 0.002 - 0.0005))
    without = paid - 1000.0 * 0.001
    assert found["funding_paid_worst"] == pytest.approx(without + 1000.0 * 0.002)
    assert found["funding_paid_best"] == pytest.approx(without - 1000.0 * 0.0005)


def test_worst_rate_for_a_short_is_the_lowest() -> None:
    # R48: worst for what was held at that time.
    found, paid = missing_of("zero", {0: -1})
    assert paid == pytest.approx(-1000.0 * (0.002 - 0.0005))
    assert found["funding_paid_worst"] == pytest.approx(paid + 1000.0 * 0.0005)
    assert found["funding_paid_best"] == pytest.approx(paid - 1000.0 * 0.002)


def test_hedged_legs_of_one_size_do_not_care_for_a_missing_rate() -> None:
    found, paid = missing_of("zero", {0: 1, 1: -1})
    assert found["missing"] == 1
    assert found["funding_paid_worst"] == found["funding_paid_best"] == paid == 0.0


def test_inverse_notional_is_in_the_coin() -> None:
    rules = changed(RULES, contract="inverse", contract_size=100.0, initial_balance=100.0)
    found, paid = missing_of("zero", {0: 1}, rules)
    # 10 coins at 100 are 10 contracts of 100 USD, worth 10 coins.
    assert found["funding_paid_worst"] - paid == pytest.approx(10.0 * 0.002)


def test_missing_rate_while_nothing_is_held_costs_nothing() -> None:
    found, paid = missing_of("zero", {12: 1})
    assert found["funding_paid_worst"] == found["funding_paid_best"] == paid


def test_missing_rate_is_reckoned_at_the_mark() -> None:
    mark = hours(*[(98.0, 100.0, 98.0, 100.0)] * 26)
    found, paid = missing_of("zero", {0: 1}, mark=mark)
    assert paid == pytest.approx(980.0 * (0.002 - 0.0005))
    assert found["funding_paid_worst"] - paid == pytest.approx(980.0 * 0.002)


def test_missing_rate_inside_a_bar_is_reckoned_by_what_its_finer_bar_holds() -> None:
    # Bars of 12 hours on finer ones of 4: the missing 08:00 lies inside the first, the position
    # is there from 04:00 of the second on.
    fine = hours(*[QUIET] * 12, step_ms=4 * HOUR_MS)
    bars = hours(*[QUIET] * 4, step_ms=12 * HOUR_MS)
    rates = {-8: 0.0004, 0: 0.001, 8: 0.001, 24: 0.002, 32: -0.0005, 40: 0.0001, 48: 0.0001}
    rules = changed(RULES, timeframe_ms=12 * HOUR_MS, order_cancel_timeout=86_400.0)
    index = [START + pd.Timedelta(hours=hour) for hour in rates]
    series = pd.Series(list(rates.values()), index=pd.DatetimeIndex(index).as_unit("ms"))
    cut = series_funding(series, START, START + pd.Timedelta(hours=48), "zero")
    prepared = exchange_run(
        bars, {0: 1}, rules, fine=fine, fine_timeframe="4h", funding_series=cut
    )
    summary = outcome(prepared).summary
    # Filled at 12:00; 16:00 is missing while 1,000 are held.
    assert summary["funding_paid"] == pytest.approx(1000.0 * (0.002 - 0.0005 + 0.0001))
    found = summary["funding_missing"]
    assert found["first"] == "2025-01-01T16:00:00Z"
    assert found["funding_paid_worst"] - summary["funding_paid"] == pytest.approx(2.0)


def test_whole_series_has_nothing_missing() -> None:
    rates = dict(sorted({**RATES, 8: 0.0001}.items()))
    found, paid = missing_of("error", {0: 1}, rates=rates)
    assert found is None
    assert paid == pytest.approx(1000.0 * (0.0001 + 0.002 - 0.0005))


def test_hole_is_an_error_by_default_with_its_count_and_first() -> None:
    sentence = r"1 of 4 funding times .* have no rate, the first 2025-01-01T08:00:00Z; complete"
    with pytest.raises(DataError, match=sentence):
        schedule("error")


def test_missing_rate_in_a_hole_of_the_bars_is_reckoned_at_the_bar_after_it() -> None:
    # The bars of 5 h to 11 h lack, and so does the rate of 8 h; at 12 h the price is 90.
    bars = [bar if bar[0] < NEW_YEAR_MS + 12 * HOUR_MS else (bar[0], 90.0, 90.0, 90.0, 90.0)
            for row, bar in enumerate(hours(*[QUIET] * 26)) if not 5 <= row < 12]  # fmt: skip
    prepared = exchange_run(bars, {0: 1}, RULES, funding_series=schedule("last"))
    summary = outcome(prepared).summary
    assert summary["funding_late"] == 1
    paid = summary["funding_paid"]
    assert paid == pytest.approx(900.0 * (0.001 + 0.002 - 0.0005))
    missing = summary["funding_missing"]
    assert missing["funding_paid_worst"] - paid == pytest.approx(900.0 * (0.002 - 0.001))


def test_several_missing_rates_add_up() -> None:
    rates = {-16: 0.0003, -8: 0.0004, 24: 0.002, 32: 0.0001}
    found, paid = missing_of("zero", {0: 1}, rates=rates)
    # 0, 8 and 16 h are missing; at 0 h nothing was held.
    assert (found["missing"], found["share"]) == (3, 0.75)
    assert paid == pytest.approx(2.0)
    assert found["funding_paid_worst"] == pytest.approx(paid + 2 * 1000.0 * 0.002)
    assert found["funding_paid_best"] == pytest.approx(paid + 2 * 1000.0 * 0.0001)


@pytest.mark.parametrize(("without", "late"), [((), None), (range(39, 42), 1)])
def test_funding_in_holes_that_are_kept_is_counted_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, without: range, late: int | None
) -> None:
    # Held from the first day's evening on; the hole has the second day's 16:00 in it.
    logging.getLogger("cryptosim_bt").setLevel(logging.WARNING)
    write_bars(tmp_path / "bars.csv", 48, without=without)
    write_config(tmp_path, {"data": {"gaps": "keep"}, "trading": {"take_profit_pct": 0.5}})
    result, _ = run_backtest(load_settings(tmp_path / "config.yaml"), discover())
    assert result.summary["open_contracts"]["long"] > 0.0
    assert result.summary.get("funding_late") == late
    assert ("in holes of the bars 1 times while" in caplog.text) == (late == 1)
