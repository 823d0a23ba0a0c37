"""A run in its directory: reports again, run again, and what it was made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cryptosim_bt import Result
from cryptosim_bt.backtest.comparison import compare
from cryptosim_bt.backtest.stored_run import (
    disagreement,
    flat,
    read_run,
    rebuild_reports,
    run_again,
)
from cryptosim_bt.backtest.verification import verify
from cryptosim_bt.errors import OutputError, PluginError, ReportFailed
from tests.report_runs import sample_settings, store

pytestmark = pytest.mark.usefixtures("quiet_framework")

STRATEGY = """\
from cryptosim_bt import register_strategy
from cryptosim_bt.strategies.simple_ma import SimpleMA

@register_strategy("mine")
class Mine(SimpleMA):
    pass
"""
BROKEN = """\
from cryptosim_bt import ReportAnalyzer, register_analyzer

@register_analyzer("half")
class Half(ReportAnalyzer):
    params = (("text", "whole"),)

    def write(self, result, directory):
        (directory / "half.txt").write_text(self.p.text)
        if (directory.parent / "fail").exists():
            raise OSError("no space left")
        return []
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "run"
    store(sample_settings(), directory)
    return directory


@pytest.fixture
def run(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "run"))


@pytest.fixture
def own_plugins(tmp_path: Path) -> Path:
    """Return a stored run with a strategy and an analyzer of its own, beside its configuration."""
    home = tmp_path / "home"
    for folder, name, text in (("strategies", "mine", STRATEGY), ("analyzers", "half", BROKEN)):
        (home / folder).mkdir(parents=True)
        (home / folder / f"{name}.py").write_text(text, encoding="utf-8")
    settings = sample_settings("strategy.name=mine", "report.analyzers=[ledger, performance, half]")
    shutil.copy(Path(settings.directory) / "config.yaml", home / "config.yaml")
    from cryptosim_bt import load_settings

    sets = [f"{place}={value}" for place, value in (
        ("strategy.name", "mine"), ("report.analyzers", "[ledger, performance, half]"),
        ("backtest.trading_period.end_date", "2025-01-05"),
    )]  # fmt: skip
    store(load_settings(home / "config.yaml", sets), tmp_path / "run")
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip


# ---------------------------------------------------------------------- reports again
def test_reports_again_are_the_same_files(run: Path) -> None:
    before = contents(run)
    (run / "performance.json").unlink()
    (run / "bars.csv").touch()
    paths = rebuild_reports(read_run(run))
    assert contents(run) == before
    assert {path.name for path in paths} == set(before) - {"config.yaml"}


def test_failed_report_leaves_everything_as_it_was(own_plugins: Path) -> None:
    (own_plugins / "fail").touch()
    (own_plugins / "performance.json").write_text("old", encoding="utf-8")
    before = contents(own_plugins)
    sentence = r"^report half: OSError: no space left; in write .*half\.py:10\)$"
    with pytest.raises(ReportFailed, match=sentence):
        rebuild_reports(read_run(own_plugins, trusted=True))
    assert contents(own_plugins) == before


def test_plugins_beside_the_configuration_are_found_again(own_plugins: Path) -> None:
    (own_plugins / "half.txt").unlink()
    rebuild_reports(read_run(own_plugins, trusted=True))
    assert (own_plugins / "half.txt").read_text() == "whole"
    assert verify(read_run(own_plugins, trusted=True)).identical


def test_code_of_a_run_that_is_not_trusted_never_runs(own_plugins: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "home").rglob("*.py"):
        mark = f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"
        path.write_text(path.read_text().replace("\n\n", f"\n{mark}\n\n", 1))
    run = read_run(own_plugins)
    for command in (rebuild_reports, verify):
        with pytest.raises(PluginError, match=r"unknown .*; its code is run with --trust only"):
            command(run)
    compare(run, run, lambda settings: run_again(settings, run.registry()))
    assert not (tmp_path / "ran").exists()
    verify(read_run(own_plugins, trusted=True))
    assert (tmp_path / "ran").exists()


