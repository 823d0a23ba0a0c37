"""The one asyncio thread: what the strategy's thread asks goes in, messages come out of a queue."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from cryptosim_bt.data.market import Candle, Market
from cryptosim_bt.errors import CryptoSimError, VenueRefused, VenueUnavailable
from cryptosim_bt.live.adapter import (
    ByItself,
    OrderRequest,
    VenueBalance,
    VenueBill,
    VenueFill,
    VenueOrder,
    VenuePosition,
)
from cryptosim_bt.live.venue_account import VenueAccount
from cryptosim_bt.live.venue_orders import Answer, OrderQuestions
from cryptosim_bt.live.venue_reads import AccountQuestions

T = TypeVar("T")
# Pause before a broken stream is asked for again: OKX allows three connections a second.
_STREAM_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OrderAnswered:
    """What became of what was asked of an order; ``change`` is the asker's count."""

    client_id: str
    change: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there was at the venue: orders first, then fills, then legs and money.

    ``watched`` are the orders that were asked about, each with the asker's count; ``orders`` those
    of them that the venue knows, ``others`` all else that works. Legs, money and bills are None in
    one that only asks for orders and fills.
    """

    asked_ms: int
    watched: Mapping[str, int]
    orders: Mapping[str, VenueOrder]
    others: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    legs: tuple[VenuePosition, ...] | None = None
    balance: VenueBalance | None = None
    bills: tuple[VenueBill, ...] | None = None
    clock_off_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Candles:
    """Closed candles, of a stream or asked for up to ``asked_to_ms``."""

    rows: tuple[Candle, ...]
    asked_to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened at the account, or a stream broke: time to ask."""

    is_broken: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Something asked for failed, for now or (``is_final``) for good."""

    what: str
    error: CryptoSimError
    is_final: bool = False


Message = OrderAnswered | Snapshot | Candles | Hint | Failed


@dataclass(slots=True)
class SnapshotQuestion:
    """What a snapshot is asked for; ``is_ours`` tells orders of this journal by their ids.

    ``what``: only fills, orders too, or all with legs, money and bills.
    """

    watched: dict[str, int]
    since_ms: int
    what: Literal["fills", "orders", "all"]
    is_ours: Callable[[str], bool] = field(repr=False)


class Connection:
    """Runs an account in a thread of its own.

    Parameters
    ----------
    make
        Makes the account, in that thread.
    currency
        Whose balance counts.
    """

    def __init__(self, make: Callable[[], VenueAccount], currency: str) -> None:
        self._make = make
        self._currency = currency
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="venue", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._causes: dict[str, ByItself] = {}
        self.account: VenueAccount
        self.reads: AccountQuestions
        self.market: Market
        self._orders: OrderQuestions

    # ------------------------------------------------------------------ life
    def open(self) -> Market:
        """Start the thread and open the account; return the market's facts."""
        self._thread.start()

        async def opened() -> Market:
            self.account = self._make()
            self.reads = AccountQuestions(self.account)
            self._orders = OrderQuestions(self.account)
            return await self.account.open()

        self.market = self.call(opened)
        return self.market

    def close(self) -> None:
        """Close the account and end the thread."""

        async def closed() -> None:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if hasattr(self, "account"):
                await self.account.close()

        self.call(closed)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def now_ms(self) -> int:
        """The venue's time."""
        return self.account.clock.now_ms()

    def call(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask and wait for the answer; for what comes before and after trading."""
        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    def next(self, timeout_s: float) -> Message | None:
        """Return the next message, None where none comes in time."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _start(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except CryptoSimError as error:
                final = isinstance(error, VenueRefused)
                self._messages.put(Failed(what, error, is_final=final))
            except Exception as error:  # ours: nothing may wait for an answer for ever
                logger.exception("%s failed", what)
                problem = VenueUnavailable(f"{what}: {type(error).__name__}")
                self._messages.put(Failed(what, problem))

        def begin() -> None:
            task = self._loop.create_task(guarded())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(begin)

    # ------------------------------------------------------------------ questions
    def place(self, request: OrderRequest, change: int) -> None:
        """Have an order placed."""
        self._answer(request.client_id, change, lambda: self._orders.place(request))

    def amend(self, order: VenueOrder, contracts: float, price: float, change: int) -> None:
        """Have an order amended."""
        self._answer(order.client_id, change, lambda: self._orders.amend(order, contracts, price))

    def cancel(self, order: VenueOrder, change: int) -> None:
        """Have an order cancelled."""
        self._answer(order.client_id, change, lambda: self._orders.cancel(order))

    def settle(self, client_id: str, change: int) -> None:
        """Have it found out what became of an order that an earlier run asked something of."""
        self._answer(client_id, change, lambda: self._orders.settle(client_id))

    def _answer(
        self, client_id: str, change: int, ask: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> None:
        async def asked() -> None:
            self._messages.put(OrderAnswered(client_id, change, await ask()))

        self._start(f"order {client_id}", asked())

    def ask_snapshot(self, question: SnapshotQuestion) -> None:
        """Have a snapshot taken."""

        async def asked() -> None:
            self._messages.put(await self._snapshot(question))

        self._start("a snapshot", asked())

    def ask_candles(self, timeframe: str, start_ms: int, end_ms: int) -> None:
        """Have closed candles asked for."""

        async def asked() -> None:
            rows = await self.reads.candles(timeframe, start_ms, end_ms)
            self._messages.put(Candles(tuple(rows), end_ms))

        self._start("candles", asked())

    async def _snapshot(self, question: SnapshotQuestion) -> Snapshot:
        reads, asked_ms = self.reads, self.now_ms
        working = [] if question.what == "fills" else await reads.open_orders()
        orders = {each.client_id: each for each in working if each.client_id in question.watched}
        for client_id in question.watched:
            if client_id not in orders:
                found = await self._orders.find(client_id)
                if found is not None:
                    orders[client_id] = found
        fills = [
            await self._explained(fill, question.is_ours)
            for fill in await reads.fills(question.since_ms)
        ]
        snapshot = Snapshot(
            asked_ms, question.watched, orders,
            tuple(each for each in working if each.client_id not in question.watched),
            tuple(fills),
        )  # fmt: skip
        if question.what != "all":
            return snapshot
        return replace(
            snapshot,
            legs=tuple(await reads.positions()),
            balance=await reads.balance(self._currency),
            bills=tuple(await reads.funding(self._currency, self.market.native, question.since_ms)),
            clock_off_ms=await self.account.sync_clock(),
        )

    async def _explained(self, fill: VenueFill, is_ours: Callable[[str], bool]) -> VenueFill:
        """Say of a fill that is not ours whether the venue closed by itself."""
        if fill.opens or is_ours(fill.client_id):
            return fill
        if fill.order_id not in self._causes:
            order = await self._orders.find("", fill.order_id)
            self._causes[fill.order_id] = "" if order is None else order.by_itself
        return replace(fill, by_itself=self._causes[fill.order_id])

    # ------------------------------------------------------------------ streams
    def watch(self, timeframe: str, *, is_private: bool) -> None:
        """Listen to candles, and to the account's orders, from now on."""
        self.account.listen(self._heard)
        self._start("candles", self._keep(lambda: self.account.watch_candles(timeframe)))
        if is_private:
            self._start("orders", self._keep(self.account.watch_orders))

    def _heard(self, about: str, data: Any) -> None:
        if about == "candles":
            rows = self.account.adapter.closed_candles(data)
            if rows:
                self._messages.put(Candles(tuple(rows)))
        else:
            self._messages.put(Hint(is_broken=about == "broken"))

    async def _keep(self, watch: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await watch()
            except Exception as error:  # whatever it was, the stream is begun anew
                logger.info("a stream broke: %s", self.account.said(error))
                await self.account.drop_streams()
                self._messages.put(Hint(is_broken=True))
                await asyncio.sleep(_STREAM_PAUSE_S)
