"""The strategy's book: Transactions, the open Position of a side, PositionSets (R18-R21).

Fills go in, wanted orders come out; no I/O, no clock, no backtrader. The same book runs in a
backtest, on paper and live, so it takes partial fills, fills of orders that were cancelled
meanwhile, and the end of orders in any sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.contracts import (
    SIDES,
    Leg,
    Side,
)
from cryptosim_bt.accounting.exit_orders import CONTRACT_TOLERANCE, BookRules, ExitOrders
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import (
    Command,
    Execution,
    OrderEnd,
    PlaceOrder,
    Role,
)
from cryptosim_bt.accounting.position_sets import Group, Position, PositionSet, Trade, Transaction


class PositionMath(Protocol):
    """What the book asks of a market's money."""

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return profit (+) or loss (-) before fees."""

    def average_entry(self, fills: Sequence[tuple[float, float]]) -> float:
        """Return the average price of pairs (contracts, price), at least one of them."""


@dataclass(frozen=True, slots=True)
class FillOutcome:
    """What a fill did to the book: the group it hit, PnL against its average, wanted orders.

    ``transaction`` is the number of the Transaction that an entry belongs to, None for an exit.
    """

    group: str
    group_pnl: float
    commands: list[Command]
    transaction: int | None = None


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

    Parameters
    ----------
    money
        PnL and average entry of the market: its commission scheme, or a contract.
    instrument
        For prices on the tick.
    rules
        Set size, maximum of sets, take-profit and stop-loss.
    initial_balance
        Money at the start, in settlement currency.
    """

    def __init__(
        self,
        money: PositionMath,
        instrument: Instrument,
        rules: BookRules,
        initial_balance: float,
    ) -> None:
        self._money = money
        self._orders = ExitOrders(instrument, rules)
        self.balance = initial_balance
        self.trades: list[Trade] = []
        self.sets: list[PositionSet] = []
        self._open_sets: dict[Side, list[PositionSet]] = {"long": [], "short": []}
        self._tradeids = 0
        self._transactions = 0
        self._positions: dict[Side, Position] = {side: self._new_position(side) for side in SIDES}
        self._seen_fills: set[str] = set()
        # What is held, as PnL sees it; forgotten at every change.
        self._exposures: list[Leg] | None = None
        self._entries: dict[int, _WorkingEntry] = {}

    @property
    def rules(self) -> BookRules:
        """How the book cuts and protects its positions."""
        return self._orders.rules

    @rules.setter
    def rules(self, rules: BookRules) -> None:
        self._orders.rules = rules

    # ------------------------------------------------------------------ what is held
    def position(self, side: Side) -> Position:
        """Return the open Position of a side (perhaps empty)."""
        return self._positions[side]

    def open_sets(self, side: Side | None = None) -> list[PositionSet]:
        """Return the open sets of a side, or of both, by birth."""
        if side is not None:
            return list(self._open_sets[side])
        return sorted(
            self._open_sets["long"] + self._open_sets["short"], key=lambda group: group.number
        )

    def count_sets(self, side: Side) -> int:
        """Return the number of open sets of a side."""
        return len(self._open_sets[side])

    def sets_full(self, side: Side) -> bool:
        """Tell whether a side has its maximum of sets (R9)."""
        return len(self._open_sets[side]) >= self.rules.max_sets[side]

    def groups(self, side: Side) -> Iterator[Group]:
        """Yield what a side holds: sets by birth, then the Position (R23's order)."""
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
            pnl += self._money.pnl(side, contracts, entry, price)
        return pnl

    def equity(self, price: float) -> float:
        """Return balance plus unrealised PnL: the strategy's side of R21."""
        return self.balance + self.unrealized_pnl(price)

    def _group_of(self, tradeid: int, side: Side) -> Group | None:
        """Return the open group of a side that carries a tradeid, None if there is none."""
        return next((group for group in self.groups(side) if group.tradeid == tradeid), None)

    # ------------------------------------------------------------------ what is wanted
    def want_entry(self, side: Side, contracts: float, price: float) -> PlaceOrder:
        """Return a new entry order and wait for its fills."""
        order = PlaceOrder(self._orders.next_number(), Role.ENTRY, side, contracts, price)
        self._entries[order.number] = _WorkingEntry(order)
        return order

    def want_signal_exit(self, side: Side, price: float) -> list[Command]:
        """Return the orders that close a side's Position at a limit (R11).

        The exit takes the place of the take-profit; the stop stays; a newer exit replaces an
        older one. An empty Position wants nothing.
        """
        position = self._positions[side]
        if not position.contracts:
            return []
        commands: list[Command] = []
        self._orders.cancel(position, "signal_exit", "replaced by a newer signal exit", commands)
        self._orders.cancel(position, "take_profit", "signal exit takes its place", commands)
        position.signal_exit = self._orders.place(Role.SIGNAL_EXIT, position, price, commands)
        return commands

    # ------------------------------------------------------------------ what happened
    def apply_fill(self, fill: Execution) -> FillOutcome | None:
        """Take a fill in and answer with the orders that it makes wanted.

        Returns
        -------
        FillOutcome or None
            None for a fill whose ``fill_id`` was seen before: a venue may report it twice.

        Raises
        ------
        KeyError
            If the fill's order, or the group it closes, is not the book's.
        """
        if fill.fill_id is not None:
            if fill.fill_id in self._seen_fills:
                return None
            self._seen_fills.add(fill.fill_id)
        self._exposures = None
        if fill.role is Role.ENTRY:
            return self._entered(fill)
        return self._exited(fill)

    def order_ended(
        self, number: int, end: OrderEnd, time_ms: int | None = None
    ) -> list[Command]:
        """Take in that an order ended, at a time, without (further) fills.

        An entry with something filled counts from now on as a Transaction; a signal exit gives
        its place back to the take-profit (R11). The end of an order that the book cancelled
        itself wants nothing.
        """
        entry = self._entries.get(number)
        if entry is not None:
            entry.ended = True
            transaction = entry.transaction
            return [] if transaction is None else self._completed(transaction, time_ms, grew=False)
        order = self._orders.find(number)
        group = None if order is None else self._group_of(order.group, order.side)
        commands: list[Command] = []
        if group is not None and self._orders.release(group, number) == "signal_exit":
            self._orders.protect(group, commands)
        return commands

    def stop_triggered(self, number: int) -> None:
        """Take in that a stop has become a market order with something left to fill (R37).

        It goes on for what it was sent for; a group that grows gets a stop for the rest.
        """
        order = self._orders.find(number)
        group = None if order is None else self._group_of(order.group, order.side)
        if group is not None:
            self._orders.set_off(group, number)

    def fund(self, side: Side, payment: float) -> None:
        """Book a funding cash flow of a leg (+ = received), by contracts (R22)."""
        self.balance += payment
        held = self.contracts(side)
        for group in self.groups(side):
            if isinstance(group, PositionSet):
                group.funding_paid -= payment * group.contracts / held
            for transaction in group.transactions:
                transaction.funding_paid -= payment * transaction.open_contracts / held

    def forgive(self, shortfall: float) -> None:
        """Book money that the exchange forgave at a liquidation (R23)."""
        self.balance += shortfall

    # ------------------------------------------------------------------ entries
    def _entered(self, fill: Execution) -> FillOutcome:
        if fill.number is None or fill.number not in self._entries:
            raise KeyError(f"fill of order {fill.number}, which is no working entry of this book")
        entry = self._entries[fill.number]
        position = self._positions[fill.side]
        transaction = entry.transaction
        if transaction is None or transaction not in position.transactions:
            # The first fill, or what was filled before has been closed meanwhile.
            self._transactions += 1
            transaction = entry.transaction = Transaction(
                self._transactions, fill.side, fill.number, entry_time_ms=fill.time_ms
            )
            position.transactions.append(transaction)
        if transaction.contracts:
            entered = (transaction.contracts, transaction.entry_price)
            held = (transaction.open_contracts, transaction.open_price)
            new = (fill.contracts, fill.price)
            transaction.entry_price = self._money.average_entry([entered, new])
            transaction.open_price = self._money.average_entry([held, new])
        else:
            transaction.entry_price = transaction.open_price = fill.price
        transaction.contracts += fill.contracts
        transaction.open_contracts += fill.contracts
        transaction.fees += fill.fee
        self.balance -= fill.fee
        position.average = self._average(position)
        position.contracts += fill.contracts
        entry.filled += fill.contracts
        name = position.name
        whole = entry.filled >= entry.order.contracts * (1.0 - CONTRACT_TOLERANCE)
        if whole:
            del self._entries[fill.number]
        if whole or entry.ended:
            commands = self._completed(transaction, fill.time_ms, grew=True)
        else:
            commands = []
            self._orders.protect(position, commands)
        return FillOutcome(name, 0.0, commands, transaction.id)

    def _completed(
        self, transaction: Transaction, time_ms: int | None, *, grew: bool
    ) -> list[Command]:
        """Count a finished Transaction; make a set when the Position is full (R18)."""
        transaction.complete = True
        commands: list[Command] = []
        position = self._positions[transaction.side]
        if transaction not in position.transactions:
            return commands
        if self._makes_set(position):
            born_ms = transaction.entry_time_ms if time_ms is None else time_ms
            self._orders.protect(self._make_set(position, born_ms, commands), commands)
        elif grew:
            # R19: replaced when the contents grow; the end of an order is no growth.
            self._orders.protect(position, commands)
        return commands

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
        self._orders.cancel(position, "take_profit", "the Position became a set", commands)
        self._orders.cancel(position, "stop_loss", "the Position became a set", commands)
        self._orders.cancel(position, "signal_exit", "the Position became a set", commands)
        made = PositionSet(
            side=side,
            # A set keeps the Position's tradeid so that backtrader's Trade goes on with it.
            tradeid=position.tradeid,
            transactions=position.transactions,
            contracts=position.contracts,
            average=position.average,
            # A market order cannot be called back; the set keeps it, as it keeps the tradeid.
            triggered=position.triggered,
            number=len(self.sets) + 1,
            born_ms=born_ms,
            entries=len(position.transactions),
            members=" ".join(str(each.id) for each in position.transactions),
            entered_contracts=position.contracts,
            entry_average=position.average,
            fees=sum_floats(each.fees for each in position.transactions),
            funding_paid=sum_floats(each.funding_paid for each in position.transactions),
        )
        self.sets.append(made)
        self._open_sets[side].append(made)
        self._positions[side] = self._new_position(side)
        return made

    # ------------------------------------------------------------------ exits
    def _exited(self, fill: Execution) -> FillOutcome:
        group = self._closed_by(fill)
        whole = fill.contracts >= group.contracts * (1.0 - CONTRACT_TOLERANCE)
        group_pnl = self._money.pnl(fill.side, fill.contracts, group.average, fill.price)
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
        return FillOutcome(name, group_pnl, commands)

    def _closed_by(self, fill: Execution) -> Group:
        """Return the group that a fill closes: its order's, or the one that the fill names."""
        tradeid, side = fill.group, fill.side
        if fill.number is not None:
            order = self._orders.find(fill.number)
            if order is None:
                raise KeyError(f"fill of order {fill.number}, which is no exit of this book")
            tradeid, side = order.group, order.side
        group = self._group_of(tradeid, side)
        if group is None:
            raise KeyError(f"fill of order {fill.number}: its group is closed already")
        return group

    def _close_transactions(self, group: Group, fill: Execution, whole: bool) -> None:
        """Take a fill's contracts from every Transaction of a group, pro rata."""
        for transaction in list(group.transactions):
            part = transaction.open_contracts
            if not whole:
                part *= fill.contracts / group.contracts
            transaction.gross_pnl += self._money.pnl(
                transaction.side, part, transaction.open_price, fill.price
            )
            transaction.fees += fill.fee * part / fill.contracts
            transaction.exits.append((part, fill.price))
            transaction.open_contracts -= part
            if whole:
                transaction.open_contracts = 0.0
                self.trades.append(self._trade(transaction, group, fill))

    def _trade(self, transaction: Transaction, group: Group, fill: Execution) -> Trade:
        exits = transaction.exits
        exit_price = fill.price if len(exits) == 1 else self._money.average_entry(exits)
        return Trade(
            id=len(self.trades) + 1,
            side=transaction.side,
            contracts=transaction.contracts,
            entry_time_ms=transaction.entry_time_ms,
            exit_time_ms=fill.time_ms,
            entry_price=transaction.entry_price,
            exit_price=exit_price,
            gross_pnl=transaction.gross_pnl,
            fees=transaction.fees,
            funding_paid=transaction.funding_paid,
            net_pnl=transaction.gross_pnl - transaction.fees - transaction.funding_paid,
            exit_reason=fill.role.value,
            group=group.name,
            transaction=transaction.id,
        )

    def _end_group(self, group: Group, fill: Execution, commands: list[Command]) -> None:
        if fill.number is not None:
            self._orders.release(group, fill.number)
            self._orders.forget(fill.number)
        self._orders.cancel_all(group, f"{fill.role.value} closed its group", commands)
        if isinstance(group, PositionSet):
            group.ended_ms, group.exit_price = fill.time_ms, fill.price
            group.exit_reason = fill.role.value
            group.contracts = 0.0
            group.transactions = []
            self._open_sets[group.side].remove(group)
        else:
            # The emptied Position takes a new tradeid: the old one's backtrader Trade is over.
            self._positions[group.side] = self._new_position(group.side)

    def _average(self, group: Group) -> float:
        return self._money.average_entry(
            [(part.open_contracts, part.open_price) for part in group.transactions]
        )

    def _new_position(self, side: Side) -> Position:
        self._tradeids += 1
        return Position(side, self._tradeids)
