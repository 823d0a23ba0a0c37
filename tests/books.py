"""A PositionBook to feed by hand, and what it answers with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptosim_bt.accounting.book_events import EntryWanted, OrderEnded, SignalExitWanted
from cryptosim_bt.accounting.contracts import LinearContract
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import (
    CancelOrder,
    Command,
    Execution,
    FundingPayment,
    Liquidity,
    OrderEnd,
    PlaceOrder,
    ResizeOrder,
    Role,
)
from cryptosim_bt.accounting.position_book import BookRules, PositionBook

HOUR_MS = 3_600_000


def instrument(tick: float = 0.5) -> Instrument:
    return Instrument(
        "BTC/USDT:USDT", "linear", contract_size=1.0, lot=1.0, tick=tick, min_contracts=1.0,
        maintenance_margin_rate=0.004, liquidation_fee_rate=0.004,
    )  # fmt: skip


def new_book(**changes: Any) -> PositionBook:
    rules = {
        "position_set_size": 3,
        "max_sets": {"long": 2, "short": 2},
        "take_profit_pct": 0.02,
        "stop_loss_pct": 0.05,
        **changes,
    }
    return PositionBook(LinearContract(1.0), instrument(), BookRules(**rules), 1000.0)


def fill_of(
    order: PlaceOrder,
    contracts: float | None = None,
    price: float | None = None,
    fee: float = 0.0,
    fill_id: str | None = None,
    hour: int = 0,
) -> Execution:
    return Execution(
        time_ms=hour * HOUR_MS,
        number=order.number,
        role=order.role,
        side=order.side,
        group=order.group,
        price=order.price if price is None else price,
        contracts=order.contracts if contracts is None else contracts,
        fee=fee,
        liquidity=Liquidity.MAKER,
        realized_pnl=0.0,
        fill_id=fill_id,
    )


def placed(commands: Sequence[Command], role: Role) -> PlaceOrder:
    found = [each for each in commands if isinstance(each, PlaceOrder) and each.role is role]
    assert len(found) == 1
    return found[0]


def cancelled(commands: Sequence[Command]) -> set[int]:
    return {each.number for each in commands if isinstance(each, CancelOrder)}


def resized(commands: Sequence[Command]) -> dict[int, float]:
    return {each.number: each.contracts for each in commands if isinstance(each, ResizeOrder)}


def enter(
    book: PositionBook, price: float, contracts: float = 2.0, side: str = "long"
) -> Sequence[Command]:
    return book.apply(fill_of(want_entry(book, contracts, price, side))).commands


def want_entry(
    book: PositionBook, contracts: float, price: float, side: str = "long"
) -> PlaceOrder:
    wanted = EntryWanted(side, contracts, price)  # type: ignore[arg-type]
    return placed(book.apply(wanted).commands, Role.ENTRY)


def want_signal_exit(book: PositionBook, price: float) -> Sequence[Command]:
    return book.apply(SignalExitWanted("long", price)).commands


def ended(number: int, end: OrderEnd = OrderEnd.EXPIRED, hour: int = 0) -> OrderEnded:
    return OrderEnded(number, end, "by the test", hour * HOUR_MS)


def funding(payment: float, side: str = "long", contracts: float = 6.0) -> FundingPayment:
    return FundingPayment(0, 0, side, 0.0001, 100.0, contracts, payment, 0.0)  # type: ignore[arg-type]
