"""The configuration: what is wrong is said with its place, its value and what is allowed."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryptosim_bt import SHIPPED_CONFIGS, ConfigError, Settings, load_settings
from cryptosim_bt.config.document import read_document, yaml_text
from tests.helpers import ROOT

SHIPPED = ROOT / "config" / "config.yaml"
SMALL = """\
data:
  source: sample
trading:
  symbol: BTC/USD:BTC
backtest:
  trading_period:
    start_date: "2025-01-01"
    end_date: "2025-02-01"
  initial_balance: 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, overrides)
    return str(caught.value)


# ---------------------------------------------------------------------- good ones
@pytest.mark.parametrize("path", sorted(SHIPPED_CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_config_validates(path: Path) -> None:
    assert load_settings(path).keys.mode == "backtest"


def test_small_config_takes_every_default(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, SMALL))
    assert settings.keys.position_set.position_set_size == 10
    assert settings.instrument.contract_size == 100.0
    assert (settings.maker, settings.taker) == (0.0002, 0.0005)
    # R2: midnight in Seoul is 15:00 UTC of the day before.
    assert settings.start == pd.Timestamp("2024-12-31T15:00Z")
    assert settings.end == pd.Timestamp("2025-01-31T15:00Z")


CHANGES: tuple[tuple[str, ...], ...] = (
    (),
    ("trading.symbol=BTC/USDT:USDT", "exchange.trade_type=1"),
    ("risk.max_concurrent_positions=null", "risk.daily_loss_limit_pct=null"),
    ("backtest.fees.maker=-0.0001", "backtest.fees.taker=0.0004"),
    ("backtest.funding.path=rates.csv",),
    ("instrument.lot=0", "instrument.tick=0", "instrument.min_contracts=0"),
    ("instrument.maintenance_margin_rate=0.01",),
    ("data.source=file", "data.path=bars.parquet", "timezone=UTC"),
    ("strategy.name=rsi_dip", "strategy.rsi_dip.oversold=20.5"),
)


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_resolved_settings_load_again_to_the_same(
    tmp_path: Path, changes: tuple[str, ...]
) -> None:
    first = load_settings(SHIPPED, changes)
    again = load_settings(written(tmp_path, yaml_text(first.resolved())))
    assert again.resolved() == first.resolved()
    for name in ("instrument", "maker", "taker", "start", "end", "zone"):
        assert getattr(again, name) == getattr(first, name), name


def test_path_of_the_file_starts_from_its_folder_and_of_set_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = written(folder, SMALL.replace("source: sample", "source: file\n  path: bars.csv"))
    monkeypatch.chdir(tmp_path)
    assert load_settings(path).keys.data.path == str(folder / "bars.csv")
    assert load_settings(path, ["data.path=bars.csv"]).keys.data.path == str(tmp_path / "bars.csv")


# ---------------------------------------------------------------------- overrides
def fees_of(settings: Settings) -> tuple[float, float]:
    return settings.maker, settings.taker


@pytest.mark.parametrize(
    ("overrides", "fees"),
    [
        (["backtest.fees.commission=0.001"], (0.001, 0.001)),
        (["backtest.fees.maker=0.0002", "backtest.fees.taker=0.0006"], (0.0002, 0.0006)),
        # The file's one commission, 0.0001, stays for the other.
        (["backtest.fees.taker=0.0006"], (0.0001, 0.0006)),
        (["backtest.fees.commission=1e-4"], (0.0001, 0.0001)),
    ],
)
def test_set_takes_the_place_of_the_files_other_way_to_give_fees(
    overrides: list[str], fees: tuple[float, float]
) -> None:
    assert fees_of(load_settings(SHIPPED, overrides)) == fees


def test_set_funding_path_takes_the_place_of_the_files_rate() -> None:
    funding = load_settings(SHIPPED, ["backtest.funding.path=rates.csv"]).keys.backtest.funding
    assert funding.rate is None
    assert funding.path is not None


def test_last_of_two_sets_holds() -> None:
    settings = load_settings(SHIPPED, ["trading.leverage=7", "trading.leverage=9"])
    assert settings.keys.trading.leverage == 9.0


# ---------------------------------------------------------------------- wrong ones
WRONG: tuple[tuple[str, tuple[str, ...]], ...] = (
    # (assignment, what the sentence must hold: place, value, what is allowed)
    ("trading.leverage=0", ("trading.leverage", "was 0", "above 0")),
    ("trading.leverage=high", ("trading.leverage", "'high'", "a number")),
    ("trading.leverage=true", ("trading.leverage", "True", "a number")),
    ("trading.leverage=.nan", ("trading.leverage", "nan", "finite")),
    ("trading.leverage=.inf", ("trading.leverage", "inf", "finite")),
    ("trading.levrage=3", ("trading.levrage", "did you mean leverage?", "position_size")),
    ("tradin.leverage=3", ("tradin", "did you mean trading?")),
    ("trading.use_tp=1", ("trading.use_tp", "was 1", "true or false")),
    ("trading.use_tp=yes please", ("trading.use_tp", "'yes please'", "true or false")),
    ("trading.take_profit_pct=2", ("trading.take_profit_pct", "was 2", "below 1")),
    ("trading.stop_loss_pct=0", ("trading.stop_loss_pct", "was 0", "above 0")),
    ("trading.stop_loss_pct=5", ("was 5", "1 or below", "5 % is 0.05")),
    ("risk.daily_loss_limit_pct=5", ("was 5", "1 or below", "5 % is 0.05")),
    ("backtest.fees.taker=1", ("was 1", "below 1", "1 % is 0.01")),
    ("instrument.tick=1e-19", ("instrument.tick", "was 1e-19", "0, or 1e-18 and above")),
    ("data.path=[a, 1]", ("data.path", "/a', 1]", "a path, or a list of paths")),
    ("data.path=~nobody-of-this-name/x", ("data.path", "a user that there is")),
    ("data.timezone=KST9", ("data.timezone", "'KST9'", "Asia/Seoul")),
    ("strategy.simple_ma={1: 2}", ("strategy.simple_ma", "the key 1", "names of parameters")),
    ("trading.leverage=" + "x" * 5000, ("trading.leverage", "(5,002 signs)", "a number")),
    *(
        (f"backtest.trading_period.start_date='{date}'", ("start_date", date, "ISO-8601"))
        for date in ("05.02.2025", "05/02/2025", "25-01-05", "12:30", "now", "today", "2025-02-30",
                     "2025/01/05", "1969-12-31", "0001-01-01")
    ),
    ("trading.order_cancel_timeout=-1", ("order_cancel_timeout", "was -1", "above 0")),
    ("trading.margin_mode=crossed", ("trading.margin_mode", "'crossed'", "'cross'")),
    ("trading.position_mode=one", ("trading.position_mode", "'one'", "'hedge' or 'net'")),
    ("strategy.warmup=-1", ("strategy.warmup", "was -1", "0 or above")),
    ("mode=real", ("mode", "'real'", "'paper' or 'live'")),
    ("trading.symbol=BTCUSD", ("trading.symbol", "'BTCUSD'", "BASE/QUOTE:SETTLE")),
    ("trading.symbol=BTC/USDT:USDT", ("trading.symbol", "USDT-margined", "trade_type is 3")),
    ("trading.symbol=BTC/USD:ETH", ("trading.symbol", "settles in ETH", "quoted in USD")),
    ("trading.symbol=12", ("trading.symbol", "was 12", "text")),
    ("trading.position_size=0", ("trading.position_size", "was 0", "above 0")),
    ("exchange.trade_type=4", ("exchange.trade_type", "was 4", "1, 2 or 3")),
    ("exchange.name=bybit", ("instrument: contract_size, lot", "missing", "BTC/USD:BTC of bybit",
                             "contract_size (USD of a contract)", "tick (step of a price)",
                             "backtest.fees", "source: ccxt")),
    ("data.timeframe=7m", ("data.timeframe", "'7m'", "'5m'")),
    ("data.gaps=ignore", ("data.gaps", "'ignore'", "'keep'")),
    ("data.source=file", ("data.path", "missing", "source: file")),
    ("data.fill_timeframe=1m", ("data.fill_path", "missing", "fill_timeframe")),
    ("backtest.fill.latency_ms=50", ("latency_ms", "was 50", "fill_timeframe")),
    ("backtest.fill.max_volume_share=0.1", ("data.volume_unit", "missing", "contracts")),
    ("instrument.lot=-1", ("instrument.lot", "was -1", "0 or above")),
    ("instrument.contract_size=0", ("instrument.contract_size", "was 0", "above 0")),
    ("instrument.maintenance_margin_rate=1", ("maintenance_margin_rate", "was 1", "below 1")),
    ("position_set.position_set_size=0", ("position_set_size", "was 0", "1 or above")),
    ("position_set.position_set_size=2.5", ("position_set_size", "was 2.5", "whole number")),
    ("position_set.max_long_set=-1", ("max_long_set", "was -1", "0 or above")),
    ("risk.daily_loss_limit_pct=5", ("daily_loss_limit_pct", "was 5", "1 or below")),
    ("risk.max_concurrent_positions=many", ("max_concurrent_positions", "'many'", "whole number")),
    ("backtest.initial_balance=0", ("backtest.initial_balance", "was 0", "above 0")),
    ("backtest.fees.taker=-0.1", ("backtest.fees.taker", "was -0.1", "0 or above")),
    ("backtest.funding.rate=1", ("backtest.funding.rate", "was 1", "below 1")),
    ("backtest.funding.times=[8]", ("backtest.funding.times", "was 8", "text")),
    ('backtest.funding.times=["24:00"]', ("funding.times", "'24:00'", '"HH:MM"')),
    ("backtest.funding.times=08:00", ("backtest.funding.times", "'08:00'", "list")),
    ("backtest.funding.missing=guess", ("funding.missing", "'guess'", "'zero'")),
    ("backtest.fill.slippage=1", ("fill.slippage", "was 1", "below 1")),
    ("backtest.fill.entry_fill=open", ("fill.entry_fill", "'open'", "'next_bar'")),
    ("backtest.trading_period.start_date=soon", ("start_date", "'soon'", "2025-01-01")),
    ("backtest.trading_period.end_date=2024-01-01", ("end_date", "2024-01-01", "after start_date")),
    ("report.language=fr", ("report.language", "'fr'", "'ko' or 'en'")),
    ("report.analyzers=excel", ("report.analyzers", "'excel'", "list")),
    ("logging.level=LOUD", ("logging.level", "'LOUD'", "'DEBUG'")),
    ("timezone=Mars/Base", ("timezone", "'Mars/Base'", "Asia/Seoul")),
    ("timezone=", ("timezone", "None", "text")),
    ("trading=3", ("trading", "was 3", "keys")),
)


@pytest.mark.parametrize(("assignment", "parts"), WRONG, ids=[each[0] for each in WRONG])
def test_wrong_key_is_told_with_place_value_and_cure(
    assignment: str, parts: tuple[str, ...]
) -> None:
    sentence = complaint(SHIPPED, assignment)
    assert sentence.startswith("--set ") or "config.yaml" in sentence
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ("initial_balance: 0.5", "initial_balance: -1", 9, ("was -1", "above 0")),
        ("symbol:", "symbl:", 4, ("trading.symbl", "did you mean symbol?")),
        ("source: sample", "source: [a]", 2, ("data.source", "['a']", "text")),
        ('"2025-02-01"', "tomorrow!", 8, ("end_date", "'tomorrow!'", "2025-01-01")),
    ],
)
def test_wrong_key_of_a_file_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, parts: tuple[str, ...]
) -> None:
    sentence = complaint(written(tmp_path, SMALL.replace(old, new)))
    assert f"config.yaml line {line}: " in sentence
    for part in parts:
        assert part in sentence


