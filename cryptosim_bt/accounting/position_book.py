"""The strategy's book: Transactions, the open Position of a side, PositionSets (R18-R21).

Events go in, wanted orders come out; no I/O, no clock, no backtrader. The same book runs in a
backtest, on paper and live, so it handles partial fills, fills of orders that were cancelled
meanwhile, the end of orders in any sequence, and duplicate reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from cryptosim_bt.accounting import book_events as events
from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.book_events import NO_ANSWER, REPEATED, Answer, BookedFill, BookEvent
from cryptosim_bt.accounting.contracts import SIDES, Leg, Side
from cryptosim_bt.accounting.exit_orders import EXIT_NAMES, BookRules, EndedOrders, ExitOrders
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import (
    CONTRACT_TOLERANCE,
    Command,
    Execution,
    Liquidity,
    PlaceOrder,
    Role,
    UnknownFill,
)
from cryptosim_bt.accounting.position_sets import (
    Group,
    Position,
    PositionMath,
    PositionSet,
    Trade,
    Transaction,
)


@dataclass(slots=True)
class _WorkingEntry:
    """An entry order that may still fill; its Transaction stands from the first fill on."""

    order: PlaceOrder
    transaction: Transaction | None = None
    filled: float = 0.0
    # A fill may come after the notice of the end; it counts as well.
    ended: bool = False


class PositionBook:
    """Both sides' Positions and sets, and the orders that they want.

    ``money`` is PnL and average entry of the market, its commission scheme or a contract;
    ``initial_balance`` is in settlement currency.
    """

    def __init__(
        self,
        money: PositionMath,
        instrument: Instrument,
        rules: BookRules,
        initial_balance: float,
    ) -> None:
        self.money = money
        self.rules = rules
        self._orders = ExitOrders(instrument, rules)
        self.balance = initial_balance
        self.trades: list[Trade] = []
        self.sets: list[PositionSet] = []
        self._open_sets: dict[Side, list[PositionSet]] = {"long": [], "short": []}
        self._tradeids = 0
        self._transactions = 0
        self._positions: dict[Side, Position] = {side: self._new_position(side) for side in SIDES}
        # Kinds and ids of the events that moved money, against duplicate reports.
        self._applied: set[tuple[type, str]] = set()
        # Cached: what PnL is computed on; cleared at every change.
        self._exposures: list[Leg] | None = None
        self._entries: dict[int, _WorkingEntry] = {}
        self._ended_entries: EndedOrders[_WorkingEntry] = EndedOrders()

    # ------------------------------------------------------------------ what is held
    def position(self, side: Side) -> Position:
        """Return the open Position of a side (perhaps empty)."""
        return self._positions[side]

    def open_sets(self, *sides: Side) -> list[PositionSet]:
        """Return the open sets of a side, or of both, older first."""
        found = [group for side in sides or SIDES for group in self._open_sets[side]]
        return sorted(found, key=lambda group: group.number)

    def count_sets(self, side: Side) -> int:
        """Return the number of open sets of a side."""
        return len(self._open_sets[side])

    def sets_full(self, side: Side) -> bool:
        """Tell whether a side has its maximum of sets (R9)."""
        return len(self._open_sets[side]) >= self.rules.max_sets[side]

    def groups(self, side: Side) -> Iterator[Group]:
        """Yield what a side holds: sets by age, then the Position (R23's order)."""
        yield from self._open_sets[side]
        if self._positions[side].contracts:
            yield self._positions[side]

    def contracts(self, side: Side) -> float:
        """Return the contracts held on a side: the sum over its groups."""
        return sum_floats(group.contracts for group in self.groups(side))

    def unrealized_pnl(self, price: float) -> float:
        """Return the PnL of all groups at a price, each against its own average."""
        if self._exposures is None:
            self._exposures = [
                Leg(side, group.contracts, group.average)
                for side in SIDES
                for group in self.groups(side)
            ]
        pnl = 0.0
        for side, contracts, entry in self._exposures:
            pnl += self.money.pnl(side, contracts, entry, price)
        return pnl

    def equity(self, price: float) -> float:
        """Return balance plus unrealised PnL: the strategy's side of R21."""
        return self.balance + self.unrealized_pnl(price)

    def _group_of(self, tradeid: int, side: Side) -> Group | None:
        """Return the open group of a side that carries a tradeid, None if there is none."""
        return next((group for group in self.groups(side) if group.tradeid == tradeid), None)

    def _group_by_order(self, number: int) -> Group | None:
        """Return the open group that an exit order closes, None if there is none."""
        order = self._orders.find(number)
        return None if order is None else self._group_of(order.group, order.side)

    # ------------------------------------------------------------------ what happens
    def apply(self, event: BookEvent) -> Answer:
        """Apply an event and answer with the commands that follow from it.

        The same events give the same book and the same answers. A duplicate of one that moves
        money, known by its id, is not applied again; one of an order that is over, or was never
        the book's, changes nothing. A fill that the book cannot place, whole or in part,
        is answered with `UnknownFill`.
        """
        return self._DOORS[type(event)](self, event)

    def _is_repeated(self, event: BookEvent, name: str | None) -> bool:
        """Tell whether an event with an id was applied before, and keep the id."""
        if name is None:
            return False
        key = (type(event), name)
        repeated = key in self._applied
        self._applied.add(key)
        return repeated

    def _nothing(self, _: BookEvent) -> Answer:
        # A confirmation changes nothing: it is for the record and the journal.
        return NO_ANSWER

    def _entry_wanted(self, event: events.EntryWanted) -> Answer:
        order = PlaceOrder(
            self._orders.next_number(), Role.ENTRY, event.side, event.contracts, event.price,
            expires_ms=event.expires_ms,
        )  # fmt: skip
        self._entries[order.number] = _WorkingEntry(order)
        return Answer((order,))

    def _signal_exit_wanted(self, event: events.SignalExitWanted) -> Answer:
        """Close a side's Position at a limit (R11).

        The exit takes the place of the take-profit; the stop stays; a newer exit replaces an
        older one. An empty Position wants nothing.
        """
        position = self._positions[event.side]
        if not position.contracts:
            return NO_ANSWER
        commands: list[Command] = []
        self._orders.cancel(position, "signal_exit", "replaced by a newer signal exit", commands)
        self._orders.cancel(position, "take_profit", "signal exit takes its place", commands)
        position.signal_exit = self._orders.place(
            Role.SIGNAL_EXIT, position, event.price, commands, expires_ms=event.expires_ms
        )
        return Answer(commands)

    def _stop_given(self, event: events.StopGiven) -> Answer:
        group = self._group_of(event.group, event.side)
        if group is None or not group.asks_stop:
            return NO_ANSWER
        commands: list[Command] = []
        self._orders.put_stop(group, event.price, commands)
        return Answer(commands)

    def _order_ended(self, event: events.OrderEnded | events.OrderRejected) -> Answer:
        """Take in that an order is over.

        An entry with something filled counts from now on as a Transaction; a signal exit gives
        its place back to the take-profit (R11). The end of an order that the book cancelled
        itself wants nothing.
        """
        entry = self._entries.pop(event.number, None)
        if entry is not None:
            entry.ended = True
            self._ended_entries.keep(event.number, entry)
            if entry.transaction is None:
                return NO_ANSWER
            return self._completed(entry.transaction, event.time_ms, grew=False)
        order = self._orders.end(event.number)
        group = None if order is None else self._group_of(order.group, order.side)
        if group is None or self._orders.release(group, event.number) != "signal_exit":
            return NO_ANSWER
        return self._protected(group, [])

    def _change_refused(self, event: events.ChangeRefused) -> Answer:
        """Replace an order that the venue has not resized, if it is still wanted.

        One that was not cancelled stays known until its end is reported, since it may still fill.
        """
        commands: list[Command] = []
        group = self._group_by_order(event.number)
        if event.change is events.Change.RESIZE and group is not None:
            self._orders.anew(group, event.number, commands)
        return Answer(commands)

    def _stop_triggered(self, event: events.StopTriggered) -> Answer:
        # R37: it goes on for what it was sent for; a group that grows gets a stop for the rest.
        group = self._group_by_order(event.number)
        if group is not None:
            self._orders.set_off(group, event.number)
        return NO_ANSWER

    def _funded(self, event: events.Funded) -> Answer:
        # R22: shared by contracts (+ = received). Of an empty leg only the money is booked.
        if self._is_repeated(event, event.payment_id):
            return REPEATED
        side, payment = event.funding.side, event.funding.payment
        self.balance += payment
        held = self.contracts(side)
        for group in self.groups(side):
            if isinstance(group, PositionSet):
                group.funding_paid -= payment * group.contracts / held
            for transaction in group.transactions:
                transaction.funding_paid -= payment * transaction.open_contracts / held
        return NO_ANSWER

    def _forgiven(self, event: events.Forgiven) -> Answer:
        if self._is_repeated(event, event.payment_id):
            return REPEATED
        self.balance += event.amount  # R23
        return NO_ANSWER

    def _filled(self, fill: Execution) -> Answer:
        if self._is_repeated(fill, fill.fill_id):
            return REPEATED
        self._exposures = None
        if fill.role is Role.ENTRY:
            return self._entered(fill)
        # The group that its order closes, or the one that the fill names.
        group = (self._group_of(fill.group, fill.side) if fill.number is None
                 else self._group_by_order(fill.number))  # fmt: skip
        if group is None:
            why = "its order is not the book's, or what it closes was closed before"
            return Answer((UnknownFill(fill, why),))
        return self._exited(group, fill)

    def _leg_closed(self, event: events.LegClosed) -> Answer:
        """Close contracts of a leg in R23's order: sets by age, then the Position."""
        if self._is_repeated(event, event.fill_id):
            return REPEATED
        self._exposures = None
        rest: Execution | None = Execution(
            event.time_ms, None, event.role, event.side, 0, event.price, event.contracts,
            event.fee, Liquidity.TAKER, event.realized_pnl, event.fill_id, balance=event.balance,
        )  # fmt: skip
        commands: list[Command] = []
        fills: list[BookedFill] = []
        for group in list(self.groups(event.side)):
            if rest is None:
                break
            part, rest = rest.split(group.contracts)
            answer = self._exited(group, replace(part, group=group.tradeid))
            commands.extend(answer.commands)
            fills.extend(answer.fills)
        if rest is not None:
            commands.append(UnknownFill(rest, "the venue closed more than the book holds"))
        return Answer(commands, fills)

    # ------------------------------------------------------------------ entries
    def _entered(self, fill: Execution) -> Answer:
        number = fill.number or 0
        entry = self._entries.get(number) or self._ended_entries.get(number)
        if entry is None:
            return Answer((UnknownFill(fill, "its order is no entry that the book waits for"),))
        position = self._positions[fill.side]
        transaction = entry.transaction
        if transaction is None or transaction not in position.transactions:
            # R35: the first fill, or what was filled before has been closed meanwhile.
            self._transactions += 1
            transaction = entry.transaction = Transaction(
                self._transactions, fill.side, number, entry_time_ms=fill.time_ms
            )
            position.transactions.append(transaction)
        transaction.enter(self.money, fill)
        self.balance -= fill.fee
        position.average = position.open_average(self.money)
        position.contracts += fill.contracts
        entry.filled += fill.contracts
        name = position.name
        whole = entry.filled >= entry.order.contracts * (1.0 - CONTRACT_TOLERANCE)
        if whole:
            self._entries.pop(number, None)
            self._ended_entries.pop(number, None)
        if whole or entry.ended:
            answer = self._completed(transaction, fill.time_ms, grew=True)
        else:
            answer = self._protected(position, [])
        booked = BookedFill(fill, name, 0.0, transaction.id)
        return Answer(answer.commands, (booked,), answer.asks_stop)

    def _protected(self, group: Group, commands: list[Command]) -> Answer:
        """Give a group its exits (R19), after other commands."""
        self._orders.protect(group, commands)
        return Answer(commands, asks_stop=group if group.asks_stop else None)

    def _completed(self, transaction: Transaction, time_ms: int, *, grew: bool) -> Answer:
        """Count a finished Transaction; make a set when the Position is full (R18)."""
        transaction.complete = True
        position = self._positions[transaction.side]
        if transaction not in position.transactions:
            return NO_ANSWER
        if self._makes_set(position):
            commands: list[Command] = []
            return self._protected(self._make_set(position, time_ms, commands), commands)
        # R19: replaced when the contents grow; the end of an order is no growth.
        return self._protected(position, []) if grew else NO_ANSWER

    def _makes_set(self, position: Position) -> bool:
        # All of them complete: a Transaction that still grows must not be cut off half-way.
        return (
            len(position.transactions) >= self.rules.position_set_size
            and all(transaction.complete for transaction in position.transactions)
            and not self.sets_full(position.side)
        )

    def _make_set(
        self, position: Position, born_ms: int, commands: list[Command]
    ) -> PositionSet:
        side = position.side
        for name in EXIT_NAMES:
            self._orders.cancel(position, name, "the Position became a set", commands)
        made = PositionSet.of(position, len(self.sets) + 1, born_ms)
        self.sets.append(made)
        self._open_sets[side].append(made)
        self._positions[side] = self._new_position(side)
        return made

    # ------------------------------------------------------------------ exits
    def _exited(self, group: Group, fill: Execution) -> Answer:
        """Close contracts of a group; a surplus of the fill is not booked."""
        fill, surplus = fill.split(group.contracts)
        whole = fill.contracts >= group.contracts * (1.0 - CONTRACT_TOLERANCE)
        group_pnl = self.money.pnl(fill.side, fill.contracts, group.average, fill.price)
        self.balance += group_pnl - fill.fee
        self._close_transactions(group, fill, whole)
        if isinstance(group, PositionSet):
            group.group_pnl += group_pnl
            group.fees += fill.fee
        name = group.name
        commands: list[Command] = []
        if whole:
            self._end_group(group, fill, commands)
        else:
            group.contracts -= fill.contracts
            self._orders.shrink(group, fill, commands)
        if surplus is not None:
            commands.append(UnknownFill(surplus, f"more than {name} held"))
        return Answer(commands, (BookedFill(fill, name, group_pnl),))

    def _close_transactions(self, group: Group, fill: Execution, whole: bool) -> None:
        """Take a fill's contracts from every Transaction of a group, pro rata (R36)."""
        for transaction in group.transactions:
            share = 1.0 if whole else fill.contracts / group.contracts
            transaction.exit(self.money, fill, share)
            if whole:
                transaction.open_contracts = 0.0
                exits, number = transaction.exits, len(self.trades) + 1
                price = fill.price if len(exits) == 1 else self.money.average_entry(exits)
                self.trades.append(
                    transaction.trade(number, group.name, fill, price, fill.role.value)
                )

    def _end_group(self, group: Group, fill: Execution, commands: list[Command]) -> None:
        if fill.number is not None:
            self._orders.release(group, fill.number)
            self._orders.forget(fill.number)
        self._orders.cancel_all(group, f"{fill.role.value} closed its group", commands)
        if isinstance(group, PositionSet):
            group.end(fill)
            self._open_sets[group.side].remove(group)
        else:
            # The emptied Position takes a new tradeid: the old one's backtrader Trade is over.
            self._positions[group.side] = self._new_position(group.side)

    def _new_position(self, side: Side) -> Position:
        self._tradeids += 1
        return Position(side, self._tradeids)

    _DOORS: ClassVar[dict[type, Callable[[PositionBook, Any], Answer]]] = {
        events.EntryWanted: _entry_wanted,
        events.SignalExitWanted: _signal_exit_wanted,
        events.StopGiven: _stop_given,
        events.OrderAccepted: _nothing,
        events.OrderRejected: _order_ended,
        events.OrderEnded: _order_ended,
        events.OrderResized: _nothing,
        events.ChangeRefused: _change_refused,
        events.StopTriggered: _stop_triggered,
        Execution: _filled,
        events.LegClosed: _leg_closed,
        events.Funded: _funded,
        events.Forgiven: _forgiven,
    }
