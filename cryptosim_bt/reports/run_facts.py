"""What every report needs to know of a run: its market, its money, its zone, its language.

All of it stands in a `Result`, so that a report of a run that was read back is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from cryptosim_bt.accounting.contracts import InverseContract, LinearContract
from cryptosim_bt.accounting.instrument import Instrument, kind_of
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.reports.words import Words, strategy_text
from cryptosim_bt.results.metrics import Array
from cryptosim_bt.results.result import Result

# A coin's smallest unit (satoshi); of dollars, what shows a fee of a small order.
_COIN_DECIMALS, _DOLLAR_DECIMALS = 8, 4
# What is less than this share of every price, or more than so many times, is no price.
_FAR = 5.0
# Figures of a value on no grid that are worth showing.
_FIGURES = 7
_FACTS = {field.name for field in fields(Instrument)}


def instrument_of(settings: Mapping[str, Any]) -> Instrument:
    """Return the instrument that a run's resolved settings describe."""
    symbol = settings["trading"]["symbol"]
    fees = settings["backtest"]["fees"]
    # The section also holds limits of the venue, which are no part of the instrument.
    facts = {name: value for name, value in settings["instrument"].items() if name in _FACTS}
    return Instrument(
        symbol=symbol,
        kind=kind_of(symbol),
        maker=fees["maker"],
        taker=fees["taker"],
        **facts,
    )


@dataclass(frozen=True)
class RunFacts:
    """The facts of one run that its reports share.

    Attributes
    ----------
    language
        ``"ko"`` or ``"en"``.
    first_price
        Open of the first bar: tells how many decimals prices need where the tick is 0.
    panels
        Panel of each indicator, ``"price"`` or a name of its own.
    """

    instrument: Instrument
    contract: InverseContract | LinearContract
    leverage: float
    initial_balance: float
    zone: ZoneInfo
    language: str
    timeframe: str
    strategy: str
    synthetic: bool
    first_price: float
    panels: Mapping[str, str]

    @classmethod
    def of(cls, result: Result) -> RunFacts:
        """Gather the facts of a run."""
        settings = result.settings
        instrument = instrument_of(settings)
        return cls(
            instrument=instrument,
            contract=instrument.contract(settings["backtest"]["linear_pnl"]),
            leverage=settings["trading"]["leverage"],
            initial_balance=settings["backtest"]["initial_balance"],
            zone=ZoneInfo(settings["timezone"]),
            language=settings["report"]["language"],
            timeframe=settings["data"]["timeframe"],
            strategy=strategy_text(settings),
            synthetic=bool(result.summary["data"]["synthetic"]),
            first_price=float(result.bars["open"].iloc[0]),
            panels={name: _panel(result, name) for name in result.indicators},
        )

    def words(self, language: str | None = None) -> Words:
        """Return the words for the run, in its own language if no other is asked for."""
        instrument = self.instrument
        pair = instrument.symbol.partition(":")[0]
        return Words(
            language or self.language,
            currency=instrument.currency,
            base=instrument.base,
            quote=pair.partition("/")[2],
            zone=self.zone.key,
        )

    @property
    def timeframe_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return milliseconds(self.timeframe)

    @property
    def money_decimals(self) -> int:
        """Decimals that an amount of the settlement currency is shown with."""
        return _COIN_DECIMALS if self.instrument.kind == "inverse" else _DOLLAR_DECIMALS

    @property
    def price_decimals(self) -> int:
        """Decimals that a price on the tick is shown with."""
        return decimals_of(self.instrument.tick, self.first_price)

    @property
    def contract_decimals(self) -> int:
        """Decimals that a count of contracts is shown with."""
        return decimals_of(self.instrument.lot, 100.0)

    def base_amount(self, contracts: float, price: float) -> float:
        """Return the coins that contracts stood for at a price."""
        # A linear contract is worth its coins at a price of 1.
        at = price if self.instrument.kind == "inverse" else 1.0
        return self.contract.notional(contracts, at)

    def period(self, result: Result) -> str:
        """Return the trading window in local time, for a title."""
        ends = pd.Series(pd.to_datetime([result.summary["start"], result.summary["end"]], utc=True))
        first, last = self.local(ends)
        return f"{first:%Y-%m-%d %H:%M} – {last:%Y-%m-%d %H:%M} ({self.zone.key})"

    def local(self, times: pd.Series) -> pd.Series:
        """Return UTC times as naive times of the configured zone, for programs without zones."""
        local: pd.Series = times.dt.tz_convert(self.zone).dt.tz_localize(None)
        return local


def _panel(result: Result, name: str) -> str:
    """Return an indicator's panel: its own where it is said to stand with prices, but is none.

    A signal of -1, 0 and 1, or what never comes near the prices, would flatten the candles.
    """
    panel, bars = result.panels.get(name, "price"), result.bars
    values = bars[name].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    if panel != "price" or not len(known):
        return panel
    is_signal = bool(np.isin(known, (-1.0, 0.0, 1.0)).all())
    low, high = float(bars["low"].min()), float(bars["high"].max())
    is_far = float(known.max()) * _FAR < low or float(known.min()) > high * _FAR
    return name if is_signal or is_far else panel


def decimals_of(step: float, example: float) -> int:
    """Return the decimals of a grid of prices or sizes; seven figures where it is 0 (any value)."""
    if step == 0.0:
        return max(2, figures_decimals(np.array([example])))
    return max(0, -int(Decimal(repr(float(step))).normalize().as_tuple().exponent))


def figures_decimals(values: Array) -> int:
    """Return the decimals that show seven figures of the largest of these values, 0 to 20."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    if largest == 0.0:
        return 0
    return min(20, max(0, _FIGURES - 1 - math.floor(math.log10(largest))))
