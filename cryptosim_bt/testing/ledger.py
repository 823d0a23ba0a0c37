"""The account at the exchange for tests: cash, positions, leverage, bills.

Every figure comes from `cryptosim_bt.accounting`. Fees, funding and PnL go to the wallet; an
isolated position's margin is taken out of it (OKX: `cashBal` is without it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from cryptosim_bt.accounting.arithmetic import on_grid, sum_floats
from cryptosim_bt.accounting.contracts import LiquidationRegion, Side, weighted_average
from cryptosim_bt.accounting.maintenance_tiers import (
    MaintenanceTiers,
    built_in_tiers,
    liquidation_region,
    read_tiers,
)
from cryptosim_bt.testing.market import Market
from cryptosim_bt.testing.orders import Fill, MarginMode, Order, Position, PosSide

_DUST = 1e-9


@dataclass(slots=True)
class Bill:
    """A change of the wallet; ``change`` = pnl - fee, + = in."""

    bill_id: str
    time_ms: int
    currency: str
    kind: str
    sub_kind: str
    change: float
    balance: float
    position: Position | None = None
    fill: Fill | None = None
    contracts: float = 0.0
    price: float = 0.0
    pnl: float = 0.0
    fee: float = 0.0


class Ledger:
    """The money of one account.

    Parameters
    ----------
    cash
        Wallet of each currency.
    hedged
        Whether it begins in long/short mode.
    leverage
        Of every instrument that none was set for.
    """

    def __init__(self, cash: dict[str, float], hedged: bool, leverage: float) -> None:
        self.cash = dict(cash)
        self.hedged = hedged
        self.positions: dict[tuple[str, MarginMode, PosSide], Position] = {}
        self.bills: list[Bill] = []
        self.default_leverage = leverage
        self.leverages: dict[tuple[str, MarginMode, PosSide], float] = {}
        self._pos_ids = count(500000000000000001)
        self._bill_ids = count(810000000000000001)
        self._tiers: dict[str, MaintenanceTiers] = {}

    # ------------------------------------------------------------------ what there is
    def leverage(self, market: Market, mode: MarginMode, pos_side: PosSide) -> float:
        """Return the leverage set for an instrument: in cross margin one for both sides."""
        side: PosSide = pos_side if mode == "isolated" else "net"
        return self.leverages.get((market.inst_id, mode, side), self.default_leverage)

    def set_leverage(
        self, market: Market, mode: MarginMode, pos_side: PosSide, leverage: float
    ) -> None:
        """Set it, for what is held as well: an isolated margin grows or shrinks by it."""
        self.leverages[market.inst_id, mode, pos_side] = leverage
        for held in self.open_positions():
            if held.market is market and held.mode == mode:
                before, held.leverage = held.leverage, self.leverage(market, mode, held.pos_side)
                if mode == "isolated" and held.leverage != before:
                    margin = held.margin * before / held.leverage
                    self.cash[market.currency] -= margin - held.margin
                    held.margin = margin

    def held(self, market: Market, mode: MarginMode, pos_side: PosSide) -> Position | None:
        """Return a position that has contracts."""
        found = self.positions.get((market.inst_id, mode, pos_side))
        return found if found is not None and found.contracts else None

    def open_positions(self) -> list[Position]:
        """Return the positions that have contracts."""
        return [each for each in self.positions.values() if each.contracts]

    def tiers(self, market: Market) -> MaintenanceTiers:
        """Return the maintenance tiers of an instrument: the shipped ones, or its one rate."""
        if market.inst_id not in self._tiers:
            path = built_in_tiers("okx", market.instrument)
            rate = market.instrument.maintenance_margin_rate
            self._tiers[market.inst_id] = (
                read_tiers(path) if path else MaintenanceTiers.single(rate)
            )
        return self._tiers[market.inst_id]

    # ------------------------------------------------------------------ fills
    def post(self, order: Order, fill: Fill, kind: str = "2") -> None:
        """Post a fill: sets its fee and PnL, moves position and wallet, writes its bill."""
        position = self._position(order, fill.time_ms)
        closed = 0.0
        if not order.opens or (order.pos_side == "net" and position.side != order.side):
            closed = min(fill.contracts, position.contracts)
        instrument, contract = order.market.instrument, order.market.contract
        rate = (instrument.maker if fill.maker else instrument.taker) or 0.0
        fill.fee = contract.fee(fill.contracts, fill.price, rate)
        if closed:
            fill.pnl = self._close(position, closed, fill)
        if fill.contracts - closed > _DUST:
            self._open(position, fill.contracts - closed, fill, order)
        position.fee += fill.fee
        position.updated_ms, position.trade_id = fill.time_ms, fill.trade_id
        sub_kind = ("3" if order.is_buy else "4") if not closed else "6" if order.is_buy else "5"
        self._book(position, kind, sub_kind, fill.pnl, fill.fee, fill.time_ms, fill)

    def _position(self, order: Order, now_ms: int) -> Position:
        key = (order.market.inst_id, order.mode, order.pos_side)
        found = self.positions.get(key)
        if found is None or not found.contracts:
            side: Side = order.side if order.pos_side == "net" else order.pos_side
            number = found.pos_id if found else str(next(self._pos_ids))
            found = Position(
                order.market, order.pos_side, order.mode, number, side,
                self.leverage(order.market, order.mode, order.pos_side), created_ms=now_ms,
            )  # fmt: skip
            self.positions[key] = found
        return found

    def _open(self, held: Position, contracts: float, fill: Fill, order: Order) -> None:
        if not held.contracts:
            held.side = order.side
        parts = [(held.contracts, held.average), (contracts, fill.price)]
        contract = held.market.contract
        held.average = weighted_average(contract, [each for each in parts if each[0]])
        held.contracts = _lots(held.market, held.contracts + contracts)
        if held.mode == "isolated":
            margin = contract.initial_margin(contracts, fill.price, held.leverage)
            held.margin += margin
            self.cash[held.market.currency] -= margin

    def _close(self, held: Position, contracts: float, fill: Fill) -> float:
        pnl = held.market.contract.pnl(held.side, contracts, held.average, fill.price)
        released = held.margin * contracts / held.contracts
        held.margin -= released
        self.cash[held.market.currency] += released
        held.contracts = _lots(held.market, held.contracts - contracts)
        held.pnl += pnl
        if not held.contracts:
            self.cash[held.market.currency] += held.margin  # float dust
            held.margin = 0.0
        return pnl

    def _book(
        self,
        held: Position,
        kind: str,
        sub_kind: str,
        pnl: float,
        fee: float,
        now_ms: int,
        fill: Fill | None = None,
    ) -> Bill:
        currency = held.market.currency
        self.cash[currency] += pnl - fee
        bill = Bill(
            str(next(self._bill_ids)), now_ms, currency, kind, sub_kind, pnl - fee,
            self.cash[currency], held, fill, pnl=pnl, fee=fee,
        )  # fmt: skip
        if fill is not None:
            fill.bill_id, bill.contracts, bill.price = bill.bill_id, fill.contracts, fill.price
        self.bills.append(bill)
        return bill

    # ------------------------------------------------------------------ other money
    def fund(self, held: Position, rate: float, mark: float, now_ms: int) -> float:
        """Pay or receive funding of a position; return the cash flow, + = received."""
        payment = held.market.contract.funding_payment(held.side, held.contracts, mark, rate)
        held.funding += payment
        sub_kind = "174" if payment > 0.0 else "173"
        bill = self._book(held, "8", sub_kind, payment, 0.0, now_ms)
        bill.contracts, bill.price = held.contracts, mark
        return payment

    def penalize(self, held: Position, amount: float, now_ms: int) -> None:
        """Take a liquidation's fee."""
        held.penalty += amount
        self._book(held, "5", "109", -amount, 0.0, now_ms)

    def forgive(self, held: Position, floor: float, now_ms: int) -> None:
        """Lift a wallet that a liquidation left below a floor back to it."""
        lacking = floor - self.cash[held.market.currency]
        if lacking > 0.0:
            self._book(held, "5", "110", lacking, 0.0, now_ms)

    def transfer(self, currency: str, amount: float, now_ms: int) -> None:
        """Move money in, or out if negative."""
        self.cash[currency] = self.cash.get(currency, 0.0) + amount
        self.bills.append(Bill(
            str(next(self._bill_ids)), now_ms, currency, "1", "11" if amount > 0.0 else "12",
            amount, self.cash[currency],
        ))  # fmt: skip

    # ------------------------------------------------------------------ figures
    def cross(self, currency: str) -> list[Position]:
        """Return what the wallet of a currency stands behind."""
        return [each for each in self.open_positions()
                if each.mode == "cross" and each.market.currency == currency]  # fmt: skip

    def figures(self, currency: str, orders: Iterable[Order], now_ms: int) -> dict[str, float]:
        """Return wallet, equity, margins and what is left of a currency."""
        held = [each for each in self.open_positions() if each.market.currency == currency]
        marks = {id(each): each.market.mark_price(now_ms) for each in held}
        cross = [each for each in held if each.mode == "cross"]
        isolated = [each for each in held if each.mode == "isolated"]
        cash = self.cash.get(currency, 0.0)
        upl = sum_floats(each.upl(marks[id(each)]) for each in cross)
        iso_upl = sum_floats(each.upl(marks[id(each)]) for each in isolated)
        iso_equity = sum_floats(each.margin for each in isolated) + iso_upl
        imr = sum_floats(each.initial_margin(marks[id(each)]) for each in cross)
        mmr = sum_floats(self.maintenance(each, marks[id(each)]) for each in cross)
        frozen = sum_floats(
            self.order_margin(each) for each in orders if each.market.currency == currency
        )
        return {
            "cash": cash, "equity": cash + upl + iso_equity, "upl": upl, "iso_upl": iso_upl,
            "iso_equity": iso_equity, "imr": imr, "mmr": mmr, "frozen": frozen,
            "available": cash + upl - imr - frozen,
        }  # fmt: skip

    def order_margin(self, order: Order) -> float:
        """Return what a working order needs: the initial margin of what it would open."""
        contracts = order.left
        held = self.held(order.market, order.mode, order.pos_side)
        if order.pos_side == "net" and held is not None and held.side != order.side:
            contracts = max(0.0, contracts - held.contracts)
        if not order.opens or not contracts or order.price is None:
            return 0.0
        return order.market.contract.initial_margin(contracts, order.price, order.leverage)

    def maintenance(self, held: Position, price: float) -> float:
        """Return the maintenance margin of a position."""
        contract = held.market.contract
        return self.tiers(held.market).requirement(contract, held.contracts, price)

    def liquidation(self, held: Position, now_ms: int) -> LiquidationRegion:
        """Return where a position, or with it all of its cross margin, is liquidated."""
        market, legs, margin = held.market, [held.leg], held.margin
        mark = market.mark_price(now_ms)
        if held.mode == "cross":
            margin = self.cash[market.currency]
            cross = self.cross(market.currency)
            legs = [each.leg for each in cross if each.market is market]
            for other in cross:
                if other.market is not market:
                    price = other.market.mark_price(now_ms)
                    margin += other.upl(price) - self.maintenance(other, price)
        taker = market.instrument.taker or 0.0
        return liquidation_region(market.contract, legs, margin, self.tiers(market), taker, mark)

    def liquidation_price(self, held: Position, now_ms: int) -> float | None:
        """Return the price of `liquidation` that OKX would show, None where there is none."""
        region = self.liquidation(held, now_ms)
        nearest = region.lower if held.side == "long" else region.upper
        other = region.upper if held.side == "long" else region.lower
        found = [each for each in (nearest, other) if math.isfinite(each) and each > 0.0]
        return found[0] if found else None


def _lots(market: Market, contracts: float) -> float:
    """Return contracts without float dust."""
    lot = market.instrument.lot
    return on_grid(contracts, lot) if lot else contracts
