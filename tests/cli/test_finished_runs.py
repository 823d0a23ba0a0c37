"""The commands for finished runs as a user sees them: exit codes, sentences, files."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cryptosim_bt.cli.commands import main

CONFIG = """\
data:
  source: file
  path: bars.csv
trading:
  symbol: BTC/USD:BTC
  leverage: {leverage}
strategy:
  name: simple_ma
  simple_ma:
    short_period: 2
    long_period: 5
backtest:
  trading_period:
    start_date: "2025-01-01 10:00"
    end_date: "2025-01-04"
  initial_balance: 0.5
  funding:
    rate: 0.0001
report:
  analyzers: [ledger, performance]
  language: en
timezone: UTC
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with bars, and runs a and b of other leverage."""
    folder = tmp_path_factory.mktemp("home")
    rows = ["timestamp,open,high,low,close,volume"]
    for hour in range(96):
        price = 50_000 + 400 * (hour % 3) + 10 * hour
        prices = f"{price},{price + 500},{price - 500},{price + 5}"
        rows.append(f"2025-01-0{1 + hour // 24}T{hour % 24:02}:00:00Z,{prices},1")
    (folder / "bars.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name, leverage in (("a", 5), ("b", 10)):
        text = CONFIG.format(leverage=leverage)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        cryptosim(folder, "run", f"{name}.yaml", "--output", name)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the runs; their configurations go on naming the bars of the first."""
    return Path(shutil.copytree(finished, tmp_path / "home"))


@dataclass
class Done:
    """What a command left on the two outputs."""

    stdout: str
    stderr: str


def cryptosim(folder: Path, *arguments: str | Path, code: int = 0) -> Done:
    """Run a command as `python -m cryptosim_bt` would, in this process."""
    out, err = io.StringIO(), io.StringIO()
    logger = logging.getLogger("cryptosim_bt")
    before = logger.level, logger.propagate
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(folder)
            patch.setenv("COLUMNS", "200")
            patch.setattr(sys, "argv", ["cryptosim-bt", *map(str, arguments)])
            patch.setattr("cryptosim_bt.cli.finished_runs.has_display", lambda: False)
            ended = 0
            try:
                main()
            except SystemExit as stop:
                ended = stop.code
    finally:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.level, logger.propagate = before
    assert ended == code, f"exit code {ended}\n{out.getvalue()}\n{err.getvalue()}"
    return Done(out.getvalue(), err.getvalue())


def test_report_names_the_files_it_made(folder: Path) -> None:
    before = (folder / "a" / "performance.json").read_bytes()
    (folder / "a" / "performance.json").unlink()
    done = cryptosim(folder, "report", "a")
    assert (folder / "a" / "performance.json").read_bytes() == before
    assert str((folder / "a" / "performance.json").resolve()) in done.stdout.splitlines()
    assert done.stderr == ""


def test_report_warns_of_tables_that_do_not_go_with_the_summary(folder: Path) -> None:
    path = folder / "a" / "trades.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n", encoding="utf-8")
    done = cryptosim(folder, "report", "a")
    assert done.stderr.startswith("WARNING ")
    assert f"trades is {len(lines) - 1} in summary.json and {len(lines)} by" in done.stderr
    assert "performance.json" in done.stdout


@pytest.mark.parametrize("command", [("report", "a"), ("compare", "b", "a"), ("plot", "a")])
@pytest.mark.parametrize("name", ["bars", "fills", "orders"])
def test_cut_table_is_a_sentence(folder: Path, command: tuple[str, ...], name: str) -> None:
    path = folder / "a" / f"{name}.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.rindex("\n", 0, -1) - 9], encoding="utf-8")
    done = cryptosim(folder, *command, code=2)
    assert f"{name}.csv was cut: " in done.stderr
    assert done.stdout == ""


def test_table_of_garbage_is_a_sentence(folder: Path) -> None:
    (folder / "a" / "fills.csv").write_text("garbage\n", encoding="utf-8")
    done = cryptosim(folder, "report", "a", code=2)
    assert "no complete run: fills.csv: column 'time' is missing; name a folder" in done.stderr


@pytest.mark.parametrize("command", ["report", "verify", "plot"])
def test_folder_without_a_run_is_a_sentence(folder: Path, command: str) -> None:
    done = cryptosim(folder, command, "nowhere", code=2)
    sentence = "there is no such folder; name a folder that `run` wrote"
    assert done.stderr == f"error: nowhere: {sentence}\n"