def test_every_wrong_key_has_a_sentence_of_its_own() -> None:
    sentences = complaint(SHIPPED, "trading.leverage=0", "data.gaps=x", "nonsense=1").splitlines()
    assert len(sentences) == 3


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("was empty", "data:")),
        ("- a\n- b\n", ("was list", "data:")),
        ("just words\n", ("was str", "data:")),
        ("data: {source: sample\n", ("line", "no valid YAML")),
        (SMALL + "data:\n  source: sample\n", ("line 10", "stands twice")),
        ("trading:\n  symbol: BTC/USD:BTC\n", ("data", "missing")),
        (SMALL + "\tx: 1\n", ("line 10", "no valid YAML")),
        ("data: {source: a, source: b}\n", ("line 1", "data.source stands twice")),
        ("a:\n- b: 1\n  b: 2\n", ("line 3", "a.0.b stands twice")),
        ("a: \x07\n", ("no valid YAML", "#x0007")),
        ("a: !mine 1\n", ("line 1", "no valid YAML", "!mine")),
        ("a: *b\n", ("line 1", "undefined alias 'b'")),
        ("b: 1\na: " + "9" * 5000 + "\n", ("line 2", "(5,002 signs) cannot be read as int")),
        ("b: 1\na: !!bool maybe\n", ("line 2", "'maybe' cannot be read as bool")),
        ("a:\n- !!float x\n", ("line 2", "'x' cannot be read as float")),
        ("a: &a {b: *a}\n", ("line 1", "more than 32 levels")),
        ("a: " + "[" * 400 + "]" * 400, ("line 1", "more than 32 levels")),
        # 9 ** 9 items in nine lines: each is a list of nine of the one before.
        ("a0: &a0 1\n" + "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
        ), ("10,000 keys",)),
    ],
)
def test_file_that_is_no_configuration_is_told(
    tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    sentence = complaint(written(tmp_path, text))
    assert len(sentence.splitlines()) == 1 or "missing" in parts
    for part in parts:
        assert part in sentence


def test_alias_is_what_it_stands_for_and_merges(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\n"
    document = read_document(written(tmp_path, text))
    assert document.values == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}
    assert document.place(("c", "y")).endswith("line 5: c.y")


def test_item_of_a_list_is_told_with_its_own_line(tmp_path: Path) -> None:
    text = SMALL + '  funding:\n    rate: 0\n    times:\n    - "08:00"\n    - "24:00"\n'
    assert "config.yaml line 14: backtest.funding.times.1" in complaint(written(tmp_path, text))


def test_missing_file_is_told_with_the_command_that_writes_one(tmp_path: Path) -> None:
    assert "new-config" in complaint(tmp_path / "none.yaml")


def test_what_is_no_file_of_settings_is_told_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "socket"))
        for path in (tmp_path, tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero")):
            assert complaint(path) == f"{path}: is no file; give a configuration in YAML"
    path = tmp_path / "large.yaml"
    path.write_text("#" * 1_000_001)
    assert "more than 1,000,000 bytes" in complaint(path)
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert str(path) in complaint(path)


@pytest.mark.parametrize(
    ("assignment", "part"),
    [
        ("leverage", "allowed: key.path=value"),
        ("=3", "allowed: key.path=value"),
        ("trading..leverage=3", "allowed: key.path=value"),
        ("trading.leverage.x=3", "holds 5, no keys"),
        ("trading.leverage=[", "no valid YAML"),
        ("trading={leverage: 2, leverage: 3}", "leverage stands twice"),
        ("trading=" + "[" * 400, "more than 32 levels"),
        ("trading.leverage=" + "9" * 5000, "cannot be read as int"),
        ("x" * 5000, "allowed: key.path=value"),
        ("trading.leverage.x" + "y" * 5000 + "=3", "holds 5, no keys"),
    ],
)
def test_wrong_assignment_is_told(assignment: str, part: str) -> None:
    sentence = complaint(SHIPPED, assignment)
    assert part in sentence
    assert len(sentence) < 700


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("5E+2", 500.0), ("08:00", "08:00"), ("12:30", "12:30"), ("010", "010"),
     ("2025-01-01", "2025-01-01"), ("1_000", 1000), ("yes", True), ("null", None)],
)  # fmt: skip
def test_yaml_is_read_as_people_expect_it(tmp_path: Path, text: str, value: Any) -> None:
    document = read_document(written(tmp_path, f"key: {text}\n"))
    assert document.values == {"key": value}
    assert type(document.values["key"]) is type(value)


