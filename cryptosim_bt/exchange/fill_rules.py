"""How a bar fills an order: touch, slippage and volume (R14-R16, `FillRules`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cryptosim_bt.accounting import arithmetic
from cryptosim_bt.accounting.instrument import Instrument

EventOrder = Literal["rules", "path", "best", "worst"]


# A bar's values in the order of `Bar`: cheaper to make, for the many bars that change nothing.
BarValues = tuple[int, float, float, float, float, float, float, float, float, float]


class Bar(NamedTuple):
    """A bar as the exchange sees it: trades' prices, the mark's, volume in contracts."""

    time_ms: int
    open: float
    high: float
    low: float
    close: float
    mark_open: float
    mark_high: float
    mark_low: float
    mark_close: float
    volume: float = math.inf


@dataclass(frozen=True, slots=True)
class FillRules:
    """How bars fill orders (``backtest.fill``).

    Attributes
    ----------
    price_improvement
        Whether an order of a signal fills at the open of its first bar when that is better (R15).
    through
        Whether a limit needs the price a tick beyond it (R14).
    slippage
        Fraction of price that a stop or market order loses.
    slippage_range
        Share of the bar's high-low range that it loses as well (R47).
    max_volume_share
        Largest share of a bar's volume that one order may take; None = whole fills (R34).
    latency_ms
        Time from placing an order until it can fill (R41).
    event_order
        ``"rules"`` is R13; ``"best"`` and ``"worst"`` bound the result of ambiguous bars,
        ``"path"`` assumes a path through the bar (R42).
    """

    price_improvement: bool = True
    through: bool = False
    slippage: float = 0.0
    slippage_range: float = 0.0
    max_volume_share: float | None = None
    latency_ms: int = 0
    event_order: EventOrder = "rules"


class Matcher:
    """The rules applied to one instrument."""

    def __init__(self, instrument: Instrument, rules: FillRules) -> None:
        self.instrument = instrument
        self.rules = rules

    def edge(self, limit: float, *, is_buy: bool) -> float:
        """Return where price meets a limit: at it, or with `through` a tick beyond (R13)."""
        return arithmetic.limit_edge(is_buy, limit, self.rules.through, self.instrument.tick)

    def touches(self, price: float, limit: float, *, is_buy: bool) -> bool:
        """Tell whether a price is at or beyond a limit, as far as it fills it (R14)."""
        through, tick = self.rules.through, self.instrument.tick
        return arithmetic.touched(is_buy, limit, price, price, through, tick)

    def reaches(self, limit: float, bar: Bar, *, is_buy: bool) -> bool:
        """Tell whether a bar fills a limit (R14)."""
        return self.touches(bar.low if is_buy else bar.high, limit, is_buy=is_buy)

    def slipped(self, price: float, bar: Bar, *, is_buy: bool) -> float:
        """Return a market price moved against the trader and to the tick against him (R16)."""
        rules, tick = self.rules, self.instrument.tick
        return arithmetic.slipped(
            is_buy, price, bar.low, bar.high, rules.slippage, rules.slippage_range, tick
        )

    def quantity(self, contracts: float, bar: Bar) -> float:
        """Return how many of an order's contracts a bar can fill (R34)."""
        share = self.rules.max_volume_share
        if share is None:
            return contracts
        lot = self.instrument.lot
        return min(contracts, arithmetic.available_volume(bar.volume, share, lot))
