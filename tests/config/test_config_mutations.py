"""Configurations with faults that nobody thought of: they run, or are refused in a sentence."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.config.document import Document
from cryptosim_bt.config.keys import Keys
from cryptosim_bt.config.settings import Settings, settings_of
from cryptosim_bt.errors import InputError
from cryptosim_bt.plugins.registry import discover
from tests.helpers import ROOT, without_analyzers

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 5, 0.5, 1.0, 1e-4, 1e-18, 1e-308, 5e-324, 1e18, 1e308, 10**12,
    10**18, 10**30, float("inf"), float("-inf"), float("nan"), "", " ", "x", "x" * 5000, "1",
    "1e-4", "now", "12:30", "25-01-05", "05.02.2025", "2025-01-05",
    "2025-01-20T08:00:00Z", "2300-01-01",
    "9999-12-31", "0001-01-01", "1677-01-01", "2025-02-30", "~nosuchuser/x", "a\0b", "\ud800", "..",
    "/dev/zero", "/", "no/such/file", "UTC", "Asia/Seoul", "America/New_York", "BTC/USDT:USDT",
    "ETH/USD:ETH", "okx", "file", "sample", "1h", "4h", "1d", "limit", "atr", "equity", "isolated",
    "net", "venue", "built-in", [], [1], ["a"], ["x" * 5000], [["a"]], {}, {"a": 1}, {1: 2},
    {"method": "atr", "atr_period": 10**12}, {"rate": 0.01}, [None], [{}],
)  # fmt: skip


def _small() -> dict[str, Any]:
    values = YAML(typ="safe").load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    values["backtest"]["trading_period"] = {"start_date": "2025-01-01", "end_date": "2025-01-03"}
    values["strategy"]["simple_ma"] = {"short_period": 2, "long_period": 5}
    return dict(values)


SMALL = _small()


def _places(model: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every section and key that a configuration may have."""
    for name, field in model.model_fields.items():
        yield (*path, name)
        if hasattr(field.annotation, "model_fields"):
            yield from _places(field.annotation, (*path, name))


PLACES = [*_places(Keys), ("strategy", "simple_ma"), ("strategy", "simple_ma", "long_period"),
          ("strategy", "simple_ma", "short_period"), ("strategy", "rsi_dip"),
          ("nonsense",)]  # fmt: skip

CHANGES = st.tuples(st.sampled_from(PLACES), st.sampled_from(VALUES))


def changed(*changes: tuple[tuple[str, ...], Any]) -> dict[str, Any]:
    values = copy.deepcopy(SMALL)
    for path, value in changes:
        branch = values
        for part in path[:-1]:
            if not isinstance(branch.get(part), dict):
                branch[part] = {}
            branch = branch[part]
        branch[path[-1]] = copy.deepcopy(value)
    return values


def require_short(error: InputError) -> None:
    assert all(0 < len(line) < 1_600 for line in str(error).split("\n"))


def checked(values: dict[str, Any]) -> Settings | None:
    """Return the settings, None where they were refused in short sentences."""
    try:
        settings = settings_of(Document("test", values), ROOT)
    except InputError as error:
        require_short(error)
        return None
    settings.doubts()
    again = settings_of(Document("test", settings.resolved()), ROOT)
    assert again.resolved() == settings.resolved()
    return settings


def runs_or_is_refused(settings: Settings) -> None:
    try:
        execute(prepare(without_analyzers(settings), discover()))
    except InputError as error:
        require_short(error)


@pytest.mark.parametrize("path", PLACES, ids=".".join)
def test_any_value_of_a_key_is_taken_or_refused(path: tuple[str, ...]) -> None:
    for value in VALUES:
        checked(changed((path, value)))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(CHANGES, min_size=1, max_size=3))
def test_mutated_configuration_runs_or_is_refused(
    changes: list[tuple[tuple[str, ...], Any]],
) -> None:
    settings = checked(changed(*changes))
    if settings is not None and settings.keys.data.source == "sample":
        runs_or_is_refused(settings)
