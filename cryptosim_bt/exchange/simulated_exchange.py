"""The simulated exchange: what a bar does to working orders, margin and funding (R10-R16, R22-R24).

Pure Python without backtrader: bars and orders go in, a listener receives fills, cancels,
funding and shortfall at the moment they happen within the bar. Orders with a role (of strategies
with a book) and without one are kept in the same order book; the steps of a bar differ
(`schedules.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import OrderEnd, Role
from cryptosim_bt.exchange.book_steps import BookSteps
from cryptosim_bt.exchange.exchange_state import EXPIRIES, SIGNALS, ExchangeState
from cryptosim_bt.exchange.fill_rules import Bar, BarValues, FillRules, Matcher
from cryptosim_bt.exchange.funding_due import FundingDue
from cryptosim_bt.exchange.liquidation import EQUAL, Liquidation
from cryptosim_bt.exchange.listener import ExchangeListener
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.order_lives import OrderLives
from cryptosim_bt.exchange.plain_steps import PlainSteps
from cryptosim_bt.exchange.posting import FillMoney, Posting
from cryptosim_bt.exchange.schedules import SCHEDULES
from cryptosim_bt.exchange.venue_limits import VenueRules


class SimulatedExchange:
    """One market, one account.

    Parameters
    ----------
    account
        Balance and legs.
    instrument
        Ticks and lots.
    rules
        How bars fill orders.
    bar_ms
        Length of the bars that match orders.
    funding
        (epoch ms, rate) in order of time; the times at which legs pay (R22).
    listener
        Its methods are called as things happen.
    venue
        Limits that the venue puts on orders.
    has_mark
        Whether bars carry a mark price of their own; else the last price is the mark.

    Attributes
    ----------
    relations
        Links between orders without a role, by their keys.
    ambiguous
        (epoch ms, kind) of ambiguous bars (R43).
    """

    def __init__(
        self,
        account: Account,
        instrument: Instrument,
        rules: FillRules,
        bar_ms: int,
        funding: Sequence[tuple[int, float]],
        listener: ExchangeListener,
        venue: VenueRules | None = None,
        *,
        has_mark: bool = False,
    ) -> None:
        self.account = account
        matcher = Matcher(instrument, rules)
        self._state = state = ExchangeState(
            account, matcher, listener, bar_ms, has_mark, time_ms=-bar_ms
        )
        self._venue = venue or VenueRules()
        self._book = state.book
        self._bar_ms = bar_ms
        self.funding = FundingDue(state, funding)
        self.relations, self.ambiguous = state.relations, state.ambiguous
        self._posting = Posting(state)
        self._lives = OrderLives(state, self._posting)
        self._liquidation = Liquidation(state, self._lives)
        parts = (state, self._lives, self._liquidation)
        self._book_steps = [partial(step, BookSteps(*parts))
                            for step in SCHEDULES["book", rules.event_order]]  # fmt: skip
        self._plain_steps = [partial(step, PlainSteps(*parts))
                             for step in SCHEDULES["plain", rules.event_order]]  # fmt: skip
        # The current bar, or the last one.
        self._values: BarValues = state.previous

    @property
    def liquidations(self) -> int:
        """How many there were (R23)."""
        return self._state.liquidations

    # ------------------------------------------------------------------ orders
    def use_money(self, money: FillMoney) -> None:
        """Set what computes fees and margin of orders without a role."""
        self._posting.money = money

    def place(self, order: Order, *, asleep: bool = False) -> None:
        """Put an order into the book; it takes part from the next bar (R12, R41).

        ``asleep``: inactive until the parent of its bracket has filled.
        """
        self._lives.accept(order, asleep=asleep)

    def refusal(self, contracts: float, price: float, mark: float, is_stop: bool) -> str | None:
        """Return why the venue would reject an order, None if it would not (R44)."""
        return self._venue.refusal(contracts, price, mark, len(self._book), is_stop=is_stop)

    def cancel(self, order: Order, reason: str) -> None:
        """End an order and its linked orders, and report them to the listener."""
        self._lives.end(order, OrderEnd.CANCELLED, reason)

    def resize(self, order: Order, contracts: float) -> None:
        """Change what is left of an order; its age and price stay."""
        order.contracts = contracts

    def working(self) -> list[Order]:
        """Return the orders in the book, inactive children included, older first."""
        return self._book.working()

    def find(self, key: int) -> Order | None:
        """Return a working order without a role, None if it does not work any more."""
        return self._book.unnamed.get(key)

    def entry_margin(self) -> float:
        """Return the initial margin of a book's working entries, each at its limit (R20)."""
        margin = 0.0
        for order in self._book.entries.values():
            margin += self.account.scheme.initial_margin(order.contracts, order.limit)
        return margin

    def available_balance(self, price: float) -> float:
        """Return what new entries may use: free balance less working entries' margin (R20)."""
        return self.account.free_balance(price) - self.entry_margin()

    def fill_now(self, order: Order) -> None:
        """Fill an order at its limit, maker, in this bar (``entry_fill: signal_close``)."""
        self._lives.fill_at_limit(order)

    def close_everything(self, role: Role, price: float) -> None:
        """Close all groups at a price as taker, in R23's order (R24)."""
        self._liquidation.close_everything(role, price)

    def unsettle(self) -> None:
        """Have the next bar processed in any case: the account was changed from outside."""
        self._state.quiet = None

    # ------------------------------------------------------------------ a bar
    def next_bar(self, values: BarValues) -> None:
        """Process a bar; ``values`` are those of a `Bar`."""
        time_ms, _, high, low, _, mark_open, mark_high, mark_low, _, _ = values
        state = self._state
        state.previous, self._values = self._values, values
        state.time_ms = time_ms
        due = time_ms >= self._book.due_ms and self._fall_due()
        if self.funding.next_ms < time_ms + self._bar_ms:
            self.funding.charge(mark_open)
        floor, ceiling, mark_floor, mark_ceiling = state.quiet or self._quiet_bounds(mark_open)
        if (
            floor < low
            and high < ceiling
            and mark_floor < mark_low
            and mark_high < mark_ceiling
            and not due
        ):
            return
        state.bar = Bar(*values)
        for step in self._plain_steps if self._book.unnamed else self._book_steps:
            step()
        state.step = SIGNALS
        if due:
            self._book.find_due()

    def _fall_due(self) -> bool:
        """End a book's expired orders; return whether the bar has to be processed in any case."""
        # R10: at the start of the bar that opens when the order's time has passed. Orders without
        # a role expire in their turn among the others.
        if self._book.unnamed:
            return True
        # Orders that an expiry makes take part from the open on (R11, R12).
        self._state.step = EXPIRIES
        for order in self._book.working():
            if order.alive and order.expired(self._state.time_ms):
                self._lives.end(order, OrderEnd.EXPIRED, "its time had passed")
        self._state.step = SIGNALS
        self._book.find_due()
        return False

    def _quiet_bounds(self, mark: float) -> tuple[float, float, float, float]:
        below, above = self.account.liquidation_prices(mark)
        # A price equal within rounding liquidates (R23).
        bounds = (*self._book.bounds(), below * (1.0 + EQUAL), above * (1.0 - EQUAL))
        self._state.quiet = bounds
        return bounds
