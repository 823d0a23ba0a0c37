"""`run --quick`, `run --note` and `runs`: many runs, and the table of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cryptosim_bt.cli.run_list import runs
from cryptosim_bt.errors import OutputError
from tests.exchange_files import cryptosim


def test_quick_run_writes_tables_and_its_note_and_report_makes_the_rest(tmp_path: Path) -> None:
    cryptosim(tmp_path, "new-config")
    done = cryptosim(tmp_path, "run", "config.yaml", "--quick", "--note", "wider stop", "--output",
                     "logs/one", "--set", "report.analyzers=[ledger, picture]",
                     "--set", "report.language=en")  # fmt: skip
    assert "│ wider stop" in done.stdout
    folder = tmp_path / "logs/one"
    files = {path.name for path in folder.iterdir()} - {".cryptosim-run"}
    assert files == {
        "bars.csv", "fills.csv", "trades.csv", "orders.csv", "sets.csv", "funding.csv",
        "ambiguous.csv", "performance.json", "summary.json", "config.yaml", "run.log",
    }  # fmt: skip
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["note"] == "wider stop"
    assert summary["settings"]["report"]["analyzers"] == ["ledger", "picture"]
    # A note is no figure: the run made again has none, and is the same run.
    assert "identical" in cryptosim(tmp_path, "verify", "logs/one").stdout
    cryptosim(tmp_path, "report", "logs/one")
    assert (folder / "chart.png").exists()
    listed = cryptosim(tmp_path, "runs").stdout
    assert all(word in listed for word in ("one", "BTC/USD:BTC 1h 2025-01-01 5×", "wider stop"))


SUMMARY = {
    "symbol": "BTC/USD:BTC", "currency": "BTC", "start": "2024-12-31T15:00:00Z",
    "total_return": 0.1, "max_drawdown": 0.05, "sharpe": 1.5, "trades": 10, "win_rate": 0.5,
    "final_equity": 0.55, "ambiguous_bars": {"total": 1},
    "settings": {"strategy": {"name": "mine", "mine": {"period": 5}}, "timezone": "Asia/Seoul",
                 "data": {"timeframe": "1h"}, "trading": {"leverage": 5.0}},
}  # fmt: skip


def write(folder: Path, name: str, **figures: Any) -> None:
    (folder / name).mkdir()
    text = json.dumps({**SUMMARY, **figures})
    (folder / name / "summary.json").write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "b", total_return=0.3, sharpe=None, note="[the] best")
    write(tmp_path, "c", total_return=-0.2, trades=7)
    write(tmp_path, "a", ambiguous_bars={"total": 9},
          settings=SUMMARY["settings"] | {"trading": {"leverage": 20.0}})  # fmt: skip
    return tmp_path


def listed(folder: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "250"}).invoke(runs, [str(folder), *options])


def names(done: Result) -> list[str]:
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    return [row.split("│")[1].strip() for row in rows]


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ((), "abc"),
        (("--sort", "-run"), "abc"),
        (("--sort", "total_return"), "bac"),
        (("--sort", "-total_return"), "cab"),
        (("--sort", "sharpe"), "acb"),  # what has none comes last, however sorted
        (("--sort", "-sharpe"), "acb"),
        (("--sort", "ambiguous_bars.total"), "abc"),
        (("--sort", "trading.leverage"), "abc"),
        (("--sort", "-trading.leverage"), "bca"),
        (("--sort", "note"), "bac"),
    ],
)
def test_runs_are_sorted_by_any_figure_or_setting(
    folder: Path, options: tuple[str, ...], order: str
) -> None:
    done = listed(folder, *options)
    assert names(done) == list(order)
    if "trading.leverage" in "".join(options):
        assert "trading.leverage" in done.stdout


def test_row_of_a_run_says_what_ran_and_what_came_of_it(folder: Path) -> None:
    (row,) = (line for line in listed(folder).stdout.splitlines() if line.startswith("│ b "))
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "b", "BTC/USD:BTC 1h 2025-01-01 5×", "mine (period=5)", "30.00%", "5.00%", "-", "10",
        "50.00%", "0.55 BTC", "[the] best",
    ]  # fmt: skip


def test_folder_that_holds_a_broken_run_lists_the_others(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "summary.json").write_text('{"symbol": "BTC/USD:BTC"}', encoding="utf-8")
    (folder / "e").mkdir()  # no run
    done = listed(folder)
    assert names(done) == ["a", "b", "c"]
    assert "left out: " in done.stderr
    assert "settings" in done.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [(("--sort", "shrpe"), "no run has a value of 'shrpe'"), (("none",), "there is no run in it")],
)
def test_what_cannot_be_listed_is_told(folder: Path, options: tuple[str, ...], why: str) -> None:
    arguments = options if options[0] == "none" else (str(folder), *options)
    done = CliRunner().invoke(runs, arguments)
    assert isinstance(done.exception, OutputError)
    assert why in str(done.exception)
