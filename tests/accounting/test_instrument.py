"""Prices and sizes on the instrument's grids (R7, R8)."""

from __future__ import annotations

import pytest

from cryptosim_bt.accounting.arithmetic import ceil_to_step, floor_to_step
from cryptosim_bt.accounting.instrument import (
    Instrument,
    kind_of,
    known_instrument,
    known_symbols,
    split_symbol,
    trade_type_of,
)
from cryptosim_bt.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        (100.0, 0.5, 100.0, 100.0),
        (100.3, 0.5, 100.0, 100.5),
        (100.49999, 0.5, 100.0, 100.5),
        # R8: within 1e-9, relative, of a multiple is that multiple: float dust on both sides.
        (100.5 * (1 + 5e-10), 0.5, 100.5, 100.5),
        (100.5 * (1 - 5e-10), 0.5, 100.5, 100.5),
        # 2e-9 is not dust.
        (100.5 * (1 + 2e-9), 0.5, 100.5, 101.0),
        (100.5 * (1 - 2e-9), 0.5, 100.0, 100.5),
        # 0.1 * 3 = 0.30000000000000004; the result is rounded to 10 decimals.
        (0.1 * 3, 0.1, 0.3, 0.3),
        (94155.8 * 0.98, 0.1, 92272.6, 92272.7),  # 92272.684
        (1.0, 0.01, 1.0, 1.0),
        (0.29, 0.01, 0.29, 0.29),
        (7.9, 1.0, 7.0, 8.0),
        (0.4, 1.0, 0.0, 1.0),
        (0.0, 1.0, 0.0, 0.0),
        (123.456789, 0.0, 123.456789, 123.456789),  # step 0: no rounding
        # Steps finer than 10 decimals: as many decimals as the step has.
        (2.6194e-07 * 0.98, 1e-11, 2.567e-07, 2.5671e-07),  # 2.567012e-07
        (2.6194e-12 * 1.02, 1e-16, 2.6717e-12, 2.6718e-12),  # 2.671788e-12
        (9.35488e-13, 1e-18, 9.35488e-13, 9.35488e-13),
        (3.1e-10, 1.5e-10, 3e-10, 4.5e-10),
    ],
)
def test_rounding_to_a_step_gives_the_multiple(
    value: float, step: float, down: float, up: float
) -> None:
    assert floor_to_step(value, step) == down
    assert ceil_to_step(value, step) == up


@pytest.mark.parametrize(
    ("symbol", "size", "lot", "amount", "price", "contracts"),
    [
        # R7, inverse: amount * price / size.
        ("BTC/USD:BTC", 100.0, 1.0, 0.01, 95_000.0, 9.0),  # 9.5
        ("BTC/USD:BTC", 100.0, 1.0, 0.01, 90_000.0, 9.0),  # 9.0 though 0.01 is no float
        ("BTC/USD:BTC", 100.0, 0.0, 0.01, 95_000.0, 9.5),
        ("BTC/USD:BTC", 100.0, 1.0, 0.001, 95_000.0, 0.0),
        # R7, linear: amount / size, whatever the price.
        ("BTC/USDT:USDT", 0.01, 0.01, 0.01, 95_000.0, 1.0),
        ("BTC/USDT:USDT", 0.01, 1.0, 0.029, 1.0, 2.0),
        ("BTC/USDT:USDT", 0.01, 0.01, 0.03, 1.0, 3.0),  # 0.03 / 0.01 = 3 or 2.9999999999999996
    ],
)
def test_contracts_hold_the_amount_cut_down_to_the_lot(
    symbol: str, size: float, lot: float, amount: float, price: float, contracts: float
) -> None:
    instrument = Instrument(symbol, kind_of(symbol), size, lot, 0.1, lot, 0.004, 0.004)
    assert instrument.contracts_for(amount, price) == pytest.approx(contracts, abs=1e-10)


@pytest.mark.parametrize(
    ("symbol", "parts", "kind", "trade_type"),
    [
        ("BTC/USD:BTC", ("BTC", "USD", "BTC"), "inverse", 3),
        ("ETH/USDT:USDT", ("ETH", "USDT", "USDT"), "linear", 1),
        ("BTC/USDC:USDC", ("BTC", "USDC", "USDC"), "linear", 2),
    ],
)
def test_symbol_says_kind_and_trade_type(
    symbol: str, parts: tuple[str, str, str], kind: str, trade_type: int
) -> None:
    assert split_symbol(symbol) == parts
    assert kind_of(symbol) == kind
    assert trade_type_of(symbol) == trade_type


@pytest.mark.parametrize("symbol", ["BTCUSD", "BTC/USD", "BTC:BTC", "/USD:BTC", "BTC/:BTC", ""])
def test_symbol_of_another_form_is_refused_with_an_example(symbol: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed: BASE/QUOTE:SETTLE.*BTC/USD:BTC"):
        split_symbol(symbol)


@pytest.mark.parametrize("symbol", known_symbols())
def test_built_in_instrument_is_whole(symbol: str) -> None:
    instrument = known_instrument("okx", symbol)
    assert instrument is not None
    assert instrument.symbol == symbol
    assert instrument.kind == kind_of(symbol)
    assert instrument.contract().contract_size == instrument.contract_size
    assert instrument.min_contracts == instrument.lot > 0
    assert 0 < instrument.maintenance_margin_rate < 0.05
    assert instrument.currency == symbol.partition(":")[2]


def test_instrument_of_another_venue_is_not_built_in() -> None:
    assert known_instrument("binance", "BTC/USDT:USDT") is None
    assert known_instrument("okx", "DOGE/USDT:USDT") is None