def test_link_that_leads_out_of_a_run_is_not_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["settings"]["report"]["analyzers"] = ["charts"]
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (run / "charts").symlink_to(tmp_path / "mine")
    with pytest.raises(OutputError, match="leads out of the run's folder"):
        rebuild_reports(read_run(run))
    assert list((tmp_path / "mine").iterdir()) == []


def test_analyzer_that_is_gone_is_named(own_plugins: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / "analyzers" / "half.py").unlink()
    with pytest.raises(PluginError, match="unknown analyzer 'half'"):
        rebuild_reports(read_run(own_plugins, trusted=True))


def test_tables_of_a_run_go_with_its_summary(run: Path) -> None:
    assert disagreement(Result.read(run)) is None


@pytest.mark.parametrize(
    ("table", "column", "figure"),
    [("trades", "net_pnl", "wins"), ("bars", "balance", "final_balance"),
     ("bars", "equity", "final_equity"), ("bars", "unrealized_pnl", "unrealized_pnl")],
)  # fmt: skip
def test_figure_that_the_tables_do_not_give_is_named(
    run: Path, table: str, column: str, figure: str
) -> None:
    path = run / f"{table}.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index(column)
    was = float(lines[-1].split(",")[place])
    edit(path, len(lines) - 1, place, repr(-was - 0.001))
    found = disagreement(Result.read(run))
    assert found is not None
    assert found.startswith(f"{figure} is ")


@pytest.mark.parametrize(("table", "figure"), [("trades", "trades"), ("fills", "fills")])
def test_row_that_is_gone_is_told_by_its_count(run: Path, table: str, figure: str) -> None:
    path = run / f"{table}.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    rows = len(lines) - 1
    sentence = f"{figure} is {rows} in summary.json and {rows - 1} by the tables"
    assert disagreement(Result.read(run)) == sentence


def test_open_workbook_is_a_sentence(run: Path) -> None:
    (run / "~$report.xlsx").touch()
    with pytest.raises(OutputError, match="open in another program"):
        rebuild_reports(read_run(run))


@pytest.mark.parametrize("missing", ["trades.csv", "summary.json"])
def test_incomplete_run_is_a_sentence(run: Path, missing: str) -> None:
    (run / missing).unlink()
    with pytest.raises(OutputError, match="no complete run"):
        read_run(run)


def test_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such folder"):
        read_run(tmp_path / "nowhere")


# ---------------------------------------------------------------------- what it was made of
def test_run_records_what_it_was_made_of(stored: Path) -> None:
    summary = json.loads((stored / "summary.json").read_text(encoding="utf-8"))
    made = summary["provenance"]
    assert set(made["strategy"]) == {"simple_ma.py"}
    assert set(made["feed"]) == {"sample.py"}
    assert len(made["bars_sha256"]) == 64
    assert {"numpy", "pandas", "backtrader"} <= set(made["libraries"])
    assert made["python"].count(".") == 2


def test_base_class_of_a_plugin_counts_as_its_source(own_plugins: Path) -> None:
    made = Result.read(own_plugins).summary["provenance"]
    assert set(made["strategy"]) == {"mine.py", "simple_ma.py"}


def test_flat_names_keys_with_dots() -> None:
    assert flat({"a": {"b": 1, "c": {}}, "d": None}) == {"a.b": 1, "a.c": {}, "d": None}


# ---------------------------------------------------------------------- verify
def test_run_again_is_identical(run: Path) -> None:
    outcome = verify(read_run(run))
    assert outcome.identical
    assert outcome.notes == ()


