"""What the bot believes, from the journal alone: the book made again from its events."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cryptosim_bt.accounting.book_events import Forgiven, Funded, LegClosed, from_record
from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.exit_orders import BookRules
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import Execution, PlaceOrder
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.position_sets import Group
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import InputError
from cryptosim_bt.live.booking import ContractMath, LegAverages
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.reconcile import Place, Working


def status(path: Path, *, fill_ids: bool = False) -> dict[str, Any]:
    """Return what the bot believes as JSON values; ``fill_ids`` adds the venue's ids of all fills.

    Raises
    ------
    InputError
        If there is no journal, or nothing was ever traded with it.
    """
    journal = Journal(path, reading=True)
    try:
        if journal.get("instrument") is None:
            raise InputError(f"{path}: nothing was traded with this journal yet")
        return believed(journal, fill_ids=fill_ids)
    finally:
        journal.close()


def believed(journal: Journal, *, fill_ids: bool = False) -> dict[str, Any]:
    """Return `status` of a journal that is open."""
    book, legs, sums = restored_book(journal)
    price = journal.get("last_price") or math.nan
    working = [Working.of(record) for record in journal.orders()]
    fills = journal.fills()
    return {
        "time": iso_utc(journal.get("time_ms") or journal.get("running_ms")),
        "mode": journal.get("mode"),
        "symbol": journal.get("symbol"),
        "instrument": journal.get("native"),
        "legs": {
            side: {"contracts": book.contracts(side), "average": legs.average(side)}
            for side in SIDES
        },
        "balance": sums["balance"],
        "equity": book.balance if math.isnan(price) else book.equity(price),
        "realized_pnl": sums["realized_pnl"],
        "fees": sums["fees"],
        "funding": sums["funding"],
        "groups": [
            _group(group, side, working) for side in SIDES for group in book.groups(side)
        ],
        "open_orders": [
            {
                "client_id": each.client_id, "role": each.role.value, "side": each.place.side,
                "price": each.price, "contracts": each.total, "filled": each.filled,
            }
            for each in working
        ],
        "fills": len(fills),
        "alarms": [
            {"time": iso_utc(alarm["time_ms"]), "key": alarm["key"], "text": alarm["text"]}
            for alarm in journal.alarms()
        ],
        **({"fill_ids": [fill["trade_id"] for fill in fills]} if fill_ids else {}),
    }  # fmt: skip


def restored_book(
    journal: Journal, *, events: bool = True
) -> tuple[PositionBook, LegAverages, dict[str, float]]:
    """Make the book again from the journal's events; return it, the legs, and sums of money.

    Without ``events`` it is the book before the first of them.
    The sums are what the venue booked: ``realized_pnl`` against the legs' averages and before fees
    and funding, ``fees`` as costs, ``funding`` + = received; ``balance`` follows from them.
    """
    instrument = Instrument(**journal.get("instrument"))
    money = ContractMath(instrument.contract(journal.get("linear_pnl")))
    start: float = journal.get("initial_balance")
    book = PositionBook(money, instrument, BookRules(**journal.get("rules")), start)
    legs = LegAverages(money)
    pnl = fees = funding = 0.0
    for record in journal.events() if events else ():
        event = from_record(record)
        book.apply(event)
        legs.replay(event)
        if isinstance(event, Execution | LegClosed):
            pnl += event.realized_pnl
            fees += event.fee
        elif isinstance(event, Funded):
            funding += event.funding.payment
        elif isinstance(event, Forgiven):
            pnl += event.amount
    return book, legs, {
        "balance": start + pnl - fees + funding, "realized_pnl": pnl, "fees": fees,
        "funding": funding,
    }  # fmt: skip


def _group(group: Group, side: str, working: list[Working]) -> dict[str, Any]:
    place = Place(False, group.side, group.tradeid)
    there = next((each for each in working if each.place == place), None)
    profit: PlaceOrder | None = group.signal_exit or group.take_profit
    return {
        "name": group.name,
        "side": side,
        "contracts": group.contracts,
        "average": group.average,
        "take_profit": None if there is None or profit is None else {
            "client_id": there.client_id, "price": there.price, "contracts": there.left,
        },
        "stop_loss": None,
    }  # fmt: skip
