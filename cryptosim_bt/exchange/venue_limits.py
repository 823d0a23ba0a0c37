"""The limits that a venue puts on orders; a violation is a rejected order with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VenueRules:
    """What the venue refuses; None = no such limit.

    Attributes
    ----------
    max_contracts
        Largest order. The smallest is the instrument's, kept before an order is sent.
    max_open_orders
        Working orders at once.
    price_band
        Largest distance of a limit from the mark price, a fraction of it.
    """

    max_contracts: float | None = None
    max_open_orders: int | None = None
    price_band: float | None = None

    def refusal(
        self, contracts: float, price: float, mark: float, open_orders: int, *, is_stop: bool
    ) -> str | None:
        """Return why the venue rejects an order, None if it takes it.

        ``mark`` is the close, of the mark where there is one, of the bar in which it is sent.
        """
        if self.max_contracts is not None and contracts > self.max_contracts:
            return f"size {contracts:g} is above the maximum, {self.max_contracts:g} contracts"
        if self.max_open_orders is not None and open_orders >= self.max_open_orders:
            return f"there are {open_orders} open orders, the venue's maximum"
        if self.price_band is not None and not is_stop:
            low, high = mark * (1.0 - self.price_band), mark * (1.0 + self.price_band)
            if not low <= price <= high:
                return f"price {price:g} is outside the band {low:.10g} to {high:.10g}"
        return None
