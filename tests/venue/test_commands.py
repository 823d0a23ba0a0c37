"""The commands about data as a user types them; nothing is patched but the folder they run in."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import SHIPPED_CONFIGS
from cryptosim_bt.cli.commands import main
from cryptosim_bt.data.store import Series, Store
from cryptosim_bt.data.store.verify import verify
from tests.venue.conftest import FIRST_MS, HOUR_MS
from tests.venue.faults import Fault
from tests.venue.market import COLUMNS, synthetic_bars

ROOT = Path(__file__).resolve().parents[2]
BARS = Series.bars("okx", "BTC/USD:BTC", "1h")
DAY_MS = 24 * HOUR_MS


# Files that this process has opened from Python, which is how the rows of a kept file are read. A
# hook of Python's own cannot be taken away again: it only ever adds to the list.
_opened: list[Path] = []


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and str(arguments[0]).endswith(".parquet"):
        _opened.append(Path(str(arguments[0])))


sys.addaudithook(_note_opened)


@dataclass(frozen=True)
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder with a data folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, code: int = 0) -> Done:
        monkeypatch.setattr(sys, "argv", ["cryptosim-bt", *arguments])
        found: object = 0
        try:
            main()
        except SystemExit as exit_:
            found = exit_.code
        captured = capsys.readouterr()
        assert found == code, captured.out + captured.err
        return Done(captured.out, captured.err)

    return run


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_DATA_HOME": str(folder / "share"), "COLUMNS": "160",
            "PYTHONPATH": str(ROOT)}  # fmt: skip


@pytest.fixture
def kept(tmp_path) -> Store:
    return Store(tmp_path / "share" / "cryptosim-bt")


@pytest.fixture
def config(tmp_path, exchange) -> Path:
    """The first CryptoSim's run on source ccxt, with a venue that has its months."""
    market = exchange.markets["BTC-USD-SWAP"]
    first = FIRST_MS - 40 * DAY_MS
    market.bars["1H"] = synthetic_bars(first, 80 * 24, HOUR_MS, seed=3)
    market.marks["1H"] = synthetic_bars(first, 80 * 24, HOUR_MS, seed=3)
    market.bars["1m"] = synthetic_bars(FIRST_MS - DAY_MS, 40 * 1440, 60_000, seed=4)
    market.marks["1m"] = market.bars["1m"]
    market.funding = [(first + 8 * HOUR_MS * at, (at % 7 - 2) / 10_000) for at in range(240)]
    text = (SHIPPED_CONFIGS / "config.yaml").read_text(encoding="utf-8")
    text = text.replace("source: sample", "source: ccxt")
    text = re.sub(r"\n    rate: 0\.0001.*", "\n    missing: error", text)
    text = re.sub(r"analyzers: \[.*\]", "analyzers: [ledger]", text)
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_run_works_with_the_network_cut_after_download_of_its_config(command, config, server):
    url = ("--set", f"exchange.rest_url={server.url}")
    # Everything that a run can ask for: finer bars, marks, funding, the venue's margin tiers.
    more = ("--set", "data.fill_timeframe=1m", "--set", "data.mark=true")
    said = command("download", "--config", "config.yaml", *more, *url)
    assert re.search(r"okx +│ BTC/USD:BTC │ 1h +│ .* 1,464 │ +0 │", said.stdout)
    assert re.search(r"│ 1m +│ .* 44,640 │ +0 │", said.stdout)
    assert re.search(r"1m mark .* 44,640 │", said.stdout)
    assert re.search(r"funding .* 93 │", said.stdout)
    server.stop()
    command("run", "config.yaml", "--output", "one", "--offline", *more)
    # Without --offline too: nothing lacks, so nothing is asked.
    command("run", "config.yaml", "--output", "two", "--set",
            "exchange.rest_url=http://127.0.0.1:9", *more)  # fmt: skip
    one, two = (
        json.loads((config.parent / name / "summary.json").read_text()) for name in ("one", "two")
    )
    settings = one.pop("settings"), two.pop("settings")
    assert one == two
    assert settings[1]["exchange"]["rest_url"] == "http://127.0.0.1:9"
    assert one["data"]["source"] == "ccxt"
    assert len(one["data"]["sha256"]) == 64
    assert one["bars_loaded"] == 1464
    assert one["mark"] == "venue"
    assert settings[0]["instrument"]["tiers"] == "venue"


