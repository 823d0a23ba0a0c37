"""Instrument: the venue's data of one market, and rounding to tick and lot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from cryptosim_bt.accounting import arithmetic
from cryptosim_bt.accounting.arithmetic import INVERSE, LINEAR, ceil_to_step, floor_to_step, to_step
from cryptosim_bt.accounting.contracts import (
    FirstCryptoSimContract,
    InverseContract,
    LinearContract,
)
from cryptosim_bt.errors import ConfigError

ContractKind = Literal["inverse", "linear"]
# What a data file's volume counts: contracts, base coin, or quote currency.
VolumeUnit = Literal["contracts", "base", "quote"]

FloatOrArray = TypeVar("FloatOrArray", float, npt.NDArray[np.float64])


@dataclass(frozen=True, slots=True)
class Instrument:
    """One market of one venue.

    Parameters
    ----------
    symbol
        ccxt's unified symbol, ``BASE/QUOTE:SETTLE``.
    kind
        ``"inverse"`` (settled in the base coin) or ``"linear"`` (in the quote currency).
    contract_size
        Quote currency per contract (inverse) or base coin per contract (linear).
    lot
        Step of an order's size in contracts; 0 = any amount.
    tick
        Step of a price in quote currency; 0 = any price.
    min_contracts
        Smallest order in contracts.
    maintenance_margin_rate
        Fraction of notional that a leg needs to be kept.
    liquidation_fee_rate
        Fraction of notional taken at a liquidation, beside the taker fee.
    maker, taker
        The venue's base fee rates, None where they are not known.
    """

    symbol: str
    kind: ContractKind
    contract_size: float
    lot: float
    tick: float
    min_contracts: float
    maintenance_margin_rate: float
    liquidation_fee_rate: float
    maker: float | None = None
    taker: float | None = None

    @property
    def currency(self) -> str:
        """Settlement currency: the account's money."""
        return split_symbol(self.symbol)[2]

    @property
    def base(self) -> str:
        """Base coin, the unit of ``position_size``."""
        return split_symbol(self.symbol)[0]

    def contract(self, linear_pnl: str = "exchange") -> InverseContract | LinearContract:
        """Return the arithmetic of this market's contracts.

        ``linear_pnl="cryptosim"`` gives linear contracts the PnL of the first CryptoSim.
        """
        if self.kind == "inverse":
            return InverseContract(self.contract_size)
        if linear_pnl == "cryptosim":
            return FirstCryptoSimContract(self.contract_size)
        return LinearContract(self.contract_size)

    def volume_contracts(
        self, volume: FloatOrArray, price: FloatOrArray, unit: VolumeUnit
    ) -> FloatOrArray:
        """Return a traded volume in contracts."""
        if unit == "contracts":
            return volume
        # Inverse contracts are worth a fixed amount of the quote currency, linear of the base.
        if self.kind == "inverse":
            return (volume * price if unit == "base" else volume) / self.contract_size
        return (volume / price if unit == "quote" else volume) / self.contract_size

    def on_tick(self, price: float, *, up: bool) -> float:
        """Round a price up or down to the tick (R8)."""
        return to_step(price, self.tick, up)

    def price_down(self, price: float) -> float:
        """Round a price down to the tick (R8)."""
        return floor_to_step(price, self.tick)

    def price_up(self, price: float) -> float:
        """Round a price up to the tick (R8)."""
        return ceil_to_step(price, self.tick)

    def contracts_for(self, base_amount: float, price: float) -> float:
        """Return the contracts that hold ``base_amount`` of the coin, cut down to the lot (R7).

        Inverse: ``base_amount * price / contract_size``; linear: ``base_amount / contract_size``.
        May be 0 or below ``min_contracts``: then there is no order.
        """
        formula = INVERSE if self.kind == "inverse" else LINEAR
        return arithmetic.contracts_for(
            formula, base_amount, self.contract_size, price, self.lot
        )


def split_symbol(symbol: str) -> tuple[str, str, str]:
    """Return (base, quote, settle) of a unified symbol such as ``BTC/USD:BTC``.

    Raises
    ------
    ConfigError
        If the symbol is not of the form BASE/QUOTE:SETTLE.
    """
    pair, colon, settle = symbol.partition(":")
    base, slash, quote = pair.partition("/")
    if not (colon and slash and base and quote and settle):
        raise ConfigError(
            f"trading.symbol: was {symbol!r}; allowed: BASE/QUOTE:SETTLE as ccxt writes a "
            "perpetual, for example BTC/USD:BTC, BTC/USDT:USDT or BTC/USDC:USDC"
        )
    return base, quote, settle


def kind_of(symbol: str) -> ContractKind:
    """Return ``"inverse"`` when a symbol settles in its base coin, else ``"linear"``."""
    base, _, settle = split_symbol(symbol)
    return "inverse" if settle == base else "linear"


def trade_type_of(symbol: str) -> int:
    """Return 1 for USDT-margined, 2 for USDC-margined, 3 for coin-margined symbols."""
    if kind_of(symbol) == "inverse":
        return 3
    return 2 if symbol.endswith(":USDC") else 1


# OKX perpetual swaps: contract size, lot, tick, maintenance rate of the first tier. Sizes and
# ticks as OKX's public instruments list gave them (BTC-USD recorded 2026, the others 2022-2025);
# OKX changes lots by announcement, so the `instrument:` section of a config overrides any of them.
# Maintenance is the first tier's: BTC 0.4 % from a recorded BTC-USD-SWAP position and the recorded
# first tiers of BTC-USDT and ETH-USDT (0.4 %); ETH-USD 0.8 % from a recorded position (2021), kept
# for ETH-USDC as the careful figure. Complete lists with a source and a date stand in
# `okx_tiers/` (`maintenance_tiers.py`); where there is none, larger positions need more than this
# one rate: give `instrument.tiers`.
_OKX_SWAPS: dict[str, tuple[float, float, float, float]] = {
    "BTC/USD:BTC": (100.0, 1.0, 0.1, 0.004),
    "ETH/USD:ETH": (10.0, 1.0, 0.01, 0.008),
    "BTC/USDT:USDT": (0.01, 0.01, 0.1, 0.004),
    "ETH/USDT:USDT": (0.1, 0.01, 0.01, 0.004),
    "BTC/USDC:USDC": (0.0001, 1.0, 0.1, 0.004),
    "ETH/USDC:USDC": (0.001, 1.0, 0.01, 0.008),
}
# OKX's base tier for swaps; real rates are per account.
_OKX_MAKER, _OKX_TAKER = 0.0002, 0.0005


def known_instrument(exchange: str, symbol: str) -> Instrument | None:
    """Return the built-in instrument of a venue, None where it is not known."""
    if exchange != "okx" or symbol not in _OKX_SWAPS:
        return None
    size, lot, tick, maintenance = _OKX_SWAPS[symbol]
    return Instrument(
        symbol=symbol,
        kind=kind_of(symbol),
        contract_size=size,
        lot=lot,
        tick=tick,
        min_contracts=lot,
        maintenance_margin_rate=maintenance,
        liquidation_fee_rate=maintenance,
        maker=_OKX_MAKER,
        taker=_OKX_TAKER,
    )


def known_symbols() -> list[str]:
    """Return the symbols with built-in instruments, all of OKX."""
    return list(_OKX_SWAPS)
