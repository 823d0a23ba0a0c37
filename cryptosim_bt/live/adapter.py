"""What a venue tells and is asked, as values of ours, and what an adapter of a venue must answer.

`venue_account.py` talks through ccxt; what ccxt leaves to each venue (parameters of its own, what
stands in the raw answers, what its error codes mean) an adapter knows. `okx.py` is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Protocol

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.data.market import Candle

OrderState = Literal["open", "filled", "cancelled"]
# What closed contracts without an order of anybody's.
ByItself = Literal["", "liquidation", "deleveraging"]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to be placed: a limit, or a market order where ``price`` is None."""

    client_id: str
    side: Side
    opens: bool
    contracts: float
    price: float | None


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue has it; ``contracts`` is its whole size, filled or not."""

    venue_id: str
    client_id: str
    side: Side
    opens: bool
    contracts: float
    price: float | None
    filled: float
    state: OrderState
    updated_ms: int
    by_itself: ByItself = ""


@dataclass(frozen=True, slots=True)
class VenueFill:
    """A fill as the venue booked it; ``fee`` is a cost, ``pnl`` against the leg's average."""

    trade_id: str
    order_id: str
    client_id: str
    side: Side
    opens: bool
    price: float
    contracts: float
    fee: float
    pnl: float
    is_maker: bool
    time_ms: int
    by_itself: ByItself = ""


@dataclass(frozen=True, slots=True)
class VenueBill:
    """A funding cash flow of the market; ``change`` is + where received."""

    bill_id: str
    contracts: float
    price: float
    change: float
    balance: float
    time_ms: int


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A leg as the venue has it."""

    side: Side
    contracts: float
    average: float
    leverage: float
    margin_mode: str


@dataclass(frozen=True, slots=True)
class VenueBalance:
    """The settlement currency's balance; ``equity`` with unrealised PnL."""

    cash: float
    equity: float
    available: float
    maintenance_margin: float


class Verdict(Enum):
    """What an error says of what was asked."""

    REFUSED = "refused"  # certain: not done, and not worth repeating unchanged
    NOT_DONE = "not done"  # certain: not done, may be repeated
    UNKNOWN = "unknown"  # may have been done: ask
    OVER = "over"  # the order is not there (any more): ask which
    FATAL = "fatal"  # keys, permissions: stop


class Adapter(Protocol):
    """All that is asked of a venue's adapter. Nothing in it goes to a network."""

    name: str
    client_id_length: int
    """Longest client id; letters and digits are allowed everywhere."""

    def options(
        self, rest_url: str | None, ws_url: str | None, *, is_demo: bool
    ) -> dict[str, Any]:
        """Return what ccxt's class is made with, beside keys and time-outs."""

    def order_params(self, request: OrderRequest, margin_mode: str) -> dict[str, Any]:
        """Return what ``create_order`` needs beside the unified arguments."""

    def with_expiry(self, url: str, deadline_ms: int) -> dict[str, str]:
        """Return headers that let the venue drop a request after a time of its clock."""

    def envelope_fault(self, url: str, method: str, answer: Any) -> str | None:
        """Return what keeps an answer from being the venue's: "" malformed, else its text."""

    def verdict(self, text: str) -> Verdict | None:
        """Return what an error's text says; None where it holds no code of the venue."""

    def order(self, raw: Mapping[str, Any]) -> VenueOrder:
        """Read an order."""

    def fill(self, raw: Mapping[str, Any]) -> VenueFill:
        """Read a fill."""

    def position(self, raw: Mapping[str, Any]) -> VenuePosition | None:
        """Read a leg; None where it holds nothing."""

    def funding_bill(self, raw: Mapping[str, Any]) -> VenueBill | None:
        """Read a funding bill; None for a bill of another kind."""

    def balance(self, raw: Mapping[str, Any], currency: str) -> VenueBalance:
        """Read the balance of a currency."""

    def candle_question(
        self, native: str, timeframe: str, start_ms: int, end_ms: int, *, recent: bool
    ) -> tuple[str, dict[str, str]]:
        """Return ccxt's method and its parameters for candles of ``start <= open < end``.

        ``recent`` where the start lies not further back than the venue's list of recent ones.
        """

    def closed_candles(self, raw: Sequence[Sequence[Any]]) -> list[Candle]:
        """Read candles that the venue says are closed, ascending; volumes in coins."""

    def channel(self, message: Any) -> str | None:
        """Return what a stream's message is about: ``candles``, ``account``, None for neither."""
