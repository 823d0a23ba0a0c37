"""The command line as a user sees it: exit codes, sentences, files; in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.exchange_files import cryptosim
from tests.helpers import ROOT

CONFIG = """\
data:
  source: file
  path: bars.csv
  timeframe: 1h
trading:
  symbol: BTC/USD:BTC
strategy:
  name: simple_ma
  simple_ma:
    short_period: 2
    long_period: 5
backtest:
  trading_period:
    start_date: "2025-01-01 10:00"
    end_date: "2025-01-02"
  initial_balance: 0.5
  funding:
    rate: 0.0001
report:
  analyzers: [ledger]
  language: en
timezone: UTC
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with a configuration and a day of bars."""
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    rows = ["timestamp,open,high,low,close,volume"]
    for hour in range(24):
        price = 50_000 + 400 * (hour % 3) + 10 * hour
        prices = f"{price},{price + 500},{price - 500},{price + 5}"
        rows.append(f"2025-01-01T{hour:02}:00:00Z,{prices},1")
    (tmp_path / "bars.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def run(
    folder: Path, *overrides: str, code: int = 0, options: tuple[str | Path, ...] = ()
) -> subprocess.CompletedProcess[str]:
    sets = [part for each in overrides for part in ("--set", each)]
    return cryptosim(folder, "run", "config.yaml", *options, *sets, code=code)


def everything(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


# ---------------------------------------------------------------------- a run that works
def test_run_writes_its_files_and_shows_the_table(folder: Path) -> None:
    done = run(folder, options=("--output", "out"))
    assert "CryptoSim · BTC/USD:BTC" in done.stdout
    assert "total return" in done.stdout
    # Piped: no progress bar, no colours; the logs are on stderr and not on stdout.
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stderr
    assert "INFO" in done.stderr
    assert "INFO" not in done.stdout
    files = {path.name for path in (folder / "out").iterdir()}
    assert {"summary.json", "config.yaml", "run.log", "bars.csv", "fills.csv"} <= files
    assert json.loads((folder / "out" / "summary.json").read_text())["bars_traded"] == 14
    assert not list(folder.glob(".out*"))


def test_figures_stand_before_the_reports_and_the_folder_on_a_line_of_its_own(
    folder: Path,
) -> None:
    (folder / "analyzers").mkdir()
    (folder / "analyzers" / "late.py").write_text(
        "from cryptosim_bt import ReportAnalyzer, register_analyzer\n"
        "@register_analyzer('late')\nclass Late(ReportAnalyzer):\n    '''Say so.'''\n"
        "    def write(self, result, directory):\n        print('the report', flush=True)\n"
    )
    deep = Path("a_folder_with_a_long_name", "and_another_below_it", "and_the_run_at_last" * 3)
    done = run(folder, "report.analyzers=[ledger, late]", options=("--output", deep))
    said = done.stdout
    assert said.index("max drawdown") < said.index("the report") < said.index("files: ")
    assert said.splitlines()[-1] == f"files: {folder / deep}"


def test_table_says_what_ran_in_the_time_zone_of_the_run(folder: Path) -> None:
    seoul = ("timezone=Asia/Seoul", "backtest.trading_period.end_date=2025-01-02 05:00")
    start = "backtest.trading_period.start_date=2025-01-01 {}:00"
    done = run(folder, *seoul, start.format(19), "trading.leverage=7")
    for row in (
        r"strategy +│ simple_ma \(short_period=2, long_period=5",
        r"period +│ 2025-01-01 19:00 – 2025-01-02 05:00 \(Asia/Seoul\)",
        r"timeframe +│ 1h ",
        r"leverage +│ 7× \(cross\)",
        r"time in market; exposure mean / max +│ \d+\.\d\d%; \d+\.\d\d× / \d+\.\d\d×",
    ):
        assert re.search(row, done.stdout), row
    # What is wrong is said in the zone of the dates that were given; the bars begin at 00:00Z.
    done = run(folder, *seoul, start.format(10), code=2)
    assert "begin at 2025-01-01T09:00:00+09:00" in done.stderr


def test_warnings_of_a_kind_are_said_once_and_counted(folder: Path) -> None:
    done = run(folder, "position_set.max_long_set=0", "position_set.max_short_set=0",
               options=("--output", "out"))  # fmt: skip
    (line,) = (line for line in done.stderr.splitlines() if "refused: sets_full" in line)
    log = (folder / "out" / "run.log").read_text()
    count = log.count("refused: sets_full")
    assert count > 1
    assert line.startswith("WARNING entry ")
    assert line.endswith(f"({count} times; each in the log)")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO ", log)


def test_config_of_a_run_runs_again_to_the_same_figures(folder: Path) -> None:
    run(folder, options=("--output", "first"))
    (folder / "elsewhere").mkdir()
    cryptosim(folder / "elsewhere", "run", folder / "first" / "config.yaml", "--output", "again")
    first = json.loads((folder / "first" / "summary.json").read_text())
    again = json.loads((folder / "elsewhere" / "again" / "summary.json").read_text())
    # Where the configuration lay is all that may differ.
    assert first["provenance"].pop("directory") != again["provenance"].pop("directory")
    assert first == again


def test_run_without_output_takes_a_folder_named_by_time_and_strategy(folder: Path) -> None:
    run(folder)
    run(folder)
    names = [path.name for path in (folder / "logs").iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch(r"\d{8}_\d{6}_simple_ma(_2)?", name) for name in names)


# ---------------------------------------------------------------------- wrong input: exit code 2
WRONG = {
    "unknown key": (["trading.levrage=3"], ("trading.levrage", "did you mean leverage?")),
    "missing data file": (["data.path=none.csv"], ("none.csv",)),
    "unknown strategy": (["strategy.name=simple_mb"], ("simple_mb", "did you mean simple_ma?")),
    "unknown parameter": (
        ["strategy.simple_ma.shrt_period=3"],
        ("shrt_period", "did you mean short_period?", "long_period"),
    ),
    "refused parameters": (["strategy.simple_ma.short_period=9"], ("short_period was 9",)),
    "not enough warm-up": (
        ["strategy.simple_ma.long_period=11"],
        ("10", "11", "2024-12-31T23:00"),  # R3: how many there are, are needed, and from when
    ),
    "no bars in the window": (
        ["backtest.trading_period.start_date=2030-01-01",
         "backtest.trading_period.end_date=2030-02-01"],
        ("2025-01-01",),
    ),
    "unknown feed": (["data.source=fil"], ("'fil'", "did you mean file?")),
    "unknown analyzer": (["report.analyzers=[exel]"], ("'exel'",)),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_ends_with_2_a_sentence_and_no_files(folder: Path, case: str) -> None:
    overrides, parts = WRONG[case]
    before = everything(folder)
    done = run(folder, *overrides, code=2, options=("--output", "out"))
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    sentence = done.stderr.partition("error: ")[2]
    for part in parts:
        assert part in sentence
    assert everything(folder) == before


def test_wrong_input_leaves_no_log_elsewhere_and_a_log_is_no_input(folder: Path) -> None:
    before = everything(folder)
    run(folder, "logging.file=deep/er/my.log", "data.path=none.csv", code=2)
    bars = (folder / "bars.csv").read_bytes()
    done = run(folder, "logging.file=bars.csv", code=2)
    assert "logging.file: was 'bars.csv', which this run reads" in done.stderr
    assert (folder / "bars.csv").read_bytes() == bars
    assert everything(folder) == before


def test_missing_config_is_told(tmp_path: Path) -> None:
    done = cryptosim(tmp_path, "run", "none.yaml", code=2)
    assert "none.yaml: there is no such file" in done.stderr
    assert everything(tmp_path) == set()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("bars.csv", "empty")),
        ("a,b\n1,2\n", ("bars.csv", "open")),
        ("timestamp,open,high,low,close,volume\n", ("bars.csv",)),
    ],
    ids=["empty file", "wrong columns", "no rows"],
)
def test_wrong_data_file_is_told(folder: Path, text: str, parts: tuple[str, ...]) -> None:
    (folder / "bars.csv").write_text(text)
    before = everything(folder)
    done = run(folder, code=2)
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr.lower()
    assert everything(folder) - before <= {"logs"}


def test_strategy_that_cannot_be_imported_is_told_with_its_line(folder: Path) -> None:
    (folder / "strategies").mkdir()
    (folder / "strategies" / "mine.py").write_text("x = 1\nimport nowhere_to_be_found\n")
    done = run(folder, "strategy.name=mine", code=2)
    assert "mine.py line 2: ModuleNotFoundError" in done.stderr
    # Whoever does not use it is warned.
    done = run(folder)
    assert "WARNING" in done.stderr
    assert "mine.py line 2" in done.stderr


def test_output_that_is_a_file_is_told(folder: Path) -> None:
    (folder / "out").write_text("precious")
    done = run(folder, code=2, options=("--output", "out"))
    assert "out: is a file" in done.stderr
    assert (folder / "out").read_text() == "precious"


def test_output_below_a_file_is_told(folder: Path) -> None:
    (folder / "file").write_text("precious")
    done = run(folder, code=2, options=("--output", "file/out"))
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_is_not_empty_needs_force_and_keeps_foreign_files(folder: Path) -> None:
    target = folder / "out"
    run(folder, options=("--output", target))
    (target / "notes.txt").write_text("precious")
    (target / "mine").mkdir()
    (target / "mine" / "more.txt").write_text("precious")
    stamp = (target / "run.log").read_text()

    done = run(folder, code=2, options=("--output", target))
    assert "is not empty; give --force" in done.stderr
    assert (target / "run.log").read_text() == stamp

    run(folder, options=("--output", target, "--force"))
    assert (target / "notes.txt").read_text() == "precious"
    assert (target / "mine" / "more.txt").read_text() == "precious"
    assert (target / "run.log").read_text() != stamp
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_wrong_input_with_force_leaves_the_earlier_run(folder: Path) -> None:
    target = folder / "out"
    run(folder, options=("--output", target))
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    run(folder, "data.path=none.csv", code=2, options=("--output", target, "--force"))
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_workbook_open_elsewhere_is_told(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / ".~lock.report.xlsx#").write_text("")
    done = run(folder, code=2, options=("--output", "out", "--force"))
    assert ".~lock.report.xlsx#" in done.stderr
    assert "open in another program" in done.stderr


# ---------------------------------------------------------------------- failures of ours or theirs
def test_unexpected_failure_ends_with_1_and_keeps_its_log(folder: Path) -> None:
    write_strategy(folder, "        return 1 / 0\n")
    done = run(folder, "strategy.name=mine", code=1, options=("--output", "out"))
    assert "ZeroDivisionError" in done.stderr
    assert not (folder / "out").exists()
    log = (folder / "out_failed" / "run.log").read_text()
    assert "Traceback" in log
    assert "mine.py" in log


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signal_ends_with_one_word_and_nothing_left(folder: Path, signal: str, code: int) -> None:
    write_strategy(folder, f"        os.kill(os.getpid(), signal.{signal})\n        return 0\n")
    before = everything(folder)
    done = run(folder, "strategy.name=mine", "logging.level=ERROR", code=code)
    assert done.stderr == "interrupted\n"
    assert everything(folder) == before


def test_full_disk_is_one_sentence_and_nothing_is_left(folder: Path) -> None:
    before = everything(folder)
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 1; {sys.executable} -m cryptosim_bt run config.yaml"],
        cwd=folder, capture_output=True, check=False, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "no space is left on its disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert everything(folder) == before


def test_report_that_fails_leaves_the_run_and_ends_with_3(folder: Path) -> None:
    (folder / "analyzers").mkdir()
    for name, body in (("half", "(directory / 'half.txt').write_text('x'); return 1 / 0"),
                       ("gone", "raise SystemExit")):  # fmt: skip
        (folder / "analyzers" / f"{name}.py").write_text(
            "from cryptosim_bt import ReportAnalyzer, register_analyzer\n"
            f"@register_analyzer('{name}')\nclass Mine(ReportAnalyzer):\n    '''Fail.'''\n"
            f"    def write(self, result, directory):\n        {body}\n"
        )
    analyzers = "report.analyzers=[half, gone, picture]"
    done = run(folder, analyzers, code=3, options=("--output", "out"))
    said = done.stderr.partition("error: ")[2].splitlines()
    assert re.fullmatch(r"report half: ZeroDivisionError: .*; in write \(.*half\.py:6\)", said[0])
    assert re.fullmatch(r"report gone: called sys\.exit; in write \(.*gone\.py:6\)", said[1])
    assert said[2].startswith("the run is kept in ")
    assert "total return" in done.stdout
    files = {path.name for path in (folder / "out").iterdir()}
    assert {"summary.json", "bars.csv", "fills.csv", "chart.png", "plot.png"} <= files
    assert "half.txt" not in files
    assert "Traceback" in (folder / "out" / "run.log").read_text()


def test_backend_of_a_notebook_is_no_reason_to_fail(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://none_such.backend_inline")
    run(folder, "report.analyzers=[picture, charts]", options=("--output", "out"))
    assert (folder / "out" / "plot.png").exists()


def write_strategy(folder: Path, body: str) -> None:
    """Write strategies/mine.py, the strategy `mine` whose signal() has a body."""
    (folder / "strategies").mkdir()
    (folder / "strategies" / "mine.py").write_text(
        "import os, signal\n"
        "from cryptosim_bt import SignalStrategy, register_strategy\n"
        "@register_strategy('mine')\n"
        "class Mine(SignalStrategy):\n"
        "    '''Do what a test wants.'''\n"
        "    @classmethod\n"
        "    def warmup(cls, params):\n"
        "        return 1\n"
        f"    def signal(self):\n{body}"
    )


def test_quiet_level_still_tells_why_it_failed(folder: Path) -> None:
    done = run(folder, "logging.level=ERROR", "data.path=none.csv", code=2)
    assert "none.csv" in done.stderr


# ---------------------------------------------------------------------- the other commands
def test_new_config_is_a_config_that_checks(tmp_path: Path) -> None:
    cryptosim(tmp_path, "new-config", "mine.yaml")
    done = cryptosim(tmp_path, "check", "mine.yaml")
    assert YAML(typ="safe", pure=True).load(done.stdout)["trading"]["symbol"] == "BTC/USD:BTC"
    again = cryptosim(tmp_path, "new-config", "mine.yaml", code=2)
    assert "exists already" in again.stderr


def test_check_prints_the_resolved_configuration_and_computes_nothing(folder: Path) -> None:
    before = everything(folder)
    done = cryptosim(folder, "check", "config.yaml", "--set", "trading.leverage=9")
    resolved = YAML(typ="safe", pure=True).load(done.stdout)
    assert resolved["trading"]["leverage"] == 9
    assert resolved["data"]["path"] == str(folder / "bars.csv")
    assert everything(folder) == before


def test_check_tells_what_run_would_tell(folder: Path) -> None:
    done = cryptosim(folder, "check", "config.yaml", "--set", "strategy.name=none", code=2)
    assert "unknown strategy 'none'" in done.stderr
    assert done.stdout == ""


def test_password_of_a_url_is_never_shown(folder: Path) -> None:
    url = "exchange.rest_url=http://me:hunter2@localhost:9"
    run(folder, url, options=("--output", "out"))
    done = cryptosim(folder, "check", "config.yaml", "--set", url)
    files = [path.read_text() for path in (folder / "out").iterdir()]
    files += [done.stdout, run(folder, url + "/x y", code=2).stderr]
    assert all("hunter2" not in text for text in files)
    assert sum("http://***@localhost:9" in text for text in files) == 4


def test_list_names_every_plugin_with_its_parameters(folder: Path) -> None:
    done = cryptosim(folder, "list")
    for word in ("simple_ma", "short_period=24", "rsi_dip", "sample", "file", "ledger"):
        assert word in done.stdout
    only = cryptosim(folder, "list", "feeds")
    assert "sample" in only.stdout
    assert "simple_ma" not in only.stdout


def test_wrong_command_and_option_are_told(tmp_path: Path) -> None:
    assert "No such command" in cryptosim(tmp_path, "rum", code=2).stderr
    assert "No such option" in cryptosim(tmp_path, "run", "x", "--ouput", "y", code=2).stderr


def test_help_and_version_end_well(tmp_path: Path) -> None:
    assert "run" in cryptosim(tmp_path, "--help").stdout
    assert re.search(r"\d+\.\d+", cryptosim(tmp_path, "--version").stdout)


def test_terminal_without_korean_letters_does_not_end_a_finished_run(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cryptosim_bt", "list", "strategies"],
        cwd=folder, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii",
             "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"simple_ma" in done.stdout
