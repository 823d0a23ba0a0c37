"""From what the venue booked to events of the book: fills, funding, what it closed itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cryptosim_bt.accounting.book_events import BookEvent, Funded, LegClosed
from cryptosim_bt.accounting.contracts import (
    SIDES,
    InverseContract,
    LinearContract,
    Side,
    weighted_average,
)
from cryptosim_bt.accounting.orders import FundingPayment, Role
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.position_sets import PositionMath
from cryptosim_bt.live.adapter import VenueBalance, VenueBill, VenueFill, VenuePosition
from cryptosim_bt.live.reconcile import same

TOLERANCE = 1e-8


def funding_event(
    bill: VenueBill, held: Mapping[Side, float], foreign: Mapping[Side, float]
) -> Funded:
    """Return a funding payment as the book takes it: of one leg, its own share of it.

    A bill does not say its leg: it is the one of the bill's size. Of two legs of one size the
    long one is taken to have paid and the short one to have received; together it is the same.
    """
    total = {side: held[side] + foreign[side] for side in SIDES}
    fitting = [side for side in SIDES if same(total[side], bill.contracts)]
    by_sign: Side = "long" if bill.change < 0.0 else "short"
    side = fitting[0] if len(fitting) == 1 else by_sign
    if not fitting and not total[side]:
        side = "short" if side == "long" else "long"
    share = held[side] / total[side] if total[side] else 1.0
    payment = FundingPayment(
        bill.time_ms, bill.time_ms, side, 0.0, bill.price, held[side], bill.change * share,
        bill.balance,
    )  # fmt: skip
    return Funded(payment, bill.bill_id)


def others_fill(
    fill: VenueFill, foreign: dict[Side, float]
) -> LegClosed | None:
    """Take in a fill that no order of ours made; return what it closed of the book's contracts.

    What others opened is theirs, and what they close is theirs first.
    """
    if fill.opens:
        foreign[fill.side] += fill.contracts
        return None
    theirs = min(foreign[fill.side], fill.contracts)
    foreign[fill.side] -= theirs
    ours = fill.contracts - theirs
    if not ours:
        return None
    role = Role.LIQUIDATION if fill.by_itself == "liquidation" else Role.EXIT
    return closed(fill, role, ours)


def closed(fill: VenueFill, role: Role, contracts: float) -> LegClosed:
    """Return that contracts of a leg were closed by no order that the book knows."""
    share = contracts / fill.contracts
    return LegClosed(
        fill.time_ms, fill.side, contracts, fill.price, fill.fee * share, fill.pnl * share, role,
        fill.trade_id,
    )  # fmt: skip


class ContractMath:
    """A contract as the book asks of it, where there is no backtrader to give a scheme."""

    def __init__(self, contract: InverseContract | LinearContract) -> None:
        self._contract = contract
        self.pnl = contract.pnl

    def average_entry(self, fills: Sequence[tuple[float, float]]) -> float:
        """Return the average price of pairs (contracts, price), at least one of them."""
        return weighted_average(self._contract, fills)


class LegAverages:
    """The legs' averages by our own arithmetic, to compare the venue's PnL of each fill with."""

    def __init__(self, money: PositionMath) -> None:
        self._money = money
        self._legs: dict[Side, tuple[float, float]] = {side: (0.0, 0.0) for side in SIDES}

    def average(self, side: Side) -> float:
        """Return a leg's average entry, 0 where nothing is held."""
        return self._legs[side][1]

    def note(self, side: Side, contracts: float, price: float, *, opens: bool) -> float:
        """Take in a fill; return its PnL against the leg's average, 0 for what opens."""
        held, average = self._legs[side]
        if opens:
            parts = [(held, average), (contracts, price)] if held else [(contracts, price)]
            self._legs[side] = held + contracts, self._money.average_entry(parts)
            return 0.0
        left = held - contracts
        self._legs[side] = (0.0, 0.0) if same(left, 0.0) else (left, average)
        return self._money.pnl(side, contracts, average, price) if held else 0.0

    def replay(self, event: BookEvent) -> None:
        """Take in an event of an earlier run."""
        role = getattr(event, "role", None)
        if role is not None:
            fill: Any = event  # an Execution or a LegClosed
            self.note(fill.side, fill.contracts, fill.price, opens=role is Role.ENTRY)


def money_difference(
    book: PositionBook,
    money: PositionMath,
    balance: VenueBalance,
    legs: tuple[VenuePosition, ...],
    price: float,
) -> float:
    """Return by how much the venue's equity is above the book's, both at one price.

    The book's balance differs from the venue's while sets are open (R21: PnL against a group's
    average, not the leg's); with unrealised PnL added, at any price, they are the same.
    """
    equity = balance.cash
    for leg in legs:
        equity += money.pnl(leg.side, leg.contracts, leg.average, price)
    return equity - book.equity(price)


def in_order(
    fills: tuple[VenueFill, ...], bills: tuple[VenueBill, ...], is_new: Callable[[str], bool]
) -> Iterator[VenueFill | VenueBill]:
    """Yield what is new, by time; funding after the fills of its moment."""
    found: list[tuple[int, int, VenueFill | VenueBill]] = [
        (fill.time_ms, 0, fill) for fill in fills if is_new(fill.trade_id)
    ]
    found += [(bill.time_ms, 1, bill) for bill in bills]
    yield from (each for _, _, each in sorted(found, key=lambda part: part[:2]))
