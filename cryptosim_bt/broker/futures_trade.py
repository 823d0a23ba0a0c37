"""backtrader's Trade with the contract's own average price."""

from __future__ import annotations

import backtrader as bt

from cryptosim_bt.broker.commission import scheme_of


class FuturesTrade(bt.Trade):
    """A Trade whose average is the contract's: harmonic for inverse contracts.

    backtrader averages arithmetically, which makes the PnL of several inverse entries wrong.
    """

    price: float

    def update(
        self,
        order: bt.Order,
        size: float,
        price: float,
        value: float,
        commission: float,
        pnl: float,
        comminfo: bt.CommInfoBase,
    ) -> None:
        """Take an execution in; see ``bt.Trade.update``."""
        held: float = self.size
        average: float = self.price
        super().update(order, size, price, value, commission, pnl, comminfo)
        if held and abs(self.size) > abs(held):
            parts = [(abs(held), average), (abs(size), price)]
            self.price = scheme_of(comminfo).average_entry(parts)
