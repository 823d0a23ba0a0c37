"""new-strategy, new-feed, new-analyzer: what they write runs as it is and passes the checks."""

from __future__ import annotations

import inspect
from pathlib import Path

import pandas as pd
import pytest

from cryptosim_bt.cli.scaffold import write_plugin
from cryptosim_bt.errors import PluginError
from cryptosim_bt.plugins.parameters import checked_parameters, parameters
from cryptosim_bt.plugins.registry import Kind, Plugin, discover
from tests.cli.test_cli import CONFIG, everything
from tests.exchange_files import cryptosim
from tests.helpers import sample_run

# How a plugin named `mine` is run with the bars of `folder`, and what it leaves in the run.
RUNS = {
    Kind.STRATEGY: ("strategy.name=mine", "strategy.mine.period=5"),
    Kind.FEED: ("data.source=mine",),
    Kind.ANALYZER: ("report.analyzers=[ledger, mine]",),
}

WRITTEN = (Kind.STRATEGY, Kind.FEED, Kind.ANALYZER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with a configuration and a day of bars."""
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    rows = ["timestamp,open,high,low,close,volume"]
    for hour in range(24):
        price = 50_000 + 400 * (hour % 3) + 10 * hour
        rows.append(f"2025-01-01T{hour:02}:00:00Z,{price},{price + 500},{price - 500},{price},1")
    (tmp_path / "bars.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("kind", WRITTEN)
def test_new_plugin_runs_as_it_is_and_is_written_once(kind: Kind, folder: Path) -> None:
    command = f"new-{kind.singular}"
    done = cryptosim(folder, command, "mine")
    assert done.stdout.splitlines()[0].endswith(str(Path(kind.value, "mine.py")))
    sets = [part for each in RUNS[kind] for part in ("--set", each)]
    cryptosim(folder, "run", "config.yaml", *sets, "--output", "out")
    assert (folder / "out" / "mine.csv").exists() == (kind is Kind.ANALYZER)
    again = cryptosim(folder, command, "mine", code=2)
    assert "exists already" in again.stderr


def written(kind: Kind, folder: Path) -> Plugin:
    """Return a plugin that a command wrote."""
    path = write_plugin(kind, "my_own", folder)
    assert path == folder / kind.value / "my_own.py"
    return discover([folder]).get(kind, "my_own", "a key")


@pytest.mark.parametrize("kind", WRITTEN)
def test_new_plugin_is_documented_as_the_shipped_ones(
    kind: Kind, tmp_path: Path
) -> None:
    plugin = written(kind, tmp_path)
    assert plugin.cls.__name__ == "MyOwn"
    first, _, rest = inspect.cleandoc(plugin.cls.__dict__["__doc__"]).partition("\n")
    assert first.endswith(".")
    assert 10 < len(first) < 100
    assert all(f"``{name}``" in rest for name in parameters(plugin.cls))


def test_new_strategy_is_causal_and_has_all_its_indicators_after_the_warmup(
    tmp_path: Path
) -> None:
    plugin = written(Kind.STRATEGY, tmp_path)
    params = checked_parameters(plugin, {}, "strategy")
    bars = sample_run("simple_ma").bars
    before = bars.copy()
    whole = plugin.cls.generate_signals(bars, params)
    pd.testing.assert_frame_equal(bars, before)
    first = plugin.cls.warmup(params)
    assert whole.iloc[first:].notna().all().all()
    for length in (first + 1, first + 200, len(bars) - 1):
        part = plugin.cls.generate_signals(bars.iloc[:length], params)
        pd.testing.assert_frame_equal(part, whole.iloc[:length], check_exact=False, rtol=1e-12)


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("name", ["My-Plugin", "1st", "class", "../x"])
def test_new_plugin_of_a_wrong_name_is_told(
    kind: Kind, name: str, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match="allowed: small letters"):
        write_plugin(kind, name, tmp_path)
    assert everything(tmp_path) == set()


@pytest.mark.parametrize(
    ("command", "name"),
    [("new-strategy", "simple_ma"), ("new-feed", "sample"), ("new-analyzer", "excel")],
)
def test_new_plugin_of_a_known_name_is_refused(command: str, name: str, tmp_path: Path) -> None:
    done = cryptosim(tmp_path, command, name, code=2)
    assert "there is one of that name already" in done.stderr
    assert everything(tmp_path) == set()
