"""Interfaces between a strategy and its broker: broker, follower, ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import backtrader as bt

from cryptosim_bt.accounting.book_events import BookEvent
from cryptosim_bt.accounting.orders import Command
from cryptosim_bt.accounting.position_book import PositionBook


class Follower(Protocol):
    """A strategy with a book of its own; its broker calls it with every event."""

    @property
    def book(self) -> PositionBook:
        """The strategy's book, the other half of R21."""

    def on_event(self, event: BookEvent) -> None:
        """Take in what happened, and answer with `TradingBroker.carry_out` at once."""


class TradingBroker(Protocol):
    """All that a `SignalStrategy` uses of a broker, simulated or live.

    Every request of the strategy is answered by events to its follower: only those say what was
    done. backtrader itself asks any broker for more (``getcommissioninfo``, ``getcash``).
    """

    @property
    def now_ms(self) -> int:
        """Open of the bar that has just closed; within a bar's events, of the matching bar."""

    @property
    def last_price(self) -> float:
        """The last trade's price: the close of the bar."""

    @property
    def mark_price(self) -> float:
        """What positions are valued at (R38)."""

    @property
    def may_trade(self) -> bool:
        """Whether signals are acted on; false while bars of the past are filled in."""

    def follow(self, follower: Follower) -> None:
        """Report everything to a strategy from now on."""

    def equity(self) -> float:
        """Return balance plus unrealised PnL at the mark, in settlement currency."""

    def available_balance(self) -> float:
        """Return what new entries may use (R20)."""

    def initial_margin(self, contracts: float, price: float) -> float:
        """Return the initial margin that an order needs (R20)."""

    def carry_out(self, commands: Sequence[Command]) -> None:
        """Carry out the whole answer of the book to one event, together."""


class Ledger(Protocol):
    """Records orders and money of a strategy without a book, as things happen."""

    def order_changed(self, order: bt.Order) -> None:
        """Take in an order that was sent, accepted, filled or ended; the exchange's too."""

    def on_event(self, event: BookEvent) -> None:
        """Take in what the exchange did by itself: closed contracts, funding, a forgiven sum."""

    def on_cash(self, amount: float) -> None:
        """Take in money that was paid in, or out if negative."""