def test_run_reads_every_kept_file_once(command, config, server, kept):
    url = ("--set", f"exchange.rest_url={server.url}")
    command("download", "--config", "config.yaml", *url)
    _opened.clear()
    command("run", "config.yaml", "--output", "out", *url)
    assert sorted(_opened) == sorted(kept.directory.rglob("*.parquet"))
    # The checksum is of those bars: epoch times, then open, high, low, close and volume by row.
    bars = kept.read(BARS, pd.Timestamp(0, tz="UTC"), pd.Timestamp("2100", tz="UTC"))
    digest = hashlib.sha256(bars.index.as_unit("ms").asi8.tobytes() + bars.to_numpy().tobytes())
    summary = json.loads((config.parent / "out" / "summary.json").read_text())
    assert summary["data"]["sha256"] == digest.hexdigest()


def test_run_downloads_what_lacks_and_says_so(command, config, server):
    said = command(
        "run", "config.yaml", "--output", "out", "--set", f"exchange.rest_url={server.url}"
    )
    assert "downloading okx BTC/USD:BTC 1h from 2024-12-02T00:00:00+09:00 to" in said.stderr
    assert "okx BTC/USD:BTC 1h: 1,464 new rows" in said.stderr
    assert "okx BTC/USD:BTC funding: 93 new rows" in said.stderr


def test_run_offline_says_what_is_missing_in_place_of_a_connection(command, config, server):
    said = command("run", "config.yaml", "--offline", "--set", f"exchange.rest_url={server.url}",
                   code=2)  # fmt: skip
    times = "2024-12-02T00:00:00+09:00", "2025-02-01T00:00:00+09:00"
    assert (
        f"error: okx BTC/USD:BTC 1h: not downloaded: 1,464 bars, from {times[0]} to {times[1]}; "
        "get them with `cryptosim-bt download BTC/USD:BTC --exchange okx --timeframe 1h "
        f"--from {times[0]} --to {times[1]}`, or run without --offline" in said.stderr
    )
    assert server.requests == []
    assert not list(config.parent.glob("logs/*"))


def test_run_reports_a_hole_of_the_venue_and_makes_no_bar_up(command, config, server, exchange):
    market = exchange.markets["BTC-USD-SWAP"]
    lost = [FIRST_MS + at * HOUR_MS for at in (100, 101)]
    market.bars["1H"] = market.bars["1H"].drop(index=lost)
    url = ("--set", f"exchange.rest_url={server.url}")
    said = command("run", "config.yaml", *url, code=2)
    assert "the venue does not have 2 bars, the first at 2025-01-05T13:00:00+09:00" in said.stderr
    assert "2 1h bars are missing, the first at 2025-01-05T13:00:00+09:00" in said.stderr
    said = command("run", "config.yaml", *url, "--set", "data.gaps=fill")
    assert "filled 2 missing 1h bars" in said.stderr
    said = command("run", "config.yaml", "--offline", "--set", "data.gaps=keep")
    assert "743 (+719)" in said.stdout or "742 (+720)" in said.stdout


def test_run_takes_the_instrument_of_the_venue_before_the_built_in_one(
    command, config, server, exchange
):
    exchange.markets["BTC-USD-SWAP"].instrument.update(lotSz="0.1", minSz="0.1")
    url = ("--set", f"exchange.rest_url={server.url}")
    command("run", "config.yaml", "--output", "out", *url)
    path = config.parent / "out" / "config.yaml"
    resolved = path.read_text()
    assert "lot: 0.1" in resolved
    assert "maintenance_margin_rate: 0.0045" in resolved  # the first tier of the venue
    assert "tiers: venue" in resolved
    from cryptosim_bt.backtest.needs import load_settings

    assert load_settings(path).resolved() == load_settings(config, url[1:]).resolved()
    said = command("check", "config.yaml", "--set", "instrument.lot=1")
    assert "lot: 1\n" in said.stdout or "lot: 1.0\n" in said.stdout


def test_run_without_funding_of_the_venue_says_how_to_go_on(command, config, server, exchange):
    exchange.markets["BTC-USD-SWAP"].funding = []
    url = ("--set", f"exchange.rest_url={server.url}")
    said = command("run", "config.yaml", *url, code=2)
    assert "the venue has none from 2025-01-01T00:00:00+09:00" in said.stderr
    assert "give backtest.funding.rate (0 = none) or path" in said.stderr
    command("run", "config.yaml", "--offline", "--set", "backtest.funding.missing=zero")
    command("run", "config.yaml", "--offline", "--set", "backtest.funding.rate=0.0001")


