"""The matching engine of the exchange for tests: orders placed, amended, cancelled, filled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from cryptosim_bt.accounting.arithmetic import average_of_two, floor_to_step
from cryptosim_bt.exchange.fill_rules import Bar, FillRules, Matcher
from cryptosim_bt.testing.faults import Fault, Faults
from cryptosim_bt.testing.intake import Intake, number
from cryptosim_bt.testing.ledger import Ledger
from cryptosim_bt.testing.market import Market
from cryptosim_bt.testing.orders import (
    CANCELED,
    FILLED,
    PARTLY,
    Fill,
    Order,
    Refused,
)

BY_USER, BY_LIQUIDATION, FOK_CANCEL, IOC_CANCEL = "1", "3", "13", "14"
EXCESS_CLOSE, POST_ONLY_CANCEL = "23", "31"

# What happened to an order: the order, and its fill if it was one.
Told = Callable[[Order, Fill | None], None]


class Matching:
    """Orders and their fills at the prices that the market has.

    Parameters
    ----------
    markets, ledger, faults
        Of the exchange.
    rules
        How limits fill, and what market orders lose (`through`, `slippage`).
    price_band
        See `Intake`.
    told
        Called after each change of an order.
    """

    def __init__(
        self,
        markets: dict[str, Market],
        ledger: Ledger,
        faults: Faults,
        rules: FillRules,
        price_band: float,
        told: Told,
    ) -> None:
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.intake = Intake(markets, ledger, price_band)
        self._matchers = {
            name: Matcher(market.instrument, rules) for name, market in markets.items()
        }
        self._ledger = ledger
        self._faults = faults
        self._told = told
        self._trade_ids = count(700000001)

    # ------------------------------------------------------------------ commands
    def place(self, args: dict[str, Any], now_ms: int) -> Order:
        """Take an order and fill what fills at once; raise `Refused` with OKX's code."""
        text = f"place {args.get('clOrdId')} {args.get('side')} {args.get('posSide')}"
        self._refuse(text, now_ms)
        order = self.intake.order(args, now_ms)
        self.orders.append(order)
        self.intake.queue(order)
        self._told(order, None)
        self._try_at_once(order, now_ms)
        return order

    def _refuse(self, text: str, now_ms: int) -> None:
        fault = self._faults.take("refuse", text=text, now_ms=now_ms)
        if fault is not None:
            raise Refused(str(fault.details["code"]), str(fault.details.get("message", "Refused")))

    def find(self, args: dict[str, Any]) -> Order | None:
        """Return an order by ordId, which wins, or the latest one of a clOrdId."""
        key, name = ("ordId", "ord_id") if args.get("ordId") else ("clOrdId", "cl_ord_id")
        wanted = str(args.get(key) or "")
        for order in reversed(self.orders):
            named = getattr(order, name) == wanted and order.market.inst_id == args.get("instId")
            if wanted and named:
                return order
        return None

    def cancel(self, args: dict[str, Any], now_ms: int) -> Order:
        """Cancel a working order."""
        self.intake.market(args.get("instId"))
        order = self.find(args)
        missing = "Cancellation failed as the order has been filled, canceled or does not exist."
        if order is None or not order.pending:
            raise Refused("51400", missing)
        self._refuse(f"cancel {_named(order)}", now_ms)
        fault = self._faults.take("fill_in_cancel", text=_named(order), now_ms=now_ms)
        if fault is not None:
            self._fill_first(order, fault, now_ms)
            if fault.details.get("refuse") and not order.pending:
                raise Refused("51400", missing)
        if order.pending:
            self.end(order, BY_USER, now_ms)
        return order

    def amend(self, args: dict[str, Any], now_ms: int) -> Order:
        """Change size or price of a working order, where the changed one would be taken."""
        self.intake.market(args.get("instId"))
        order = self.find(args)
        missing = "Modification failed as the order has been filled, canceled or does not exist."
        if order is None or not order.pending:
            raise Refused("51503", missing)
        self._refuse(f"amend {_named(order)}", now_ms)
        fault = self._faults.take("fill_in_amend", text=_named(order), now_ms=now_ms)
        if fault is not None:
            self._fill_first(order, fault, now_ms)
            if not order.pending:
                raise Refused("51503", missing)
        self._change(order, args, now_ms)
        if order.left <= 0.0:
            order.state = FILLED
        self._told(order, None)
        order.amendment = {}
        if order.pending:
            self._try_at_once(order, now_ms)
        return order

    def _change(self, order: Order, args: dict[str, Any], now_ms: int) -> None:
        before = order.contracts, order.price
        if args.get("newSz"):
            order.contracts = number(args["newSz"], "newSz")
        if args.get("newPx"):
            order.price = number(args["newPx"], "newPx")
        try:
            if order.contracts < order.filled:
                raise Refused("51000", "Parameter newSz error")
            self.intake.check(order, now_ms)
        except Refused:
            order.contracts, order.price = before
            raise
        order.amendment = {"reqId": str(args.get("reqId") or ""), "amendResult": "0",
                           "amendSource": "1"}  # fmt: skip
        order.updated_ms = now_ms
        if order.price != before[1] or order.contracts > before[0]:
            # It loses its place in the queue.
            self.intake.queue(order)

    def end(self, order: Order, source: str, now_ms: int) -> None:
        """Cancel a working order; the source is OKX's number for why."""
        order.state, order.cancel_source, order.updated_ms = CANCELED, source, now_ms
        self._told(order, None)

    def _fill_first(self, order: Order, fault: Fault, now_ms: int) -> None:
        contracts = self._part(order, float(fault.details.get("share", 1.0)))
        price = order.market.price(now_ms) if order.price is None else order.price
        self.fill(order, contracts, price, now_ms, maker=True)

    # ------------------------------------------------------------------ fills
    def touches(self, order: Order, price: float) -> bool:
        """Tell whether a price fills a limit."""
        matcher = self._matchers[order.market.inst_id]
        limit = price if order.price is None else order.price
        return matcher.touches(price, limit, is_buy=order.is_buy)

    def edge(self, order: Order) -> float:
        """Return the price at which the market meets a limit order."""
        limit = order.price if order.price is not None else 0.0
        return self._matchers[order.market.inst_id].edge(limit, is_buy=order.is_buy)

    def _try_at_once(self, order: Order, now_ms: int) -> None:
        last = order.market.price(now_ms)
        limit = last if order.price is None else order.price
        marketable = last <= limit if order.is_buy else last >= limit
        if order.price is None:
            bar = Bar(now_ms, *(last,) * 8)
            slipped = self._matchers[order.market.inst_id].slipped(last, bar, is_buy=order.is_buy)
            while order.pending:
                self._fill_some(order, slipped, now_ms, maker=False)
        elif order.ord_type == "post_only":
            if marketable:
                self.end(order, POST_ONLY_CANCEL, now_ms)
        elif marketable:
            self._fill_some(order, last, now_ms, maker=False)
        if order.pending and order.ord_type in ("ioc", "fok"):
            self.end(order, IOC_CANCEL if order.ord_type == "ioc" else FOK_CANCEL, now_ms)

    def meet(self, order: Order, now_ms: int) -> None:
        """Fill a resting limit that the market has met, as maker at its price."""
        if order.price is not None:
            self._fill_some(order, order.price, now_ms, maker=True)

    def _fill_some(self, order: Order, price: float, now_ms: int, *, maker: bool) -> None:
        fault = self._faults.take("partial_fill", text=_named(order), now_ms=now_ms)
        share = 1.0 if fault is None else float(fault.details.get("share", 0.5))
        self.fill(order, self._part(order, share), price, now_ms, maker=maker)

    def _part(self, order: Order, share: float) -> float:
        lot = order.market.instrument.lot
        return max(lot, floor_to_step(order.left * share, lot)) if share < 1.0 else order.left

    def fill(
        self,
        order: Order,
        contracts: float,
        price: float,
        now_ms: int,
        *,
        maker: bool,
        kind: str = "2",
    ) -> Fill:
        """Fill contracts of an order: wallet, position, bill, push; cancel what it leaves over."""
        fill = Fill(
            order, str(next(self._trade_ids)), "", now_ms, contracts, price, 0.0, 0.0, maker, now_ms
        )
        late = self._faults.take("late_fill", text=_named(order), now_ms=now_ms)
        if late is not None:
            fill.shown_ms = now_ms + int(float(late.details.get("seconds", 2.0)) * 1000)
        self._ledger.post(order, fill, kind)
        formula = order.market.contract.formula
        order.average = (
            average_of_two(formula, order.filled, order.average, contracts, price)
            if order.filled else price
        )  # fmt: skip
        order.filled = floor_to_step(order.filled + contracts, order.market.instrument.lot)
        order.fee += fill.fee
        order.pnl += fill.pnl
        order.updated_ms = now_ms
        order.state = FILLED if order.left <= 1e-9 * contracts else PARTLY
        order.fills.append(fill)
        self.fills.append(fill)
        self._told(order, fill)
        self.cancel_excess(order, now_ms)
        return fill

    def cancel_excess(self, like: Order, now_ms: int) -> None:
        """Cancel the closing orders that a smaller position no longer needs, worst price first."""
        if like.opens and like.pos_side != "net":
            return
        held = self._ledger.held(like.market, like.mode, like.pos_side)
        net_other = held is not None and like.pos_side == "net" and held.side == like.side
        left = 0.0 if held is None or net_other else held.contracts
        for order in self.intake.closing(like, itself=True):
            if order.left > left * (1.0 + 1e-9):
                self.end(order, EXCESS_CLOSE, now_ms)
            else:
                left -= order.left


def _named(order: Order) -> str:
    """Return what a fault's ``when`` is looked for in."""
    side = "buy" if order.is_buy else "sell"
    return f"{order.cl_ord_id} {order.ord_id} {order.market.inst_id} {side} {order.pos_side}"
