"""A finished run on disk: written and read back to the last digit."""

from __future__ import annotations

import gc
import pickle
import weakref
from dataclasses import replace
from pathlib import Path

import backtrader as bt
import pandas as pd
import pytest

from cryptosim_bt import Result
from cryptosim_bt.backtest.gather import gather
from cryptosim_bt.backtest.run import cerebro_for, execute
from cryptosim_bt.errors import OutputError
from cryptosim_bt.results.result import TABLES
from tests.helpers import PLAIN, flat_hours, sample_run, simulate_with_framework

pytestmark = pytest.mark.usefixtures("quiet_framework")


def written(result: Result, folder: Path) -> Path:
    result.write_tables(folder)
    result.write_summary(folder)
    return folder


def test_run_written_and_read_back_is_the_same(tmp_path: Path) -> None:
    result, _ = execute(sample_run(
        "simple_ma", "position_set.position_set_size=2", "trading.take_profit_pct=0.004",
        "trading.stop_loss_pct=0.004",
    ))  # fmt: skip
    again = Result.read(written(result, tmp_path))
    for name in TABLES:
        ours, theirs = getattr(result, name), getattr(again, name)
        assert len(ours) > 0
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True, check_dtype=False)
    assert again.summary == result.summary
    assert again.settings == result.settings
    assert dict(again.panels) == dict(result.panels)


def test_tables_are_made_when_asked_for_and_once() -> None:
    result = simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN)
    assert not {*TABLES, "summary", "settings"} & set(vars(result))
    assert result.summary["fills"] == 1
    assert {"bars", "trades"} == set(TABLES) & set(vars(result))  # what its figures are made of
    assert result.fills is result.fills
    with pytest.raises(AttributeError, match="'Result' object has no attribute 'fils'"):
        _ = result.fils


def gathered() -> tuple[Result, weakref.ref[bt.Strategy]]:
    # A frame of its own: backtrader looks through the callers' locals, which keeps them.
    prepared = sample_run("simple_ma")
    strategy = cerebro_for(prepared).run()[0]
    return gather(prepared, strategy), weakref.ref(strategy)


def test_result_outlives_its_run_alone() -> None:
    result, run = gathered()
    gc.collect()
    assert run() is None
    assert len(result.bars) == result.summary["bars_traded"] > 0


def test_result_is_copied_whole() -> None:
    result = simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN)
    copy = pickle.loads(pickle.dumps(result))
    changed = replace(result, settings={})
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(copy, name), getattr(result, name))
        assert getattr(changed, name) is getattr(result, name)
    assert (copy.summary, copy.settings) == (result.summary, result.settings)
    assert (changed.summary, changed.settings) == (result.summary, {})


def test_run_without_trades_written_and_read_back_has_the_same_columns(tmp_path: Path) -> None:
    result = simulate_with_framework(flat_hours(3, 100.0), [0, 0, 0], PLAIN)
    again = Result.read(written(result, tmp_path))
    for name in TABLES:
        assert list(getattr(again, name).columns) == list(getattr(result, name).columns)
    assert again.bars["equity"].tolist() == [1000.0] * 3
    assert again.fills.empty


def test_tables_of_a_run_without_fills_have_the_types_of_a_run_with_them() -> None:
    with_fills = simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN)
    without = simulate_with_framework(flat_hours(3, 100.0), [0, 0, 0], PLAIN)
    assert without.fills.dtypes.to_dict() == with_fills.fills.dtypes.to_dict()


@pytest.mark.parametrize("missing", ["summary.json", "fills.csv"])
def test_folder_that_is_no_complete_run_is_told(tmp_path: Path, missing: str) -> None:
    result = simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN)
    written(result, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(OutputError, match="no complete run"):
        Result.read(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [("fills.csv", "garbage\n", "fills.csv: column 'time' is missing"),
     ("trades.csv", "", "trades.csv: No columns to parse from file"),
     ("sets.csv", "set,born\n", "sets.csv: column 'ended' is missing"),
     ("bars.csv", "time\n", "bars.csv: there are no bars"),
     ("ambiguous.csv", "time,kind\nnoon,x\n", "ambiguous.csv: column 'time' holds what is no time"),
     ("summary.json", "{}", "summary.json: 'settings' is missing"),
     ("summary.json", "[]", "summary.json: 'settings' is missing")],
)  # fmt: skip
def test_broken_file_is_named_with_what_it_lacks(
    tmp_path: Path, file: str, text: str, sentence: str
) -> None:
    written(simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN), tmp_path)
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(OutputError) as raised:
        Result.read(tmp_path)
    assert f"no complete run: {sentence}" in str(raised.value)


@pytest.mark.parametrize(
    ("file", "column", "value", "sentence"),
    [("fills.csv", "price", "dear", "column 'price' holds 'dear' instead of a number"),
     ("fills.csv", "order_id", "1.5", "column 'order_id' holds what is no whole number"),
     ("bars.csv", "equity", "much", "column 'equity' holds 'much' instead of a number")],
)  # fmt: skip
def test_cell_of_another_kind_is_told(
    tmp_path: Path, file: str, column: str, value: str, sentence: str
) -> None:
    written(simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN), tmp_path)
    table = pd.read_csv(tmp_path / file, dtype=str)
    table.loc[0, column] = value
    table.to_csv(tmp_path / file, index=False)
    with pytest.raises(OutputError) as raised:
        Result.read(tmp_path)
    assert f"{file}: {sentence}" in str(raised.value)


def test_summary_that_is_no_runs_is_told(tmp_path: Path) -> None:
    result = simulate_with_framework(flat_hours(3, 100.0), [1, 0, 0], PLAIN)
    written(result, tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(OutputError, match="no complete run"):
        Result.read(tmp_path)