def test_run_with_a_wrong_rest_url_says_what_is_allowed(command, config):
    said = command("run", "config.yaml", "--set", "exchange.rest_url=localhost:80", code=2)
    assert "exchange.rest_url: was 'localhost:80'; allowed: http://HOST:PORT" in said.stderr


def test_download_of_symbols_and_times(command, kept, server):
    said = command(
        "download", "BTC/USD:BTC", "--from", "2025-01-01", "--to", "2025-01-03T12:00:00Z",
        "--timeframe", "1h", "--mark", "--rest-url", server.url,
    )  # fmt: skip
    assert said.stdout.count("60 │") == 2
    listed = command("list-data").stdout
    assert re.search(r"1h +│ 2025-01-01 00:00 │ 2025-01-03 11:00 │ +60 │ +0 │ +0 │", listed)
    assert str(kept.directory) in listed.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["download"], 2, "give symbols and --from, or --config"),
        (["download", "BTC/USD:BTC", "--from", "soon"], 2, "--from: was 'soon'; allowed: a date"),
        (["download", "X", "--from", "2025-01-02", "--to", "2025-01-01"], 2, "allowed: after"),
        (["download", "X", "--from", "2025-01-01", "--exchange", "okxx"], 2, "was 'okxx'; allowed"),
        (["download", "BTC/EUR:BTC", "--from", "2025-01-01", "--rest-url", "URL"], 2,
         "okx has no market 'BTC/EUR:BTC'; its perpetuals of BTC: BTC/USD:BTC"),
        (["download", "BTC/USD:BTC", "--from", "2025-01-01", "--rest-url", "http://127.0.0.1:9"], 2,
         "no connection to http://127.0.0.1:9/api/v5/public/instruments"),
        (["list-data"], 0, "nothing is kept in"),
        (["import-data", "no.csv", "--symbol", "BTC/USD:BTC"], 2, "no.csv: there is no such file"),
        (["import-data", "no.csv"], 2, "give --symbol"),
        (["export-data", "BTC/USD:BTC", "x.csv", "--timeframe", "1h"], 2, "no rows are kept"),
        (["export-data", "BTC/USD:BTC", "x.xls", "--timeframe", "1h"], 2, "allowed endings: .csv"),
        (["export-data", "BTC/USD:BTC", "x.csv"], 2, "--timeframe is needed"),
    ],
)  # fmt: skip
def test_command_sentences(command, server, arguments, code, sentence):
    arguments = [server.url if each == "URL" else each for each in arguments]
    said = command(*arguments, code=code)
    assert sentence in said.stderr + said.stdout
    assert "Traceback" not in said.stderr


def test_download_of_a_config_that_is_not_for_ccxt_says_so(command, tmp_path):
    command("new-config")
    said = command("download", "--config", "config.yaml", code=2)
    assert "data.source: was 'sample'; allowed for a download: ccxt" in said.stderr


def test_download_stopped_with_ctrl_c_keeps_its_rows_and_goes_on(tmp_path, kept, server, exchange):
    exchange.markets["BTC-USD-SWAP"].bars["1m"] = synthetic_bars(FIRST_MS, 20_000, 60_000)
    # A shell that runs the tests in its background has them ignore Ctrl-C; a user's does not.
    as_in_a_terminal = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from cryptosim_bt.cli.commands import main; main()"
    )
    arguments = [sys.executable, "-c", as_in_a_terminal, "download", "BTC/USD:BTC", "--timeframe",
                 "1m", "--from", "2025-01-01", "--to", "2025-01-14", "--no-funding", "--rest-url",
                 server.url]  # fmt: skip
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(server.asked("candles")) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.strip().endswith("interrupted")
    series = Series.bars("okx", "BTC/USD:BTC", "1m")
    # All pages that came, but perhaps the one that was on its way.
    assert kept.summary(series).rows >= 300 * 9
    assert kept.unknown(series, FIRST_MS, FIRST_MS + 300 * 9 * 60_000) == ()


