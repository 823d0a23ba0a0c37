"""An account at a venue through ccxt: orders, fills, positions, money, candles.

Beside `data/venue.py` the only module that imports ccxt, and not before an account is opened. All
of it runs in one asyncio loop.

What is asked of orders is in `venue_orders.py`, what is asked for in `venue_reads.py`; both have
ccxt's client from here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.data.market import Market, market_of
from cryptosim_bt.data.venue import Retries
from cryptosim_bt.errors import InputError, VenueError, VenueRefused, VenueUnavailable
from cryptosim_bt.live.adapter import Adapter, Verdict
from cryptosim_bt.live.credentials import Credentials
from cryptosim_bt.live.venue_clock import VenueClock

# How long the venue may take to get to an order, in the machine's time.
EXPIRY_MS = 5_000

# What parsers raise for JSON that is not of the venue's form.
MISREADINGS = (TypeError, KeyError, ValueError, AttributeError, IndexError)

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """Which account of which venue, and how to reach it."""

    exchange: str
    symbol: str
    margin_mode: str = "cross"
    is_demo: bool = True
    rest_url: str | None = None
    ws_url: str | None = None
    time_scale: float = 1.0
    timeout_s: float = 10.0


class VenueAccount:
    """One account and one market. `open` first, `close` at last, in one running loop."""

    def __init__(
        self,
        options: AccountOptions,
        adapter: Adapter,
        credentials: Credentials | None,
        *,
        retries: Retries | None = None,
    ) -> None:
        import ccxt.pro

        if options.exchange not in ccxt.pro.exchanges:
            raise VenueRefused(
                f"exchange.name: was {options.exchange!r}; allowed: an exchange that ccxt trades "
                "with by streams, such as okx"
            )
        self._ccxt = ccxt
        self.base_error: type[Exception] = ccxt.BaseError
        self.options = options
        self.adapter = adapter
        self.clock = VenueClock(options.time_scale)
        self._credentials = credentials
        self._retries = retries or Retries()
        # What is dropped by the venue's time waits in the machine's, however fast the former runs.
        self.expiry_ms = EXPIRY_MS * options.time_scale
        self.api = self._made()

    def _made(self) -> Any:
        options, keys = self.options, self._credentials
        access = {} if keys is None else {
            "apiKey": keys.key, "secret": keys.secret, "password": keys.password,
        }  # fmt: skip
        api = getattr(self._ccxt.pro, options.exchange)(
            {
                **access,
                **self.adapter.options(options.rest_url, options.ws_url, is_demo=options.is_demo),
                "timeout": round(options.timeout_s * 1000),
                # ccxt's one bucket for all would hold an order up behind a question. The venue's
                # limits are by endpoint; what is asked here stays below them by its pauses.
                "enableRateLimit": False,
            }
        )
        # ccxt's own debug messages hold the headers, and those the keys.
        api.logger.setLevel(logging.INFO)
        # The venue's time everywhere: signatures of requests and of the streams' login too.
        api.milliseconds = self.clock.now_ms
        api.seconds = lambda: self.clock.now_ms() // 1000
        self._signed, self._handled = api.sign, api.handle_errors
        api.sign, api.handle_errors = self._sign, self._check_answer
        return api

    def _sign(self, path: str, *args: Any, **kwargs: Any) -> Any:
        signed = self._signed(path, *args, **kwargs)
        if signed["method"] == "POST":
            deadline = round(self.clock.now_ms() + self.expiry_ms)
            expiry = self.adapter.with_expiry(signed["url"], deadline)
            signed["headers"] = {**(signed.get("headers") or {}), **expiry}
        return signed

    def _check_answer(
        self, status: int, reason: str, url: str, method: str, headers: Any, text: str,
        answer: Any, *others: Any,
    ) -> Any:  # fmt: skip
        """Let nothing through that is no answer: ccxt would read it as "there is nothing"."""
        fault = self.adapter.envelope_fault(url, method, answer)
        if fault:
            raise self._ccxt.ExchangeError(f"{self.adapter.name} {fault}")
        if fault is not None:
            raise self._ccxt.ExchangeNotAvailable(
                f"{method} {url.partition('?')[0]} answered {status} with no answer of the venue, "
                f"it begins with {str(text)[:40]!r}"
            )
        return self._handled(status, reason, url, method, headers, text, answer, *others)

    # ------------------------------------------------------------------ life
    async def open(self) -> Market:
        """Learn the venue's time and the market; return the market's facts."""
        await self.sync_clock()
        markets = await self.read("its markets", self.api.load_markets)
        raw = markets.get(self.options.symbol)
        if raw is None:
            raise VenueRefused(
                f"trading.symbol: {self.options.exchange} has no market {self.options.symbol!r}"
            )
        return market_of(raw)

    async def close(self) -> None:
        """Close every connection."""
        await self.api.close()

    async def sync_clock(self) -> float:
        """Ask the venue's time; return by how many market ms it was off what we thought."""

        async def ask() -> float:
            sent = self.clock.seconds()
            told = await self.api.fetch_time()
            return self.clock.told(int(told), sent, self.clock.seconds())

        return await self.read("its time", ask)

    async def is_hedged(self) -> bool:
        """Tell whether the account holds both sides at once."""
        found = await self.read("the position mode", self.api.fetch_position_mode)
        return bool(found["hedged"])

    async def prepare(self, leverage: float) -> None:
        """See that the account holds both sides at once, and set the leverage.

        Raises
        ------
        VenueRefused
            If the venue refuses either: positions or orders are in the way.
        """
        api, symbol, mode = self.api, self.options.symbol, self.options.margin_mode
        # Asked again where that may help, like a question: set twice is as set once.
        if not await self.is_hedged():
            await self.read("hedge mode", lambda: api.set_position_mode(True))
        sides: tuple[str | None, ...] = (None,) if mode == "cross" else SIDES
        for side in sides:
            params = {"marginMode": mode} | ({} if side is None else {"posSide": side})
            await self.read(
                f"leverage {leverage:g}",
                lambda params=params: api.set_leverage(leverage, symbol, params),  # type: ignore[misc]
            )

    # ------------------------------------------------------------------ streams
    def listen(self, heard: Callable[[str, Any], None]) -> None:
        """Hand every push to a function at once: (``candles``, ``account`` or ``broken``, data).

        ccxt's own results only keep the sockets alive: it drops whether a candle is closed, wakes
        nobody for a push in between, and goes deaf at a push that it cannot read.
        """
        handle = self.api.handle_message

        def handled(client: Any, message: Any) -> None:
            about = self.adapter.channel(message)
            if about is not None:
                heard(about, message["data"])
            try:
                handle(client, message)
            except Exception as error:
                # Raised further it would end the receive loop, and with it the socket.
                logger.warning("a push cannot be read: %s", self.said(error))
                heard("broken", None)

        self.api.handle_message = handled

    async def watch_candles(self, timeframe: str) -> None:
        """Keep the stream of candles going until it breaks."""
        await self.api.watch_ohlcv(self.options.symbol, timeframe)

    async def watch_orders(self) -> None:
        """Keep the stream of orders going until it breaks."""
        await self.api.watch_orders(self.options.symbol)

    async def drop_streams(self) -> None:
        """Close and forget all sockets: after a failed login ccxt would wait for ever."""
        for client in list(self.api.clients.values()):
            await client.close()
        self.api.clients.clear()

    # ------------------------------------------------------------------ asking
    async def read(self, question: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and ask again while that may help."""
        for repetition in range(self._retries.times + 1):
            try:
                return await ask()
            except self.base_error as error:
                problem = self.error(f"for {question}", error)
            except MISREADINGS as error:
                kind = type(error).__name__  # an answer that is not of the venue's form
                problem = VenueUnavailable(
                    f"{self.options.exchange}: asked for {question}: the answer cannot be read "
                    f"({kind})"
                )
            if isinstance(problem, VenueRefused) or repetition == self._retries.times:
                break
            await asyncio.sleep(self._retries.pause_s(repetition, random.random()) / 4)
        raise problem

    def error(self, asked: str, error: Exception) -> VenueError:
        """Return an error of ccxt as one of ours; it holds no key."""
        said = f"{self.options.exchange}: asked {asked}: {self.said(error)}"
        passes = self.verdict(error) in (Verdict.UNKNOWN, Verdict.NOT_DONE)
        return VenueUnavailable(said) if passes else VenueRefused(said)

    def verdict(self, error: Exception) -> Verdict:
        """Return what an error of ccxt says of what was asked."""
        told = self.adapter.verdict(str(error))
        if told is not None:
            return told
        local = (self._ccxt.InvalidOrder, self._ccxt.BadRequest, self._ccxt.ArgumentsRequired,
                 self._ccxt.NotSupported)  # fmt: skip
        if isinstance(error, self._ccxt.AuthenticationError):
            return Verdict.FATAL
        return Verdict.REFUSED if isinstance(error, local) else Verdict.UNKNOWN

    def said(self, error: Exception) -> str:
        """Return the words of an error of ccxt, without keys."""
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return text if self._credentials is None else self._credentials.hidden(text)


def adapter_of(exchange: str) -> Adapter:
    """Return the adapter of a venue.

    Raises
    ------
    InputError
        For a venue that has none.
    """
    from cryptosim_bt.live.okx import Okx

    if exchange not in ("okx", "okxus", "myokx"):
        raise InputError(
            f"exchange.name: was {exchange!r}; allowed with mode: live and paper: okx, okxus, myokx"
        )
    return Okx()
