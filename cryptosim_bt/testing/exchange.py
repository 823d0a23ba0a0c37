"""The exchange for tests without its wires: time, prices, orders, money, what it does by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from cryptosim_bt.accounting.contracts import LiquidationRegion
from cryptosim_bt.exchange.fill_rules import FillRules
from cryptosim_bt.testing.faults import VENUE_FAULTS, Fault, Faults
from cryptosim_bt.testing.ledger import Ledger
from cryptosim_bt.testing.market import Market
from cryptosim_bt.testing.matching import BY_LIQUIDATION, Matching
from cryptosim_bt.testing.orders import Fill, Order, Position, PosSide, Refused

BY_TIMER = "20"
_EVENTS = {"full_liquidation": "liquidation", "adl": "adl"}
# What the streams are told: "order" (order, fill or None), "position" (position, OKX's word for the
# event), "account" (currency), "time" (start, end of a stretch that has passed), "kill" (None).
Listener = Callable[[str, Any], None]


class FakeExchange:
    """One account at one exchange, whose time is moved from outside.

    Parameters
    ----------
    markets
        What is traded.
    balances
        Wallet of each currency.
    start_ms
        Its time at first.
    hedged
        Whether the account begins in long/short mode.
    leverage
        Of instruments that none was set for.
    rules
        How limits fill, and what market orders lose.
    price_band
        Farthest that a buy may be above, a sell below the mark: a fraction of it.
    """

    def __init__(
        self,
        markets: Iterable[Market],
        balances: dict[str, float],
        start_ms: int,
        *,
        hedged: bool = True,
        leverage: float = 10.0,
        rules: FillRules | None = None,
        price_band: float = 0.05,
    ) -> None:
        self.markets = {each.inst_id: each for each in markets}
        self.now_ms = start_ms
        self.faults = Faults()
        self.listeners: list[Listener] = []
        # When every order is cancelled, if nobody takes it back (cancel-all-after).
        self.cancel_all_ms: int | None = None
        self.ledger = Ledger(balances, hedged, leverage)
        for market in self.markets.values():
            self.ledger.cash.setdefault(market.currency, 0.0)
        self.matching = Matching(
            self.markets, self.ledger, self.faults, rules or FillRules(), price_band, self._order
        )

    # ------------------------------------------------------------------ telling
    def tell(self, word: str, about: Any) -> None:
        """Tell the streams what happened."""
        for listener in self.listeners:
            listener(word, about)

    def _order(self, order: Order, fill: Fill | None) -> None:
        self.tell("order", (order, fill))
        if fill is not None:
            held = self.ledger.positions[order.market.inst_id, order.mode, order.pos_side]
            self.tell("position", (held, _EVENTS.get(order.category, "filled")))
        self.tell("account", order.market.currency)

    def market_of(self, symbol: str) -> Market:
        """Return the market of a unified symbol or an instrument id."""
        for market in self.markets.values():
            if symbol in (market.inst_id, market.instrument.symbol):
                return market
        raise KeyError(symbol)

    def figures(self, currency: str) -> dict[str, float]:
        """Return the account's figures in a currency; see `Ledger.figures`."""
        return self.ledger.figures(currency, self.matching.intake.pending(), self.now_ms)

    # ------------------------------------------------------------------ time
    def advance_to(self, until_ms: int) -> None:
        """Let time go on, with all that happens on the way; never back."""
        self._own_faults()
        while self.now_ms < until_ms:
            start, end = self.now_ms, self._next_turn(until_ms)
            for market in self.markets.values():
                self._cross(market, start, end)
            self.now_ms = end
            self.tell("time", (start, end))
            self._fund(start, end)
            self._own_faults()
            self._cancel_all()
        self._liquidate_at_rest()

    def _cancel_all(self) -> None:
        if self.cancel_all_ms is not None and self.now_ms >= self.cancel_all_ms:
            self.cancel_all_ms = None
            for order in self.matching.intake.pending():
                self.matching.end(order, BY_TIMER, self.now_ms)

    def _next_turn(self, until_ms: int) -> int:
        """Return the next time at which a price turns, funding is due or a fault happens."""
        turns = [until_ms]
        for market in self.markets.values():
            turns += [next(market.turns(self.now_ms, until_ms), until_ms)]
            turns += [each for each, _ in market.funding_between(self.now_ms, until_ms)][:1]
        due = (self.faults.next_time(self.now_ms), self.cancel_all_ms)
        return min([*turns, *(each for each in due if each is not None)])

    def _cross(self, market: Market, start: int, end: int) -> None:
        """Meet orders and liquidations between two times, between which prices go straight."""
        first, last = market.price(start), market.price(end)
        done: set[int] = set()
        while True:
            met: list[tuple[float, int, Order | Position]] = [
                (_way(first, last, self.matching.edge(order)), 1, order)
                for order in self.matching.intake.pending()
                if order.market is market and order.price is not None and id(order) not in done
                and self.matching.touches(order, _nearest(order, first, last))
            ]  # fmt: skip
            met += self._liquidations(market, start, end)
            if not met:
                return
            share, _, what = min(met, key=lambda each: each[:2])
            self.now_ms = max(self.now_ms, start + math.ceil(share * (end - start)))
            if isinstance(what, Position):
                self.liquidate(what)
            else:
                done.add(id(what))
                self.matching.meet(what, self.now_ms)

    # ------------------------------------------------------------------ liquidation, ADL
    def _liquidations(
        self, market: Market, start: int, end: int
    ) -> list[tuple[float, int, Order | Position]]:
        first, last = market.mark_price(start), market.mark_price(end)
        found: list[tuple[float, int, Order | Position]] = []
        for held in self.ledger.open_positions():
            if held.market is market:
                region = self.ledger.liquidation(held, self.now_ms)
                if region.contains(first) or region.contains(last):
                    found.append((_way(first, last, _boundary(region, first, last)), 0, held))
        return found

    def _liquidate_at_rest(self) -> None:
        for held in self.ledger.open_positions():
            mark = held.market.mark_price(self.now_ms)
            if held.contracts and self.ledger.liquidation(held, self.now_ms).contains(mark):
                self.liquidate(held)

    def liquidate(self, position: Position, *, alone: bool = False) -> None:
        """Liquidate a position: in cross margin all that the wallet stands behind (R23)."""
        ledger, currency = self.ledger, position.market.currency
        alone = alone or position.mode == "isolated"
        together = [position] if alone else ledger.cross(currency)
        for order in list(self.matching.intake.pending()):
            if any(_of(order, each) for each in together) or not alone:
                self.matching.end(order, BY_LIQUIDATION, self.now_ms)
        # An isolated position's loss ends at its margin, which is not in the wallet (R30).
        floor = ledger.cash[currency] if position.mode == "isolated" else 0.0
        for held in together:
            contracts, mark = held.contracts, held.market.mark_price(self.now_ms)
            rate = held.market.instrument.liquidation_fee_rate
            self.force(held, contracts, mark, "full_liquidation", "5")
            fee = held.market.contract.fee(contracts, mark, rate)
            ledger.penalize(held, min(fee, max(0.0, ledger.cash[currency] - floor)), self.now_ms)
        ledger.forgive(position, floor, self.now_ms)
        self.tell("account", currency)

    def force(
        self, held: Position, contracts: float, price: float, category: str, kind: str
    ) -> Order:
        """Close contracts of a position by an order of the exchange's own."""
        order = Order(
            held.market, self.matching.intake.new_id(), "", held.side == "short", held.pos_side,
            "market", contracts, None, held.mode, held.pos_side == "net", held.leverage,
            self.now_ms, self.now_ms, category=category,
        )  # fmt: skip
        self.matching.orders.append(order)
        self.matching.fill(order, contracts, price, self.now_ms, maker=False, kind=kind)
        return order

    # ------------------------------------------------------------------ funding
    def _fund(self, start: int, end: int) -> None:
        for market in self.markets.values():
            for _, rate in market.funding_between(start, end):
                for held in self.ledger.open_positions():
                    if held.market is market:
                        self.ledger.fund(held, rate, market.mark_price(end), end)
                        self.tell("position", (held, "funding_fee"))
                        self.tell("account", market.currency)

    # ------------------------------------------------------------------ faults of its own
    def _own_faults(self) -> None:
        while fault := self.faults.take(*VENUE_FAULTS, now_ms=self.now_ms):
            self._happen(fault)

    def _happen(self, fault: Fault) -> None:
        details = dict(fault.details)
        if fault.kind in ("liquidation", "adl"):
            held = self._leg(details["symbol"], details["side"])
            if fault.kind == "liquidation":
                self.liquidate(held, alone=True)
            else:
                contracts = float(details.get("contracts", held.contracts))
                mark = held.market.mark_price(self.now_ms)
                self.force(held, contracts, float(details.get("price", mark)), "adl", "9")
        elif fault.kind == "foreign_order":
            self.matching.place(details, self.now_ms)
        elif fault.kind == "transfer":
            self.ledger.transfer(details["currency"], float(details["amount"]), self.now_ms)
            self.tell("account", details["currency"])
        elif fault.kind == "correct_candle":
            market = self.market_of(details.pop("symbol"))
            market.correct(details.pop("time_ms"), **details)
        else:
            self.tell("kill", None)

    def _leg(self, symbol: str, side: PosSide) -> Position:
        market = self.market_of(symbol)
        for held in self.ledger.open_positions():
            if held.market is market and side in (held.pos_side, held.side):
                return held
        raise Refused("51023", "Position does not exist")


def _of(order: Order, held: Position) -> bool:
    return (order.market, order.mode, order.pos_side) == (held.market, held.mode, held.pos_side)


def _nearest(order: Order, first: float, last: float) -> float:
    """Return the price of a stretch that is the best for an order's limit to be met."""
    return min(first, last) if order.is_buy else max(first, last)


def _way(first: float, last: float, price: float) -> float:
    """Return what share of a stretch is gone when it reaches a price."""
    if first == last:
        return 0.0
    return min(1.0, max(0.0, (price - first) / (last - first)))


def _boundary(region: LiquidationRegion, first: float, last: float) -> float:
    if region.contains(first):
        return first
    return region.lower if last < first else region.upper
