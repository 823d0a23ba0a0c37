"""Fees and margin of plain orders, and checks that the cash covers them.

With a futures scheme (`FuturesCommission`, or a backtrader scheme with ``margin``) the money for
new contracts is the available balance (R20), and a long needs as much as a short. With a
stock-like backtrader scheme shares are bought for cash and a short sale brings cash in; then cash
is computed as in stock BackBroker.
"""

from __future__ import annotations

import math

import backtrader as bt

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.contracts import Side, sign
from cryptosim_bt.accounting.orders import Liquidity
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.exchange.posting import MARGIN_TOLERANCE
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange


class OrderMargin:
    """Fees, margin and cash of one account under its commission scheme.

    Parameters
    ----------
    account
        What is held.
    exchange
        Gives the available balance.
    comminfo
        The data's scheme.
    """

    def __init__(
        self, account: Account, exchange: SimulatedExchange, comminfo: bt.CommInfoBase
    ) -> None:
        self._account = account
        self._exchange = exchange
        self._comminfo = comminfo
        self._ours = isinstance(comminfo, FuturesCommission)
        self._stocklike = not self._ours and comminfo.stocklike
        # To check the orders sent since the last bar: cash and net sizes as if all had filled,
        # and both before the first order of each OCO group.
        self._cash = 0.0
        self._sizes: dict[Side | None, float] = {}
        self._before: dict[int, tuple[float, dict[Side | None, float]]] = {}

    # ------------------------------------------------------------------ FillMoney
    def fee(self, size: float, price: float, liquidity: Liquidity) -> float:
        """Return the cost of a fill; a backtrader scheme is asked with the signed size."""
        if self._ours:
            return self._account.scheme.fee(abs(size), price, liquidity)
        return float(self._comminfo.confirmexec(size, price))

    def opening_cost(self, size: float, price: float) -> float:
        """Return the cash that opening a signed size needs; negative for a stock-like short."""
        if not self._stocklike:
            return self._account.scheme.initial_margin(abs(size), price)
        value = float(self._comminfo.getvaluesize(size, price))
        return value / self._comminfo.get_leverage() if value > 0.0 else value

    def cash(self, price: float) -> float:
        """Return the cash that new contracts may use at a price."""
        if not self._stocklike:
            return self._exchange.available_balance(price)
        return self._account.equity(price) - self.value(price, levered=False)

    def value(self, price: float, *, levered: bool = True) -> float:
        """Return the value of what is held, as backtrader's ``getvalue([data])`` has it.

        Signed by the side for `FuturesCommission`, so that ``order_target_value`` works for
        shorts; what the scheme's ``getvaluesize`` says for any other.
        """
        total = 0.0
        for side, leg in self._account.legs.items():
            if not leg.contracts:
                continue
            size = sign(side) * leg.contracts
            if self._ours:
                total += sign(side) * self._account.scheme.initial_margin(leg.contracts, price)
                continue
            value = float(self._comminfo.getvaluesize(size, price))
            if not levered and value > 0.0:
                # A levered long ties up its entry's share, and its profit.
                profit = self._account.scheme.pnl(side, leg.contracts, leg.average, price)
                value = (value - profit) / self._comminfo.get_leverage() + profit
            total += value
        return total

    # ------------------------------------------------------------------ before accepting
    def begin_check(self, price: float) -> None:
        """Start with the cash and sizes at the last close."""
        legs = self._account.legs
        self._cash = self.cash(price)
        self._sizes = {
            "long": legs["long"].contracts,
            "short": -legs["short"].contracts,
            None: legs["long"].contracts - legs["short"].contracts,
        }
        self._before = {}

    def check(self, order: bt.Order, size: float, leader: int, cut: float = 0.0) -> bool:
        """Tell whether there is money for an order if all before it fill, at their own prices.

        ``size`` are its contracts, signed; up to a share ``cut`` of them may be cut off for that.
        ``leader`` names the first order of its OCO group: of those only one fills, so the others
        are checked as if it had not been sent.
        """
        cash, sizes = self._before.get(leader, (self._cash, self._sizes))
        self._before.setdefault(leader, (cash, dict(sizes)))
        left, held, opened = self._pretend(order, size, cash, sizes[order.info.side])
        lacks = left < -MARGIN_TOLERANCE * abs(cash)
        if lacks and cut:
            price = order.created.price
            spent = self.opening_cost(opened, price) + self._quoted_fee(opened, price)
            lacks, left = left < -cut * abs(spent), max(left, 0.0)
        if opened and lacks:
            return False  # what only closes is never refused
        if leader == order.ref:
            self._cash = left
            self._sizes[order.info.side] = held
        return True

    def _pretend(
        self, order: bt.Order, size: float, cash: float, held: float
    ) -> tuple[float, float, float]:
        """Return the cash and the size an order would leave behind at its price; what it opens."""
        price, side = order.created.price, order.info.side
        may_close = held * size < 0.0
        closed = math.copysign(min(abs(held), abs(size)), size) if may_close else 0.0
        opens = side is None or order.isbuy() == (side == "long")
        opened = size - closed if opens and not order.info.reduce_only else 0.0
        if closed:
            cash += self._released(-closed, price)
            cash -= self._quoted_fee(closed, price)
        if opened:
            cash -= self.opening_cost(opened, price) + self._quoted_fee(opened, price)
        return cash, held + closed + opened, opened

    def _released(self, size: float, price: float) -> float:
        """Return what closing a signed position brings: its margin, and its profit if isolated."""
        leg = self._account.legs["long" if size > 0.0 else "short"]
        held = min(abs(size), leg.contracts)
        if not self._account.isolated or not held:
            return self.opening_cost(size, price)
        margin = leg.margin * held / leg.contracts
        profit = self._account.scheme.pnl(leg.side, held, leg.average, price)
        rest = abs(size) - held  # of orders before that have not filled yet
        return margin + profit + self._account.scheme.initial_margin(rest, price)

    def _quoted_fee(self, size: float, price: float) -> float:
        if self._ours:
            return self._account.scheme.fee(abs(size), price, Liquidity.TAKER)
        return float(self._comminfo.getcommission(size, price))