def edit(path: Path, line: int, column: int, value: str) -> str:
    """Put a value into a cell of a CSV; return what stood there. The heading is line 0."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[line].split(",")
    was, cells[column] = cells[column], value
    lines[line] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return was


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("bars", "high", "1.5"), ("fills", "fee", "0.1"), ("trades", "net_pnl", "7.0"),
     ("sets", "group_pnl", ""), ("orders", "status", "lost")],
)  # fmt: skip
def test_changed_cell_is_named(run: Path, table: str, column: str, value: str) -> None:
    path = run / f"{table}.csv"
    columns = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    was = edit(path, 3, columns.index(column), value)
    found = verify(read_run(run)).difference
    assert found is not None
    assert (found.table, found.row, found.column) == (f"{table}.csv", 3, column)
    assert (found.was, found.now) == (value or "blank", was)
    assert f"{table}.csv row 3, {column}: was {value or 'blank'}, now {was}" == str(found)


def test_first_difference_is_the_first_row_of_the_first_table(run: Path) -> None:
    edit(run / "trades.csv", 1, 10, "7.0")
    edit(run / "bars.csv", 9, 4, "1.0")
    edit(run / "bars.csv", 5, 4, "1.0")
    found = verify(read_run(run)).difference
    assert found is not None
    assert (found.table, found.row, found.column) == ("bars.csv", 5, "close")


def test_missing_row_is_named(run: Path) -> None:
    lines = (run / "fills.csv").read_text(encoding="utf-8").splitlines()
    (run / "fills.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    found = verify(read_run(run)).difference
    assert found is not None
    assert (found.table, found.row, found.was) == ("fills.csv", len(lines) - 1, "no such row")
    assert found.now == lines[-1].replace(",", ", ")


def test_changed_figure_of_the_summary_is_named(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["sharpe"] = 3.5
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    found = verify(read_run(run)).difference
    assert found is not None
    assert (found.table, found.column, found.was) == ("summary.json", "sharpe", "3.5")


@pytest.mark.parametrize(
    ("path", "key"),
    [(("trades", "long", "win_rate"), "trades.long.win_rate"),
     (("sets", "each", 1, "net_pnl"), "sets.each.2.net_pnl"),
     (("result", "own"), "result.own")],
)  # fmt: skip
def test_changed_figure_of_performance_is_named(
    run: Path, path: tuple[str | int, ...], key: str
) -> None:
    file = run / "performance.json"
    figures = place = json.loads(file.read_text(encoding="utf-8"))
    for step in path[:-1]:
        place = place[step]
    now = place.get(path[-1], "missing")
    place[path[-1]] = 0.125
    file.write_text(json.dumps(figures), encoding="utf-8")
    found = verify(read_run(run)).difference
    assert str(found) == f"performance.json, {key}: was 0.125, now {now}"


def test_run_without_performance_is_identical(run: Path) -> None:
    (run / "performance.json").unlink()
    assert verify(read_run(run)).identical


@pytest.mark.parametrize("text", ["garbage", "[]"])
def test_performance_that_holds_no_figures_is_a_sentence(run: Path, text: str) -> None:
    (run / "performance.json").write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match=r"performance\.json: .*make it again with `report`"):
        verify(read_run(run))


def test_edited_configuration_is_named(run: Path) -> None:
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("leverage: 5.0", "leverage: 7.0"), "utf-8")
    found = verify(read_run(run)).difference
    assert found is not None
    assert str(found) == "config.yaml, trading.leverage: was 5.0, now 7.0"


def test_changed_plugin_source_is_noted(own_plugins: Path, tmp_path: Path) -> None:
    source = tmp_path / "home" / "strategies" / "mine.py"
    source.write_text(STRATEGY + "# changed\n", encoding="utf-8")
    outcome = verify(read_run(own_plugins, trusted=True))
    assert outcome.identical
    (note,) = outcome.notes
    assert note.startswith("the source of the strategy plugin in mine.py has changed since the run")


def test_other_versions_are_noted(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["version"] = "0.0.1"
    summary["provenance"]["libraries"]["numpy"] = "1.0"
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    outcome = verify(read_run(run))
    assert outcome.identical
    assert outcome.notes[0].startswith("the run was made by CryptoSim 0.0.1")
    assert outcome.notes[1].startswith("the run was made with numpy 1.0")


def test_last_digits_may_differ_under_another_python_alone(run: Path) -> None:
    path = run / "trades.csv"
    column = path.read_text(encoding="utf-8").splitlines()[0].split(",").index("net_pnl")
    was = edit(path, 1, column, "0")
    edit(path, 1, column, repr(float(was) * (1 + 1e-14)))
    assert not verify(read_run(run)).identical
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    summary["provenance"]["python"] = "3.99.0"
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    outcome = verify(read_run(run))
    assert outcome.identical
    assert outcome.notes[-1].endswith("numbers are compared to 1e-09")
    edit(path, 1, column, repr(float(was) * (1 + 1e-7)))
    assert not verify(read_run(run)).identical