@pytest.mark.parametrize(
    "text",
    ["1e-4", "1e3", "010", "08:00", "2025-01-01", "yes", "null", "~", "", "<<", "=", "- a", "a: b",
     "# x", "한국", "two\nlines\n"],
)  # fmt: skip
def test_text_that_looks_like_another_value_is_written_so_that_it_stays_a_text(
    tmp_path: Path, text: str
) -> None:
    values = {"key": text, "list": [text], text or "empty": 1e-05}
    assert read_document(written(tmp_path, yaml_text(values))).values == values


def test_resolved_yaml_of_the_shipped_config_names_every_section() -> None:
    resolved = load_settings(SHIPPED).resolved()
    for section in ("exchange", "data", "trading", "instrument", "position_set", "risk",
                    "strategy", "backtest", "report", "logging", "timezone"):  # fmt: skip
        assert section in resolved


@pytest.mark.parametrize("end", ["2300-01-01", "9999-12-31", "9999-12-31T23:59:59Z"])
def test_end_behind_all_times_is_to_the_end(end: str) -> None:
    settings = load_settings(SHIPPED, [f"backtest.trading_period.end_date='{end}'"])
    assert settings.end == pd.Timestamp("2261-12-31", tz="UTC")
    assert settings.resolved()["backtest"]["trading_period"]["end_date"] == end


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("backtest.fees.commission=0.05", "was 0.05, which is 5 % of each fill; 0.05 % is 0.0005"),
        ("backtest.fees.maker=-0.02", "was -0.02, which is -2 % of each fill; -0.02 % is -0.0002"),
        ("backtest.funding.rate=0.01", "was 0.01, which is 1 % of the position at each funding"),
    ],
)
def test_rate_of_a_per_cent_and_more_is_doubted(assignment: str, sentence: str) -> None:
    (doubt,) = load_settings(SHIPPED, [assignment]).doubts()
    assert assignment.partition("=")[0] in doubt
    assert sentence in doubt


def test_usual_rates_are_not_doubted() -> None:
    rates = ("backtest.fees.commission=0.0099", "backtest.funding.rate=0.0099")
    assert load_settings(SHIPPED, rates).doubts() == []


def test_list_of_paths_starts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = SMALL.replace("source: sample", "source: file\n  path: [a.csv, /b.csv]")
    settings = load_settings(written(tmp_path, text))
    assert settings.keys.data.path == [str(tmp_path / "a.csv"), "/b.csv"]
