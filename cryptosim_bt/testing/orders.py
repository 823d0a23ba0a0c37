"""What the exchange for tests keeps of orders, fills and positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cryptosim_bt.accounting.contracts import Leg, Side
from cryptosim_bt.testing.market import Market

PosSide = Literal["long", "short", "net"]
MarginMode = Literal["cross", "isolated"]

LIVE, PARTLY, FILLED, CANCELED = "live", "partially_filled", "filled", "canceled"


class Refused(Exception):
    """The exchange says no: a code of OKX and its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Fill:
    """One fill; ``fee`` is a cost in ``currency``, ``pnl`` is realised and before the fee."""

    order: Order
    trade_id: str
    bill_id: str
    time_ms: int
    contracts: float
    price: float
    fee: float
    pnl: float
    maker: bool
    # Time from which history shows it: a fault may delay it.
    shown_ms: int = 0


@dataclass(slots=True)
class Order:
    """An order with what has become of it; contracts are never negative, prices are quotes."""

    market: Market
    ord_id: str
    cl_ord_id: str
    is_buy: bool
    pos_side: PosSide
    ord_type: str
    contracts: float
    price: float | None
    mode: MarginMode
    reduce_only: bool
    leverage: float
    created_ms: int
    updated_ms: int
    tag: str = ""
    category: str = "normal"
    state: str = LIVE
    filled: float = 0.0
    average: float = 0.0
    fee: float = 0.0
    pnl: float = 0.0
    cancel_source: str = ""
    fills: list[Fill] = field(default_factory=list)
    # Fields of the last amendment, for its push.
    amendment: dict[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        """Whether it still works."""
        return self.state in (LIVE, PARTLY)

    @property
    def left(self) -> float:
        """Contracts that are not filled."""
        return self.contracts - self.filled

    @property
    def side(self) -> Side:
        """The side of what a buy or sell of a net position opens."""
        return "long" if self.is_buy else "short"

    @property
    def opens(self) -> bool:
        """Whether it opens contracts; in net mode: whether it may."""
        if self.pos_side == "net":
            return not self.reduce_only
        return self.pos_side == self.side


@dataclass(slots=True)
class Position:
    """A position or leg; closed it stays, with no contracts, as OKX lists it."""

    market: Market
    pos_side: PosSide
    mode: MarginMode
    pos_id: str
    side: Side
    leverage: float
    contracts: float = 0.0
    average: float = 0.0
    margin: float = 0.0
    pnl: float = 0.0
    fee: float = 0.0
    funding: float = 0.0
    penalty: float = 0.0
    trade_id: str = ""
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def leg(self) -> Leg:
        """What accounting calls it."""
        return Leg(self.side, self.contracts, self.average)

    def upl(self, price: float) -> float:
        """Return the unrealised PnL at a price."""
        if not self.contracts:
            return 0.0
        return self.market.contract.pnl(self.side, self.contracts, self.average, price)

    def initial_margin(self, price: float) -> float:
        """Return the margin that it needs at a price, or what is isolated for it."""
        if self.mode == "isolated":
            return self.margin
        return self.market.contract.initial_margin(self.contracts, price, self.leverage)
