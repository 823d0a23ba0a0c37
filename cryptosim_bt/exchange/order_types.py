"""The types of orders; `order_try.py` tests them against bars."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OrderType(StrEnum):
    """How an order wants to be filled."""

    MARKET = "market"
    CLOSE = "close"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    TRAILING_STOP_LIMIT = "trailing_stop_limit"


TRAILING = frozenset({OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT})
WITH_TRIGGER = TRAILING | {OrderType.STOP, OrderType.STOP_LIMIT}
WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT})
# Once triggered they take at any price.
STOPS = frozenset({OrderType.STOP, OrderType.TRAILING_STOP})


@dataclass(frozen=True, slots=True)
class Trail:
    """How a trailing stop follows the closes.

    Parameters
    ----------
    amount, fraction
        Distance of the trigger from the close: in quote currency, or as a fraction of the close.
        The amount counts where both are given.
    limit_offset
        Trigger minus limit of a trailing stop limit; the limit keeps this distance.
    """

    amount: float = 0.0
    fraction: float = 0.0
    limit_offset: float = 0.0

    def follows_beyond(self, trigger: float, *, is_buy: bool) -> float:
        """Return the close beyond which a trigger is moved, with a margin for rounding error.

        Towards the market only: by closes below it for a buy, above it for a sell.
        """
        if self.amount:
            close = trigger - self.amount if is_buy else trigger + self.amount
        else:
            close = trigger / (1.0 + self.fraction if is_buy else 1.0 - self.fraction)
        # Wider than the grid's tolerance (R8): to check a bar needlessly is harmless.
        dust = 1e-8 * (abs(trigger) + abs(close)) + 1e-9
        return close + dust if is_buy else close - dust
