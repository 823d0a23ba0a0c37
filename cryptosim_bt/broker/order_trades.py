"""Books fills of plain orders on backtrader's orders and Trades.

backtrader forms a Trade from the executions of orders by tradeid. A liquidation has no order, so
this module counts what each tradeid holds and makes the order that closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Protocol

import backtrader as bt

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.contracts import Side, sign
from cryptosim_bt.accounting.orders import Execution, Role
from cryptosim_bt.broker.backtrader_time import day_number, epoch_ms
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.broker.futures_trade import FuturesTrade
from cryptosim_bt.broker.size_unit import SizeUnit
from cryptosim_bt.exchange.order_book import SIZE_TOLERANCE, Order

# Whose contracts: the leg (None in one-way mode) and the tradeid.
_Holding = tuple[Side | None, Any]


class NotifyingBroker(Protocol):
    """What `OrderTrades` and `OrderDesk` need of a broker."""

    @property
    def account(self) -> Account:
        """What is held."""

    @property
    def traded_data(self) -> bt.feed.DataBase | None:
        """The data whose market it is."""

    def notify(self, order: bt.Order) -> None:
        """Queue an order as it stands for backtrader."""


class OrderTrades:
    """Executes backtrader's orders, for one broker and one run.

    Attributes
    ----------
    position
        The net position, as in stock BackBroker: one object for the whole run, so that a script
        may get it once and read it in every bar. Its size is an int as long as every order's
        was.

    Parameters
    ----------
    broker
        Its data and account are those of the run; it notifies.
    comminfo
        The data's commission scheme.
    unit
        What sizes count.
    """

    def __init__(
        self, broker: NotifyingBroker, comminfo: bt.CommInfoBase, unit: SizeUnit
    ) -> None:
        self._broker = broker
        self._unit = unit
        self._comminfo = comminfo
        self._averages = isinstance(comminfo, FuturesCommission)
        self.position = bt.Position()
        self._whole = True
        # Signed sizes, and the strategies that hold them.
        self._sizes: dict[_Holding, float] = {}
        self._owners: dict[_Holding, bt.Strategy] = {}

    def sides(self) -> list[Side | None]:
        """Return the legs in which something is held, None for the net position."""
        return [key[0] for key, size in self._sizes.items() if size]

    def execute(self, order: bt.Order, working: Order, executions: Sequence[Execution]) -> None:
        """Execute an order: what a fill closed, and what it opened."""
        direction = 1.0 if order.isbuy() else -1.0
        opened = closed = 0.0
        for execution in executions:
            if execution.role is Role.ENTRY:
                opened = direction * self._unit.size(execution.contracts)
            else:
                closed = direction * self._unit.size(execution.contracts)
        key = (order.info.side, order.tradeid)
        size = self._sizes.get(key, 0.0) + opened + closed
        self._sizes[key] = size if abs(size) > SIZE_TOLERANCE * abs(opened + closed) else 0.0
        self._owners[key] = order.owner
        if self._broker.account.flat:
            self._sizes.clear()
        if not working.alive:
            # Exactly what was left, without the rounding errors of the parts.
            opened, closed = _exact(order.executed.remsize, opened, closed)
        self._execute(order, executions, opened, closed, self._held(working))

    def _held(self, working: Order) -> tuple[float, float]:
        """Return the signed size that an order's holding has now, and its average entry."""
        for side, group in working.groups.items():
            held = self._broker.account.groups.get(group)
            if held is not None and working.side in (None, side):
                return sign(side) * self._unit.size(held.contracts), held.average
        return 0.0, 0.0

    def _execute(
        self,
        order: bt.Order,
        executions: Sequence[Execution],
        opened: float,
        closed: float,
        held: tuple[float, float],
    ) -> None:
        comminfo, bar = self._comminfo, order.data.datetime[0]
        first = executions[0]
        price = first.price
        closed_fee = opened_fee = entry = realized = 0.0
        for execution in executions:
            if execution.role is Role.ENTRY:
                opened_fee = execution.fee
            else:
                closed_fee, entry = execution.fee, execution.entry
                realized = execution.realized_pnl
        order.addinfo(liquidity=first.liquidity)
        time = bar if epoch_ms(bar) == first.time_ms else day_number(first.time_ms)
        self._whole &= isinstance(order.created.size, Integral)
        opened, closed, psize = map(self._as_asked, (opened, closed, held[0]))
        self.position.update(opened + closed, price, order.data.num2date(time))
        self.read_position()
        order.execute(
            time, opened + closed, price,
            closed, comminfo.getvaluesize(-closed, entry) if closed else 0.0, closed_fee,
            opened, comminfo.getvaluesize(opened, price) if opened else 0.0, opened_fee,
            comminfo.get_margin(price), realized, psize, held[1],
        )  # fmt: skip

    def _as_asked(self, size: float) -> float:
        return int(size) if self._whole and size == int(size) else size

    def read_position(self) -> None:
        """Let the position show what the account holds, at the contract's average."""
        legs = self._broker.account.legs
        long, short = legs["long"], legs["short"]
        size = self._as_asked(self._unit.size(long.contracts - short.contracts))
        self.position.fix(size, (long if size > 0 else short).average if size else 0.0)

    # ------------------------------------------------------------------ liquidation
    def close_by_exchange(self, side: Side, tradeid: Any, execution: Execution) -> None:
        """Close the Trades of a holding, ``tradeid`` None for the net position."""
        keys = [
            key for key, size in self._sizes.items()
            if size and (key[0] is None if tradeid is None else key == (side, tradeid))
        ]  # fmt: skip
        total = sum_floats(abs(self._sizes[key]) for key in keys)
        for key in keys:
            size = self._sizes.pop(key)
            self._close_trade(key, size, abs(size) / total, execution)

    def _close_trade(
        self, key: _Holding, size: float, share: float, execution: Execution
    ) -> None:
        broker = self._broker
        order = (bt.SellOrder if size > 0.0 else bt.BuyOrder)(
            owner=self._owners[key], data=broker.traded_data, size=abs(size),
            price=execution.price, exectype=bt.Order.Market, tradeid=key[1],
        )  # fmt: skip
        order.addinfo(side=key[0], role=execution.role, reason=str(execution.role))
        order.addcomminfo(self._comminfo)
        order.submit(broker)
        order.accept(broker)
        contracts = self._unit.contracts(size)
        part = replace(
            execution,
            contracts=abs(contracts),
            fee=execution.fee * share,
            realized_pnl=(
                execution.realized_pnl * contracts * sign(execution.side) / execution.contracts
            ),
            entry=execution.price,
        )
        self._execute(order, (part,), 0.0, -size, (0.0, 0.0))
        broker.notify(order)

    # ------------------------------------------------------------------ trades
    def before_delivery(self, order: bt.Order) -> None:
        """Let the Trade that an order's fill adds to average as the contract does.

        backtrader makes its own Trade, whose first entry is right; further ones it would average
        arithmetically, which is wrong for inverse contracts.
        """
        if not self._averages or order.info.get("number") is not None:
            return
        trades = order.owner._trades[order.data][order.tradeid]
        if trades and type(trades[-1]) is bt.Trade:
            trades[-1].__class__ = FuturesTrade


def _exact(left: float, opened: float, closed: float) -> tuple[float, float]:
    """Return the opened and closed parts so that they add up to ``left`` exactly."""
    if not opened:
        return 0.0, left
    return (left, 0.0) if not closed else (left - closed, closed)
