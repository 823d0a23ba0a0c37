"""The settings of a simulation: nothing but numbers and closed choices (R9, R19, R45)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest

from cryptosim_bt import SHIPPED_CONFIGS, load_settings
from cryptosim_bt.accounting.arithmetic import FIRST_CRYPTOSIM, INVERSE, LINEAR
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.config.simulation import SimulationSettings, Sizing, simulation_settings

# Fields of text: the symbol, and closed choices of a few words each.
WORDS = {"symbol", "kind", "margin_mode", "event_order", "basis"}


def made(*overrides: str, config: str = "config.yaml") -> SimulationSettings:
    settings = load_settings(SHIPPED_CONFIGS / config, overrides)
    return simulation_settings(settings, MaintenanceTiers.single(0.004))


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values in a record of records, each with the name of its field."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(field.name, getattr(value, field.name))
    elif isinstance(value, dict | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(name, each)
    else:
        yield name, value


@pytest.mark.parametrize("config", sorted(path.name for path in SHIPPED_CONFIGS.glob("*.yaml")))
def test_a_simulation_is_numbers_and_closed_choices(config: str) -> None:
    overrides = ["data.path=bars.csv"] if config == "own_file.yaml" else []
    for name, value in leaves("", made(*overrides, config=config)):
        assert value is None or isinstance(value, int | float | Enum) or name in WORDS, name


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {"sizing": Sizing.FIXED, "size": 0.01, "size_atr_period": 0, "stop_atr_period": 0}),
        (["trading.sizing={method: equity, equity_share: 0.5}"],
         {"sizing": Sizing.EQUITY, "size": 0.5, "size_atr_period": 0}),
        (["trading.sizing={method: atr, risk_share: 0.01, atr_period: 7, atr_multiple: 1.5}"],
         {"sizing": Sizing.ATR, "size": 0.01, "size_atr_period": 7, "size_atr_multiple": 1.5}),
        (["trading.stop={method: atr, atr_period: 9, atr_multiple: 2.5}"],
         {"stop_atr_period": 9, "stop_atr_multiple": 2.5}),
        # No stop at all: its ATR is not needed either.
        (["trading.stop.method=atr", "trading.use_sl=false"], {"stop_atr_period": 0}),
        (["trading.order_cancel_timeout=1.5"], {"order_timeout_ms": 1500}),
        (["data.fill_timeframe=1m", "data.fill_path=x.csv"],
         {"timeframe_ms": 3_600_000, "matching_ms": 60_000, "has_mark": False}),
        (["data.mark_path=x.csv"], {"has_mark": True, "matching_ms": 3_600_000}),
    ],
)  # fmt: skip
def test_keys_become_numbers(overrides: list[str], expected: dict[str, Any]) -> None:
    run = made("trading.position_size=0.01", "trading.stop.method=pct", *overrides)
    assert {name: getattr(run, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("overrides", "stop", "target"),
    [
        (["trading.stop_loss_pct=0.1", "trading.take_profit_pct=0.03"], 0.1, 0.03),
        (["trading.stop_loss_pct=1.0"], None, 0.02),  # 100 % away is no stop
        (["trading.use_sl=false", "trading.use_tp=false", "trading.stop_loss_pct=0.1"], None, None),
    ],
)
def test_what_is_switched_off_is_none(
    overrides: list[str], stop: float | None, target: float | None
) -> None:
    rules = made("trading.use_sl=true", "trading.take_profit_pct=0.02", *overrides).book_rules
    assert (rules.stop_loss_pct, rules.take_profit_pct) == (stop, target)


def test_formula_of_the_contract_is_a_number() -> None:
    assert made().contract.formula == INVERSE
    assert made(config="linear_usdt.yaml").contract.formula == LINEAR
    assert made(config="first_cryptosim.yaml").contract.formula == FIRST_CRYPTOSIM
