"""Sizers: from an amount of the base coin to contracts on the lot grid (R7)."""

from __future__ import annotations

import backtrader as bt

from cryptosim_bt.contracts import Side
from cryptosim_bt.instrument import Instrument


def entry_limit(instrument: Instrument, side: Side, close: float) -> float:
    """Return an entry's limit: the close, rounded away from the market (R8, R9)."""
    return instrument.price_down(close) if side == "long" else instrument.price_up(close)


class BaseAmountSizer(bt.Sizer):
    """Size every entry to the same amount of the base coin.

    Params:

      - ``instrument``: the market's `Instrument`
      - ``base_amount``: base coin per entry (0.01 = 0.01 BTC)
    """

    params = (("instrument", None), ("base_amount", 0.01))

    def _getsizing(
        self, comminfo: bt.CommInfoBase, cash: float, data: bt.feed.DataBase, isbuy: bool
    ) -> float:
        instrument: Instrument = self.p.instrument
        limit = entry_limit(instrument, "long" if isbuy else "short", data.close[0])
        return instrument.contracts_for(self.p.base_amount, limit)
