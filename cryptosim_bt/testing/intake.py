"""What the exchange for tests takes as an order, and the codes it refuses one with."""

from __future__ import annotations

import re
from itertools import count
from typing import Any, cast

from cryptosim_bt.accounting.arithmetic import floor_to_step, sum_floats
from cryptosim_bt.testing.ledger import Ledger
from cryptosim_bt.testing.market import Market
from cryptosim_bt.testing.orders import MarginMode, Order, PosSide, Refused

_CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_TAG = re.compile(r"[A-Za-z0-9]{0,16}")
ORDER_TYPES = ("market", "limit", "post_only", "ioc", "fok", "optimal_limit_ioc")
_MARKET_TYPES = ("market", "optimal_limit_ioc")
_SAME = 1e-9


class Intake:
    """Checks of orders.

    Parameters
    ----------
    markets
        By instrument id.
    ledger
        Of the account.
    price_band
        Farthest that a buy may be above, a sell below the mark: a fraction of it.
    """

    def __init__(
        self, markets: dict[str, Market], ledger: Ledger, price_band: float
    ) -> None:
        self._markets = markets
        self._ledger = ledger
        self._working: list[Order] = []
        self._band = price_band
        self._ids = count(600000000000000001)

    def new_id(self) -> str:
        """Return the ordId of another order."""
        return str(next(self._ids))

    def market(self, inst_id: object) -> Market:
        """Return a market; 51001 where there is none."""
        found = self._markets.get(str(inst_id))
        if found is None:
            raise Refused("51001", "Instrument ID does not exist.")
        return found

    def order(self, args: dict[str, Any], now_ms: int) -> Order:
        """Return the order that was asked for, checked, with ids of its own."""
        market = self.market(args.get("instId"))
        mode, side = args.get("tdMode"), args.get("side")
        kind, client_id = args.get("ordType"), str(args.get("clOrdId") or "")
        _require(mode in ("cross", "isolated"), "tdMode")
        _require(side in ("buy", "sell"), "side")
        _require(kind in ORDER_TYPES, "ordType")
        _require(not client_id or bool(_CLIENT_ID.fullmatch(client_id)), "clOrdId")
        tag = str(args.get("tag") or "")
        _require(bool(_TAG.fullmatch(tag)), "tag")
        pos_side, mode = self._pos_side(args), cast(MarginMode, mode)
        if client_id and any(each.cl_ord_id == client_id for each in self.pending()):
            raise Refused("51016", "Client order ID already exists.")
        contracts = number(args.get("sz"), "sz")
        price = None if kind in _MARKET_TYPES else number(args.get("px"), "px")
        reduce_only = str(args.get("reduceOnly", "")).lower() == "true" and pos_side == "net"
        made = Order(
            market, self.new_id(), client_id, side == "buy", pos_side, str(kind),
            contracts, price, mode, reduce_only,
            self._ledger.leverage(market, mode, pos_side), now_ms, now_ms, tag,
        )  # fmt: skip
        self.check(made, now_ms)
        return made

    def queue(self, order: Order) -> None:
        """Put a taken or amended order at the end of the queue."""
        self._working = [each for each in self.pending() if each is not order]
        self._working.append(order)

    def pending(self) -> list[Order]:
        """Return the orders that work, in the order of the queue."""
        if not all(each.pending for each in self._working):
            self._working = [each for each in self._working if each.pending]
        return list(self._working)

    def _pos_side(self, args: dict[str, Any]) -> PosSide:
        given = args.get("posSide") or "net"
        allowed = ("long", "short") if self._ledger.hedged else ("net",)
        _require(given in allowed, "posSide")
        return cast(PosSide, given)

    def check(self, order: Order, now_ms: int) -> None:
        """Check size, price, position and margin of a new or amended order."""
        self._check_size(order)
        self._check_price(order, now_ms)
        if order.opens:
            self._check_margin(order, now_ms)
        else:
            self._check_close(order)

    def _check_size(self, order: Order) -> None:
        instrument = order.market.instrument
        if order.contracts < instrument.min_contracts * (1.0 - _SAME):
            raise Refused("51020", "Your order should meet or exceed the minimum order amount.")
        if not _on_step(order.contracts, instrument.lot):
            raise Refused("51121", "Order quantity must be a multiple of the lot size.")
        most = MOST_CONTRACTS_MARKET if order.price is None else MOST_CONTRACTS
        if order.contracts > most:
            raise Refused("51202", "Market order amount exceeds the maximum amount.")

    def _check_price(self, order: Order, now_ms: int) -> None:
        if order.price is None:
            return
        _require(_on_step(order.price, order.market.instrument.tick), "px")
        low, high = self.band(order.market, now_ms)
        if order.is_buy and order.price > high:
            raise Refused("51137", "The highest price limit for buy orders is exceeded.")
        if not order.is_buy and order.price < low:
            raise Refused("51138", "The lowest price limit for sell orders is exceeded.")

    def band(self, market: Market, now_ms: int) -> tuple[float, float]:
        """Return the lowest price of a sell and the highest of a buy, on the tick."""
        mark, instrument = market.mark_price(now_ms), market.instrument
        low, high = mark * (1.0 - self._band), mark * (1.0 + self._band)
        return instrument.price_up(low), instrument.price_down(high)

    def _check_close(self, order: Order) -> None:
        """Refuse what closes more than is left behind the closing orders ahead of it."""
        held = self._ledger.held(order.market, order.mode, order.pos_side)
        if held is None or (order.pos_side == "net" and held.side == order.side):
            raise Refused(
                "51169", "Order failed because you don't have any positions in this direction."
            )
        ahead = sum_floats(each.left for each in self.closing(order) if _ahead(each, order))
        if order.left > (held.contracts - ahead) * (1.0 + _SAME) + _SAME * held.contracts:
            raise Refused("51112", "Close order size exceeds the available size.")

    def closing(self, like: Order, *, itself: bool = False) -> list[Order]:
        """Return the (other) working orders that close the same position, best price first."""
        found = [
            each for each in self.pending()
            if (itself or each is not like) and not each.opens and each.market is like.market
            and each.pos_side == like.pos_side and each.mode == like.mode
            and each.is_buy == like.is_buy
        ]  # fmt: skip
        return sorted(found, key=lambda each: -_eagerness(each))

    def _check_margin(self, order: Order, now_ms: int) -> None:
        """Refuse what opens more than the account has margin and fee for."""
        held = self._ledger.held(order.market, order.mode, order.pos_side)
        contracts = order.left
        if order.pos_side == "net" and held is not None and held.side != order.side:
            contracts = max(0.0, contracts - held.contracts)
        contract, price = order.market.contract, order.market.price(now_ms)
        price = price if order.price is None else order.price
        others = [each for each in self.pending() if each is not order]
        figures = self._ledger.figures(order.market.currency, others, now_ms)
        taker = order.market.instrument.taker or 0.0
        needed = contract.initial_margin(contracts, price, order.leverage)
        needed += contract.fee(contracts, price, taker)
        if contracts and needed > figures["available"]:
            raise Refused("51008", f"Order failed. Insufficient {order.market.currency} margin in "
                          "account")  # fmt: skip


MOST_CONTRACTS = 100_000_000.0
MOST_CONTRACTS_MARKET = 30_000.0


def number(value: object, name: str) -> float:
    """Return a number above 0 of a request; 51000 where it is none."""
    try:
        found = float(str(value))
    except ValueError:
        found = 0.0
    _require(0.0 < found < float("inf"), name)
    return found


def _require(fits: bool, name: str) -> None:
    if not fits:
        raise Refused("51000", f"Parameter {name} error")


def _on_step(value: float, step: float) -> bool:
    return not step or abs(floor_to_step(value, step) - value) <= _SAME * value


def _eagerness(order: Order) -> float:
    """Return what grows with an order's priority by price."""
    if order.price is None:
        return float("inf")
    return order.price if order.is_buy else -order.price


def _ahead(other: Order, order: Order) -> bool:
    """Tell whether an order that is there already comes before another: price, then time."""
    return _eagerness(other) >= _eagerness(order)
