"""A journal of a small run, written as a run writes it."""

from __future__ import annotations

from pathlib import Path

from cryptosim_bt.accounting.book_events import (
    EntryWanted,
    LegClosed,
    OrderAccepted,
    to_record,
)
from cryptosim_bt.accounting.exit_orders import BookRules
from cryptosim_bt.accounting.instrument import known_instrument
from cryptosim_bt.accounting.orders import Execution, Liquidity, PlaceOrder, Role
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.reconcile import Place, Stage, Working
from cryptosim_bt.live.status import restored_book

NOON = 1_735_732_800_000  # 2025-01-01 12:00 UTC
MINUTE = 60_000


def begun(path: Path) -> Journal:
    """Return the journal of a live run that holds nothing yet."""
    instrument = known_instrument("okx", "BTC/USD:BTC")
    rules = BookRules(3, {"long": 2, "short": 2}, 0.02, None)
    journal = Journal(path)
    journal.put(
        run="abcd1234", started_ms=NOON, running_ms=NOON, time_ms=NOON, initial_balance=1.0,
        mode="live", symbol=instrument.symbol, native="BTC-USD-SWAP", linear_pnl="exchange",
        instrument={name: getattr(instrument, name) for name in instrument.__slots__},
        rules={name: getattr(rules, name) for name in rules.__slots__},
    )  # fmt: skip
    return journal


def enter(journal: Journal, number: int, time_ms: int, price: float = 100_000.0) -> None:
    """Have an entry of 10 contracts (1000 USD) wanted, accepted and filled."""
    wanted = EntryWanted("long", 10.0, price, time_ms + 60 * MINUTE)
    (order,) = restored_book(journal)[0].apply(wanted).commands
    assert isinstance(order, PlaceOrder)
    fill = Execution(
        time_ms=time_ms, number=order.number, role=Role.ENTRY, side="long", group=order.group,
        contracts=10.0, price=price, fee=2e-6, liquidity=Liquidity.MAKER, realized_pnl=0.0,
        fill_id=f"t{number}",
    )  # fmt: skip
    with journal.together():
        for event in (wanted, OrderAccepted(order.number, time_ms, f"v{number}"), fill):
            journal.add_event(time_ms, to_record(event))
        journal.add_fill(
            f"t{number}", time_ms, f"c{number}",
            {"time_ms": time_ms, "side": "long", "opens": True, "contracts": 10.0, "price": price,
             "fee": 2e-6, "pnl": 0.0},
        )  # fmt: skip


def protect(journal: Journal, tradeid: int, contracts: float, price: float) -> None:
    """Have a take-profit of a long group working."""
    there = Working(
        "cst", Place(False, "long", tradeid), 2, Role.TAKE_PROFIT, contracts, price,
        stage=Stage.WORKING, asked="",
    )  # fmt: skip
    journal.put_order("cst", there.record(), is_over=False)


def close(journal: Journal, time_ms: int, contracts: float, price: float) -> None:
    """Have contracts of the long leg closed by somebody else."""
    with journal.together():
        journal.add_event(
            time_ms,
            to_record(LegClosed(time_ms, "long", contracts, price, 0.0, 0.0, Role.EXIT, "by hand")),
        )


def close_bar(journal: Journal, time_ms: int, close: float, equity: float) -> None:
    """Write a bar down."""
    with journal.together():
        journal.put_bar(time_ms, {"close": close, "equity": equity, "signal": 1})
        journal.put(last_price=close, equity=equity, time_ms=time_ms + MINUTE)