def test_verify_says_identical(folder: Path) -> None:
    done = cryptosim(folder, "verify", "a")
    assert done.stdout.startswith("identical: 62 bars")
    assert done.stdout.splitlines()[1].startswith("not looked at: ")
    assert done.stderr == ""


def test_verify_names_the_first_difference(folder: Path) -> None:
    path = folder / "a" / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["fees_paid"] = 1.0
    path.write_text(json.dumps(summary), encoding="utf-8")
    done = cryptosim(folder, "verify", "a", code=1)
    assert done.stdout.startswith("different: summary.json, fees_paid: was 1.0, now ")


def own_bars(folder: Path) -> Path:
    """Let run a use the bars of its own folder; return their file."""
    cryptosim(folder, "run", "a.yaml", "--output", "a", "--force")
    return folder / "bars.csv"


def test_verify_says_that_the_data_file_changed(folder: Path) -> None:
    bars = own_bars(folder)
    lines = bars.read_text(encoding="utf-8").splitlines()
    # A bar after the window: the run is the same.
    bars.write_text("\n".join([*lines[:-1], lines[-1].replace(",1", ",2")]) + "\n", "utf-8")
    done = cryptosim(folder, "verify", "a")
    assert "has changed since the run" in done.stderr
    assert "the bars that the run used are the same" in done.stderr
    # A bar within it: it is not.
    lines[30] = lines[30].replace("51", "52")
    bars.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = cryptosim(folder, "verify", "a", code=1)
    assert "the bars are not those of the run" in done.stderr
    assert done.stdout.startswith("different: bars.csv row ")


def test_verify_without_its_data_is_a_sentence(folder: Path) -> None:
    own_bars(folder).unlink()
    done = cryptosim(folder, "verify", "a", code=2)
    assert done.stderr.startswith("error: ")
    assert "of the run is gone" in done.stderr


def test_compare_shows_tables_and_writes_a_page(folder: Path) -> None:
    done = cryptosim(folder, "compare", "a", "b", "--html", "page.html")
    assert "trading.leverage" in done.stdout
    assert "Where the runs part" in done.stdout
    text = (folder / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "trading.leverage" in text


def test_compare_writes_over_its_own_page_only(folder: Path) -> None:
    first = ("compare", "a", "b", "--no-effects", "--html")
    cryptosim(folder, *first, "page.html")
    cryptosim(folder, *first, "page.html")
    report = folder / "a" / "report.html"
    report.write_text("<!doctype html>\n<title>a run</title>\n", encoding="utf-8")
    before = report.read_bytes()
    done = cryptosim(folder, *first, "a/report.html", code=2)
    assert done.stderr.startswith("error: a/report.html: is there already and is no page of `comp")
    assert done.stdout == ""
    assert report.read_bytes() == before


def test_compare_to_a_folder_is_a_sentence(folder: Path) -> None:
    done = cryptosim(folder, "compare", "a", "b", "--html", "a", code=2)
    assert done.stderr.startswith("error: a: cannot be written: ")


def test_compare_without_effects_runs_nothing(folder: Path) -> None:
    done = cryptosim(folder, "compare", "a", "b", "--no-effects")
    assert "What each difference did" not in done.stdout


def test_compare_that_cannot_write_its_page_is_a_sentence(folder: Path) -> None:
    done = cryptosim(folder, "compare", "a", "a", "--html", "no/where.html", code=2)
    assert done.stderr.startswith("error: no/where.html: cannot be written")


def test_plot_without_a_display_is_a_picture(folder: Path) -> None:
    done = cryptosim(folder, "plot", "a", "--style", "line", "--start", "2025-01-02")
    picture = (folder / "a" / "plot.png").resolve()
    assert done.stdout.strip() == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    cryptosim(folder, "plot", "a", "--output", "other.png")
    assert (folder / "other.png").exists()


def test_plot_of_nothing_is_a_sentence(folder: Path) -> None:
    done = cryptosim(folder, "plot", "a", "--end", "2020-01-01", code=2)
    assert done.stderr.startswith("error: no bar opens")


def test_run_can_plot_at_once(folder: Path) -> None:
    done = cryptosim(folder, "run", "a.yaml", "--output", "c", "--plot")
    assert (folder / "c" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert done.stdout.splitlines()[-1] == str((folder / "c" / "plot.png").resolve())


def test_help_names_the_commands(folder: Path) -> None:
    done = cryptosim(folder, "--help")
    assert {"report", "compare", "verify", "plot"} <= set(done.stdout.split())
