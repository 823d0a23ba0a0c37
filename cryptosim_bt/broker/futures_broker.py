"""FuturesBroker: the simulated exchange behind backtrader's broker interface.

The exchange decides what a bar does; this module turns it into backtrader orders, notifications,
cash and value, and calls the follower (`SignalStrategy`) at once, within the bar, so that its book
can answer with orders before the bar is over (R13, R16).
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import backtrader as bt

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.book_events import BookEvent, Forgiven, Funded
from cryptosim_bt.accounting.contracts import Side, sign
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.accounting.orders import Command, Execution, FundingPayment, OrderEnd
from cryptosim_bt.broker.back_broker_calls import (
    PLAIN_INSTRUMENT,
    StockBrokerCalls,
    check_run,
    default_commission,
    traded_contracts,
)
from cryptosim_bt.broker.backtrader_time import epoch_ms
from cryptosim_bt.broker.book_desk import BookDesk
from cryptosim_bt.broker.commission import scheme_of
from cryptosim_bt.broker.order_desk import OrderDesk
from cryptosim_bt.broker.order_margin import OrderMargin
from cryptosim_bt.broker.size_unit import SizeUnit
from cryptosim_bt.broker.trading_broker import Follower, Ledger
from cryptosim_bt.errors import InputError
from cryptosim_bt.exchange.fill_rules import FillRules
from cryptosim_bt.exchange.matching_bars import MatchingBars
from cryptosim_bt.exchange.order_book import Order
from cryptosim_bt.exchange.simulated_exchange import SimulatedExchange
from cryptosim_bt.exchange.venue_limits import VenueRules

logger = logging.getLogger(__name__)


class FuturesBroker(StockBrokerCalls, bt.BrokerBase):
    """A futures exchange for one data, in hedge or in one-way mode.

    ``getvalue`` is the equity at the last mark price, ``getcash`` the available balance (R20). A
    `SignalStrategy`'s book sends commands (`carry_out`). Any other backtrader strategy trades the
    net position as it would with stock BackBroker, or a leg with ``side="long"`` or ``"short"``
    (`order_desk.py`).

    Params:

      - ``cash``: initial balance in settlement currency
      - ``instrument``: the market's `Instrument`; None = linear, one coin a contract, no grids
      - ``fill_rules``: `FillRules`
      - ``timeframe_ms``: length of a bar of the data
      - ``matching_bars``: `MatchingBars` that fill orders in its place; None = the data's own
      - ``matching_ms``: length of those
      - ``volume_unit``: what the data's volume counts: ``"contracts"``, ``"base"`` or ``"quote"``
      - ``size_unit``: what sizes of plain orders count: ``"contracts"`` or ``"base"`` (coins)
      - ``has_mark``: whether they carry a mark price
      - ``margin_mode``: ``"cross"`` or ``"isolated"``
      - ``venue_rules``: `VenueRules`
      - ``funding``: sequence of (epoch ms, rate)
      - ``fill_at_signal_close``: whether a book's entries fill as they are placed, at their limit
      - ``close_at_end``: whether a recorded run closes what is open at its last bar
      - ``fundmode``, ``fundstartval``: as BackBroker's
      - ``commission``: default scheme, usually a `FuturesCommission`; None = the instrument's
        contract without fees at leverage 1
    """

    params = (
        ("cash", 1.0),
        ("instrument", None),
        ("fill_rules", FillRules()),
        ("timeframe_ms", 3_600_000),
        ("matching_bars", None),
        ("matching_ms", None),
        ("volume_unit", "contracts"),
        ("size_unit", "contracts"),
        ("has_mark", False),
        ("margin_mode", "cross"),
        ("venue_rules", VenueRules()),
        ("funding", ()),
        ("fill_at_signal_close", False),
        ("close_at_end", False),
        ("fundmode", False),
        ("fundstartval", 100.0),
        ("commission", None),
    )

    may_trade = True  # every bar of a backtest is one to act on

    def __init__(self) -> None:
        if self.p.commission is None:
            self.p.commission = default_commission(self.p.instrument)
        super().__init__()
        self.startingcash = self.p.cash
        self._notifications: deque[bt.Order | None] = deque()
        self.follower: Follower | None = None
        self.ledger: Ledger | None = None
        self.traded_data: bt.feed.DataBase | None = None
        self._desk: OrderDesk | None = None
        self._runs = False
        self._book_desk: BookDesk
        # Before the run there is the initial balance.
        self._equity: Callable[..., float] = self._initial_cash
        self._available: Callable[..., float] = self._initial_cash
        self.now_ms = 0
        self.last_price = self.mark_price = math.nan
        # Whether anybody receives orders that neither fill nor move money; see LeanCerebro.
        self.notify_all = True
        self.account: Account
        self.exchange: SimulatedExchange

    def start(self) -> None:
        """Open the account with the scheme of the first data."""
        super().start()
        self._runs = True
        self._data = self.traded_data = self.cerebro.datas[0]
        lines = self._data.lines
        # Looked up once: backtrader finds a data's line by name at every access.
        self._lines = (lines.datetime, lines.open, lines.high, lines.low, lines.close)
        # A broker may run more than once (optstrategy).
        self._bars_seen = self.now_ms = 0
        self.last_price = self.mark_price = math.nan
        self.follower, self.notify_all = None, True
        self._notifications.clear()
        self._open()

    def _open(self) -> None:
        """Open the account and the exchange with what was set."""
        instrument: Instrument = self.p.instrument or PLAIN_INSTRUMENT
        self._comminfo = super().getcommissioninfo(self._data)
        self.unit = SizeUnit.of(self.p.size_unit, instrument)
        self._shown = self.unit.shown(self._comminfo)
        check_run(self._data, self._comminfo, self.p)
        scheme = scheme_of(self._comminfo, instrument.maintenance_margin_rate)
        self.account = Account(scheme, self.p.cash, self.p.margin_mode)
        self._shares = self.p.cash / self.p.fundstartval
        self._matching: MatchingBars | None = self.p.matching_bars
        if self._matching is not None:
            self._matching.rewind()
        self.exchange = SimulatedExchange(
            self.account,
            instrument,
            self.p.fill_rules,
            self.p.matching_ms or self.p.timeframe_ms,
            self.p.funding,
            listener=self,
            venue=self.p.venue_rules,
            has_mark=self.p.has_mark,
        )
        self._margin = OrderMargin(self.account, self.exchange, self._comminfo)
        self.exchange.use_money(self._margin)
        self._equity, self._available = self.account.equity, self._margin.cash
        self._desk = None
        self._book_desk = BookDesk(
            self, self._comminfo, self.p.cash, fill_at_close=self.p.fill_at_signal_close
        )

    def _settings_change(self, call: str) -> None:
        """Open the account again if a strategy sets its money before the first bar.

        In a run of a configuration its ledger refuses that.
        """
        if not self._runs or self.ledger is not None:
            return
        if self._bars_seen or self.follower is not None:
            raise InputError(
                f"broker.{call}: called in the middle of a run, whose fills are booked with what "
                "was set before; call it before cerebro.run() or in the strategy's __init__ (money "
                "in between: broker.add_cash)"
            )
        self._open()

    def stop(self) -> None:
        """End the run; the books are compared as the last bar left them (R21)."""
        self._book_desk.bar_closed()
        self._runs = False

    def follow(self, follower: Follower) -> None:
        """Report everything to a strategy with a book as it happens."""
        self.follower = follower

    # ------------------------------------------------------------------ money
    def getcommissioninfo(self, data: bt.feed.DataBase) -> bt.CommInfoBase:
        """Return the scheme of a data; of the traded one in the unit of a strategy's sizes."""
        if data is self.traded_data and self.follower is None and self._runs:
            return self._shown
        return super().getcommissioninfo(data)

    def _initial_cash(self, _: float) -> float:
        # A method, not a lambda: optstrategy pickles the broker.
        return self.p.cash

    def getcash(self) -> float:
        """Return the available balance at the last mark price (R20)."""
        return self._available(self.mark_price)

    def getvalue(
        self, datas: list[bt.feed.DataBase] | None = None, mkt: bool = False, lever: bool = False
    ) -> float:
        """Return the equity at the last mark price; of given datas their positions' value.

        ``mkt``: of all positions. ``lever``: with a stock-like scheme's leverage in them.
        """
        if datas is None and not (mkt or lever):
            return self._equity(self.mark_price)
        if datas is not None and self._data not in datas:
            return 0.0
        value = self._margin.value(self.mark_price, levered=lever or datas is not None)
        return value if mkt or datas is not None else value + self.getcash()

    get_cash = getcash
    get_value = getvalue

    def equity(self) -> float:
        """Return the equity at the last mark price."""
        return self._equity(self.mark_price)

    def available_balance(self) -> float:
        """Return the available balance at the last mark price (R20)."""
        return self._available(self.mark_price)

    def add_cash(self, cash: float) -> bool:
        """Pay money in, or out if negative; return whether it was done.

        As at an exchange, a transfer out of more than the available balance (R20) is refused,
        with a warning.
        """
        available = self.getcash()
        if not -available <= cash < math.inf:
            logger.warning(
                "add_cash: was %r, refused; allowed: a number, and out no more than the available "
                "balance, %r", cash, available,
            )  # fmt: skip
            return False
        if self.getvalue() > 0.0:
            self._shares += cash / self.get_fundvalue()
        if self.traded_data is None:
            self.p.cash += cash
        else:
            self.account.deposit(cash)
            self.exchange.unsettle()
            if self.ledger is not None:
                self.ledger.on_cash(cash)
        return True

    def initial_margin(self, contracts: float, price: float) -> float:
        """Return the initial margin that an order needs (R20)."""
        return self.account.scheme.initial_margin(contracts, price)

    def getposition(
        self, data: bt.feed.DataBase, side: Side | None = None, clone: bool = True
    ) -> bt.Position:
        """Return a leg as a backtrader position, or both netted when no side is named.

        The net one of a strategy without a book is always the same object, which goes on.
        """
        if data is not self.traded_data:
            return bt.Position()
        if side is None and self.follower is None:
            return self._order_desk().position
        legs = self.account.legs
        long, short = legs["long"], legs["short"]
        if side is not None:
            leg = legs[side]
            return bt.Position(sign(side) * self.unit.size(leg.contracts), leg.average)
        size = long.contracts - short.contracts
        return bt.Position(size, (long if size > 0 else short).average if size else 0.0)

    # ------------------------------------------------------------------ orders
    def buy(self, owner: bt.Strategy, data: bt.feed.DataBase, size: float, **options: Any) -> Any:
        """Place an order to buy, of a strategy without a book."""
        return self._order_desk().submit(bt.BuyOrder, owner, data, size, **options)

    def sell(self, owner: bt.Strategy, data: bt.feed.DataBase, size: float, **options: Any) -> Any:
        """Place an order to sell; see `buy`."""
        return self._order_desk().submit(bt.SellOrder, owner, data, size, **options)

    def _order_desk(self) -> OrderDesk:
        if self._desk is None:
            self._desk = OrderDesk(self, self.unit, self._margin, self._shown)
        return self._desk

    def cancel(self, order: bt.Order | None, reason: str = "cancelled by the strategy") -> bool:
        """Take an order out of the book; return False if it is none, or works no more."""
        if order is None:
            return False
        if self._book_desk.cancel(order, reason):
            return True
        return self._desk is not None and self._desk.cancel(order, reason)

    def carry_out(self, commands: Sequence[Command]) -> None:
        """Carry out the whole answer of a book to one event, together."""
        self._book_desk.carry_out(commands)

    def get_orders_open(self, safe: bool = False) -> list[bt.Order]:
        """Return the working orders, older first."""
        orders = self._book_desk.open_orders()
        return orders if self._desk is None else [*orders, *self._desk.open_orders()]

    # ------------------------------------------------------------------ backtrader's clock
    def next(self) -> None:
        """Let the exchange process the data's current bar."""
        time, open_, high, low, close = self._lines
        if time.lencount == self._bars_seen:
            return  # another data's bar
        self._bars_seen = time.lencount
        self._book_desk.bar_closed()
        # Read from the arrays: backtrader's line[0] is two calls for what is one look-up. Each line
        # has an index of its own, since `exactbars` keeps no more of it than is asked for.
        day = time.array[time._idx]
        opened = epoch_ms(day)
        desk = self._desk
        if desk is not None and desk.sent:
            desk.before_bar(day, self._after(opened))
        self.now_ms = opened
        self.last_price = last = close.array[close._idx]
        if self._matching is None:
            self.mark_price = last
            volume = math.inf
            if self.p.fill_rules.max_volume_share is not None:
                volume = traded_contracts(self._data, self.p.instrument, self.p.volume_unit)
            first, top = open_.array[open_._idx], high.array[high._idx]
            bottom = low.array[low._idx]
            self.exchange.next_bar(
                (opened, first, top, bottom, last, first, top, bottom, last, volume)
            )
        else:
            for values in self._matching.between(opened, opened + self.p.timeframe_ms):
                self.now_ms, self.mark_price = values[0], values[8]
                self.exchange.next_bar(values)
            self.now_ms = opened
        if desk is not None:
            desk.after_bar()

    def _after(self, opened: int) -> int:
        """Return when an order that was sent with the whole bar known takes part at first."""
        if self._matching is None:
            return opened + 1  # the next bar, however far it is
        return opened + self.p.timeframe_ms + int(self.p.fill_rules.latency_ms)

    def get_notification(self) -> bt.Order | None:
        """Return the next notification for backtrader, None when there is none."""
        if not self._notifications:
            return None
        order = self._notifications.popleft()
        if self._desk is not None:
            self._desk.before_delivery(order)
        return order

    def notify(self, order: bt.Order) -> None:
        """Queue an order as it stands for backtrader; the ledger receives it at once."""
        self.queue(order)
        if self.ledger is not None:
            self.ledger.order_changed(order)

    def queue(self, order: bt.Order) -> None:
        """Queue an order as it stands for backtrader."""
        self._notifications.append(order.clone())

    # ------------------------------------------------------------------ ExchangeListener
    def entry_group(self, order: Order) -> int:
        """Return the tradeid of the Position that an entry joins as it fills."""
        return self._book_desk.entry_group(order)

    def filled(self, working: Order | None, executions: tuple[Execution, ...]) -> None:
        """Hand a fill to the desk whose holding it is of."""
        execution = executions[0]
        if self._desk is None or not self._desk.owns(execution.group):
            self._book_desk.filled(working, execution)
        elif working is not None:
            self._desk.filled(working, executions)
        else:
            self._desk.liquidated(execution)
            if self.ledger is not None:
                self.ledger.on_event(execution)

    def triggered(self, working: Order) -> None:
        """Pass on a stop that goes on as a market order; only a book needs it."""
        self._book_desk.triggered(working)

    def resized(self, working: Order) -> None:
        """Pass on reduced contracts of an order: its sibling filled, or it was cut to the cash."""
        assert self._desk is not None  # a book's orders are not reduced so
        self._desk.resized(working)

    def ended(self, working: Order, end: OrderEnd, reason: str) -> None:
        """Hand an order that left the exchange's book to its desk."""
        if working.role is None and self._desk is not None:
            self._desk.ended(working, end, reason)
        else:
            self._book_desk.ended(working, end, reason)

    def funded(self, funding: FundingPayment) -> None:
        """Report a funding cash flow to the follower, or the ledger."""
        self._report(Funded(funding))

    def forgiven(self, shortfall: float) -> None:
        """Report a shortfall to the follower, or the ledger."""
        logger.warning("the exchange forgave a shortfall of %.8f", shortfall)
        self._report(Forgiven(shortfall, self.now_ms))

    def _report(self, event: BookEvent) -> None:
        receiver = self.ledger if self.follower is None else self.follower
        if receiver is not None:
            receiver.on_event(event)
