"""Commands and reports between the strategy's book and an exchange.

Plain values, the same in a backtest, on paper and live.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from cryptosim_bt.accounting.contracts import Side

# Contracts that differ by less than this share are the same: sums of lots in floats.
CONTRACT_TOLERANCE = 1e-9


class Role(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    SIGNAL_EXIT = "signal_exit"
    EXIT = "exit"  # of a strategy without a book: whatever closes
    LIQUIDATION = "liquidation"
    CLOSE_AT_END = "close_at_end"


class Liquidity(StrEnum):
    """Whether a fill rested in the book (maker) or took from it (taker)."""

    MAKER = "maker"
    TAKER = "taker"


class OrderEnd(StrEnum):
    """How an order left the book without being filled fully."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    MARGIN = "margin"


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """An order that the book wants.

    ``number`` counts the orders of a book from 1 in the order of their making and never
    changes. ``price`` is the limit, or the trigger of a stop-loss. ``group`` is the
    backtrader tradeid of the Position or set that it closes; an entry has 0 until it fills.
    ``expires_ms`` is the time from which it is over (R10), None for never.
    """

    number: int
    role: Role
    side: Side
    contracts: float
    price: float
    group: int = 0
    expires_ms: int | None = None

    @property
    def is_buy(self) -> bool:
        """Whether it buys: entries of a long, exits of a short."""
        return (self.side == "long") == (self.role is Role.ENTRY)


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A working order that the book no longer wants, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class ResizeOrder:
    """A working order whose contracts change and nothing else (the venue's amend)."""

    number: int
    contracts: float


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill as an exchange reports it.

    Parameters
    ----------
    number
        Order number, None for what the exchange did by itself (liquidation, close_at_end).
    group
        tradeid of the Position or set; for an entry that of the Position it joins.
    fee
        A cost in settlement currency, with its share of a liquidation fee.
    realized_pnl
        Against the leg's average entry, before the fee: what the fill moved the balance by.
    fill_id
        The venue's id of the fill, which shows duplicate reports; None where there are none (the
        simulated exchange).
    entry
        The holding's average that was closed against; 0 for what opens.
    balance
        The account's after it, as the exchange has it; None where it is not reported.
    """

    time_ms: int
    number: int | None
    role: Role
    side: Side
    group: int
    price: float
    contracts: float
    fee: float
    liquidity: Liquidity
    realized_pnl: float
    fill_id: str | None = None
    entry: float = 0.0
    balance: float | None = None

    def split(self, contracts: float) -> tuple[Execution, Execution | None]:
        """Split a fill into a part with ``contracts`` and the rest, with their shares of money.

        Without a rest, or with one of rounding error only, return the whole fill and None.
        """
        if self.contracts <= contracts * (1.0 + CONTRACT_TOLERANCE):
            return self, None
        share = contracts / self.contracts
        part = replace(
            self,
            contracts=contracts,
            fee=self.fee * share,
            realized_pnl=self.realized_pnl * share,
        )
        rest = replace(
            self,
            contracts=self.contracts - contracts,
            fee=self.fee - part.fee,
            realized_pnl=self.realized_pnl - part.realized_pnl,
        )
        return part, rest


@dataclass(frozen=True, slots=True)
class UnknownFill:
    """A fill, or the rest of one, that the book cannot place, and why: a call to reconcile.

    The book has booked nothing of ``execution``, whose contracts and fee are those of the rest.
    """

    execution: Execution
    reason: str


Command = PlaceOrder | CancelOrder | ResizeOrder | UnknownFill


class FundingPayment(NamedTuple):
    """One leg's funding at one funding time (R22); the most frequent record of a run.

    Parameters
    ----------
    time_ms
        Open of the bar in which it was charged.
    due_ms
        The funding time.
    rate
        A fraction of the notional; a positive one is paid by longs.
    price
        What the notional was taken at: the bar's open, of the mark where there is one.
    contracts
        Held by the leg, before the bar's fills.
    payment
        Cash flow in settlement currency, + = received.
    balance
        After it.
    """

    time_ms: int
    due_ms: int
    side: Side
    rate: float
    price: float
    contracts: float
    payment: float
    balance: float
