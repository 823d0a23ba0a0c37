"""What a scenario is: a few bars made by hand, signals, and the fills that the rules give.

Prices are quote currency, one contract is one coin (linear) unless a scenario says otherwise, the
tick is 0.5, there are no fees, the take-profit lies 2 % away and there is no stop; see
`tests.helpers.PLAIN`. Bars are an hour long and begin on 2025-01-01 00:00 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Prices = tuple[float, float, float, float]


class Filled(NamedTuple):
    """An expected fill: bar (from 0), role, group, contracts, price, maker or taker."""

    bar: int
    role: str
    group: str
    contracts: float
    price: float
    liquidity: str = "maker"


@dataclass(frozen=True)
class Scenario:
    """Bars (open, high, low, close), a signal by bar, changed settings, and what must follow.

    ``totals`` are counts and sums of the run by the oracle's names; what is not named is not
    compared. ``times`` are the hours at which bars open, where they do not follow one another.
    """

    name: str
    bars: Sequence[Prices]
    signals: Mapping[int, int]
    fills: Sequence[Filled]
    rules: Mapping[str, Any] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)
    times: Sequence[int] | None = None


QUIET = (100.0, 100.0, 100.0, 100.0)
# Far from every order of the scenarios, and no loss either way.
STOP_5 = {"use_sl": True, "stop_loss_pct": 0.05}
FAR_TP = {"take_profit_pct": 0.5}