def test_two_downloads_of_one_series_at_once(tmp_path, kept, server):
    arguments = [sys.executable, "-m", "cryptosim_bt", "download", "BTC/USD:BTC", "--from",
                 "2025-01-01", "--to", "2025-01-21", "--rest-url", server.url]  # fmt: skip
    both = [
        subprocess.Popen(arguments, cwd=tmp_path, env=environment(tmp_path), text=True,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert kept.summary(BARS).rows == 480
    assert len(server.asked("history-candles")) == 2  # 300 and 180 bars: the second asked nothing


def test_verify_repairs_a_damaged_file_from_the_venue(command, kept, server, exchange):
    arguments = ("download", "BTC/USD:BTC", "--rest-url", server.url, "--no-funding")
    command(*arguments, "--from", "2024-12-31", "--to", "2025-01-10")
    exchange.markets["BTC-USD-SWAP"].bars["1H"] = synthetic_bars(
        FIRST_MS - 60 * DAY_MS, 100 * 24, HOUR_MS
    )
    command(*arguments, "--from", "2024-11-15", "--to", "2025-01-20")
    path = kept.part_paths(BARS)[1]
    path.write_bytes(path.read_bytes()[:-20])
    said = command("verify-data", code=1)
    assert "2024-12.parquet: is damaged" in said.stdout.replace("\n", "")
    assert "verify-data --repair` fixes" in said.stderr
    said = command("verify-data", "--repair", "--rest-url", server.url)
    assert "okx BTC/USD:BTC 1h: 744 new rows" in said.stderr
    assert command("verify-data").stdout.endswith("1 series, 0 findings\n")
    assert kept.summary(BARS).unasked == 0


def test_verify_asks_again_for_holes(command, kept, server, exchange):
    whole = exchange.markets["BTC-USD-SWAP"].bars["1H"]
    exchange.markets["BTC-USD-SWAP"].bars["1H"] = whole.drop(index=[FIRST_MS + 50 * HOUR_MS])
    command("download", "BTC/USD:BTC", "--rest-url", server.url, "--from", "2025-01-01", "--to",
            "2025-01-10", "--no-funding")  # fmt: skip
    assert kept.summary(BARS).holes == 1
    exchange.markets["BTC-USD-SWAP"].bars["1H"] = whole
    command("verify-data", "--ask-again", "--rest-url", server.url)
    assert kept.summary(BARS).holes == 0


# --- files in and out -----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "feather"])
def test_export_and_import_give_the_same_rows_to_the_last_bit(command, kept, tmp_path, ending):
    table = synthetic_bars(FIRST_MS, 3000, HOUR_MS) / 3.0
    columns = {"time": table.index.to_numpy(), **{name: table[name].to_numpy() for name in COLUMNS}}
    kept.write(BARS, pd.DataFrame(columns), [(FIRST_MS, FIRST_MS + 3000 * HOUR_MS)])
    said = command("export-data", "BTC/USD:BTC", f"out.{ending}", "--timeframe", "1h")
    assert "3,000 rows" in said.stdout
    command("import-data", f"out.{ending}", "--symbol", "BTC/USD:BTC", "--directory", "other")
    back = Store(tmp_path / "other").read_columns(BARS, 0, FIRST_MS * 2)
    assert all(np.array_equal(back[name], columns[name]) for name in columns)
    assert "is there already" in command(
        "export-data", "BTC/USD:BTC", f"out.{ending}", "--timeframe", "1h", code=2
    ).stderr


def test_import_of_freqtrade_files_by_their_names(command, kept, tmp_path):
    bars = synthetic_bars(FIRST_MS, 100, HOUR_MS).rename_axis("date").reset_index()
    bars["date"] = pd.to_datetime(bars["date"], unit="ms", utc=True)
    for name in ("BTC_USD_BTC-1h-futures", "BTC_USD_BTC-1h-mark"):
        bars.to_feather(tmp_path / f"{name}.feather")
    rates = bars.iloc[::8].assign(open=0.0001).reset_index(drop=True)
    rates.to_feather(tmp_path / "BTC_USD_BTC-8h-funding_rate.feather")
    for path in sorted(tmp_path.glob("*.feather")):
        command("import-data", path.name)
    assert [(series.kind, kept.summary(series).rows) for series in kept.list_series()] == [
        ("1h", 100), ("1h-mark", 100), ("funding", 13),
    ]  # fmt: skip
    assert set(kept.read_columns(kept.list_series()[2], 0, FIRST_MS * 2)["funding_rate"]) == {1e-4}


def test_import_of_other_figures_is_refused_unless_said(command, kept, tmp_path):
    table = synthetic_bars(FIRST_MS, 10, HOUR_MS).rename_axis("timestamp")
    table.to_csv(tmp_path / "a.csv")
    (table + 1.0).to_csv(tmp_path / "b.csv")
    symbol = ("--symbol", "BTC/USD:BTC")
    assert "10 rows are new" in command("import-data", "a.csv", *symbol).stdout
    said = command("import-data", "b.csv", *symbol, code=2)
    assert "10 rows differ from those stored, the first at 2025-01-01T00:00:00Z" in said.stderr
    command("import-data", "b.csv", *symbol, "--keep")
    first = table["open"].iloc[0]
    assert kept.read_columns(BARS, 0, FIRST_MS * 2)["open"][0] == first
    assert "10 rows are new" in command("import-data", "b.csv", *symbol, "--replace").stdout
    assert kept.read_columns(BARS, 0, FIRST_MS * 2)["open"][0] == first + 1.0


def test_import_with_missing_bars_leaves_them_to_a_download(command, kept, tmp_path, server):
    bars = server.exchange.markets["BTC-USD-SWAP"].bars["1H"]
    bars.drop(index=[FIRST_MS + 5 * HOUR_MS]).rename_axis("timestamp").to_csv(tmp_path / "a.csv")
    said = command("import-data", "a.csv", "--symbol", "BTC/USD:BTC")
    assert "1 bars are missing, the first at 2025-01-01T05:00:00Z" in said.stderr
    summary = kept.summary(BARS)
    assert (summary.rows, summary.holes, summary.unasked) == (499, 0, 1)
    command("download", "BTC/USD:BTC", "--from", "2025-01-01", "--to", "2025-01-21", "--rest-url",
            server.url, "--no-funding")  # fmt: skip
    assert [request.query["limit"] for request in server.asked("candles")] == ["1"]
    assert kept.summary(BARS).unasked == 0


@pytest.mark.parametrize(
    ("shift_ms", "change", "sentence"),
    [
        (1_800_000, {}, "does not open on a whole 1h of UTC"),
        (0, {"high": -1.0}, "high is not above zero"),
        (0, {"close": float("nan")}, "close is missing or not finite"),
    ],
)
def test_import_of_bars_that_cannot_be_is_refused(
    command, kept, tmp_path, shift_ms, change, sentence
):
    table = synthetic_bars(FIRST_MS + shift_ms, 10, HOUR_MS)
    for name, value in change.items():
        table.iloc[3, COLUMNS.index(name)] = value
    table.rename_axis("timestamp").to_csv(tmp_path / "a.csv")
    said = command("import-data", "a.csv", "--symbol", "BTC/USD:BTC", code=2)
    assert sentence in said.stderr
    assert kept.list_series() == []


def test_import_of_funding_from_a_csv(command, kept, tmp_path):
    with gzip.open(tmp_path / "f.csv.gz", "wt") as file:
        file.write("timestamp,funding_rate\n2025-01-01T00:00:00Z,0.0001\n")
        file.write("2025-01-01T08:00:00.004Z,-0.0002\n2025-01-01T16:00:00Z,0.0003\n")
    command("import-data", "f.csv.gz", "--symbol", "BTC/USD:BTC", "--kind", "funding")
    rates = kept.read_columns(Series.funding("okx", "BTC/USD:BTC"), 0, FIRST_MS * 2)
    assert rates["time"].tolist() == [FIRST_MS + 8 * HOUR_MS * at for at in range(3)]
    assert rates["funding_rate"].tolist() == [0.0001, -0.0002, 0.0003]


def test_download_of_a_venue_that_fails_in_between_ends_with_a_sentence(command, server, kept):
    server.faults.order(Fault.RESET, "candles", times=3)
    said = command("download", "BTC/USD:BTC", "--from", "2025-01-01", "--to", "2025-01-05",
                   "--no-funding", "--rest-url", server.url)  # fmt: skip
    assert said.stderr.count("asking again in") == 3
    assert kept.summary(BARS).rows == 96


def test_verify_finds_damage_wherever_it_is_and_never_fails_itself(command, kept, server):
    command("download", "BTC/USD:BTC", "--rest-url", server.url, "--no-funding",
            "--from", "2025-01-01", "--to", "2025-01-05")  # fmt: skip
    (path,) = kept.part_paths(BARS)
    whole = path.read_bytes()
    found = 0
    offsets = range(4, len(whole) - 8, 61)
    for offset in offsets:
        path.write_bytes(whole[:offset] + b"\xff\xff" + whole[offset + 2 :])
        found += bool(verify(kept, repair=False))
    # What is not found changed nothing that a reader takes: statistics and other hints.
    assert found > len(offsets) // 4
