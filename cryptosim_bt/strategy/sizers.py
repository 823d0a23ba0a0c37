"""Sizers: from an amount of the base coin (R45) to contracts on the lot grid (R7)."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from cryptosim_bt.accounting.instrument import Instrument


class EntrySizer(bt.Sizer):
    """Size an entry to an amount of the base coin that a subclass decides.

    Params:

      - ``instrument``: the market's `Instrument`
    """

    params: Any = (("instrument", None),)

    def base_amount(self, price: float) -> float:
        """Return the base coin of an entry at a price."""
        raise NotImplementedError

    def _getsizing(
        self, comminfo: bt.CommInfoBase, cash: float, data: bt.feed.DataBase, isbuy: bool
    ) -> float:
        instrument: Instrument = self.p.instrument
        limit = instrument.on_tick(data.close[0], up=not isbuy)  # R8, R9
        return instrument.contracts_for(self.base_amount(limit), limit)

    def equity_in_base(self, price: float) -> float:
        """Return the account's equity in the base coin."""
        equity: float = self.broker.equity()
        return equity if self.p.instrument.kind == "inverse" else equity / price


class BaseAmountSizer(EntrySizer):
    """Size every entry to the same amount of the base coin.

    Params:

      - ``amount``: base coin per entry (0.01 = 0.01 BTC)
    """

    params: Any = (("amount", 0.01),)

    def base_amount(self, price: float) -> float:
        """Return the amount."""
        return float(self.p.amount)


class EquityShareSizer(EntrySizer):
    """Size an entry to a share of the equity: 0.02 = a position worth 2 % of the account.

    Params:

      - ``share``: fraction of the equity
    """

    params: Any = (("share", 0.02),)

    def base_amount(self, price: float) -> float:
        """Return the share of the equity in the base coin; 0 when nothing is left."""
        return max(0.0, self.equity_in_base(price) * self.p.share)


class VolatilitySizer(EntrySizer):
    """Size an entry so that an adverse move of some ATRs costs a share of the equity.

    ``amount = equity * risk_share * price / (atr_multiple * ATR)``, equity in the base coin.

    Params:

      - ``risk_share``: fraction of the equity that may be lost
      - ``atr_multiple``: the move, in ATRs
    """

    params: Any = (("risk_share", 0.005), ("atr_multiple", 2.0))

    def base_amount(self, price: float) -> float:
        """Return the amount at the strategy's present ATR; 0 while the market stands still."""
        move = self.p.atr_multiple * self.strategy.size_atr()
        if move <= 0.0:
            return 0.0
        return max(0.0, self.equity_in_base(price) * self.p.risk_share * price / move)
