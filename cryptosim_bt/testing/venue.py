"""The exchange for tests as tests use it: a server in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import pandas as pd
from aiohttp import web
from aiohttp.typedefs import Handler

from cryptosim_bt.accounting.instrument import Instrument, known_instrument
from cryptosim_bt.errors import DataError
from cryptosim_bt.testing.access import Access, Keys
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.faults import Faults
from cryptosim_bt.testing.market import Clock, Market
from cryptosim_bt.testing.server import RestApi
from cryptosim_bt.testing.streams import Streams

_Value = TypeVar("_Value")
# How often, in seconds of the wall, a running clock moves the exchange.
_PULSE_S = 0.02
_PATIENCE_S = 60.0
# What a request that is being answered may still take when the server goes; 0 would be for ever.
_HANDLERS_S = 0.01


class FakeVenue:
    """OKX v5 on 127.0.0.1: HTTP and websockets, one account, prices out of given bars.

    Use it as a context manager. All of its work is done in its own thread; every method may be
    called from any other, also from the thread of an event loop that talks to it.

    Parameters
    ----------
    bars
        Bar tables by unified symbol (``BTC/USD:BTC``), or `Market` objects.
    balances
        Wallet of each currency.
    start_ms
        Its time at first; None = the first bar's open.
    time_scale
        Milliseconds of its time in one of the wall's; 0 = `advance_to` alone moves it.
    keys
        Key, secret, passphrase, and whether the account is a demo one.
    rate_limits
        Whether OKX's limits hold, by the wall clock.
    port
        To listen at; 0 = a free one.
    **settings
        Of `FakeExchange`: hedged, leverage, rules, price_band.
    """

    def __init__(
        self,
        bars: Mapping[str, pd.DataFrame] | list[Market],
        balances: Mapping[str, float],
        *,
        start_ms: int | None = None,
        time_scale: float = 0.0,
        keys: Keys | None = None,
        rate_limits: bool = True,
        port: int = 0,
        **settings: Any,
    ) -> None:
        markets = _markets(bars)
        start = int(markets[0].times[0]) if start_ms is None else start_ms
        self.keys = keys or Keys()
        self.clock = Clock(start, time_scale)
        self.exchange = FakeExchange(markets, dict(balances), start, **settings)
        self._access = Access(self.keys, self.clock, limited=rate_limits)
        self.rest = RestApi(self.exchange, self.clock, self._access)
        self.streams = Streams(self.exchange, self._access)
        self.exchange.listeners.append(self._hear)
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-venue", daemon=True)
        self._runner: web.AppRunner | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._killing: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    # ------------------------------------------------------------------ life
    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._listen())
        return self

    def __exit__(self, *error: object) -> None:
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> None:
        app = web.Application(middlewares=[self._keep_failures])
        app.router.add_get("/ws/v5/{kind:public|private|business}", self.streams.handle)
        app.router.add_route("*", "/{path:.*}", self.rest.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_HANDLERS_S)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = runner.addresses[0][1]
        self._runner = runner
        if self._pulse is None:
            self._pulse = asyncio.ensure_future(self._beat())

    @web.middleware
    async def _keep_failures(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Keep what is wrong with the venue itself for `__exit__`: a client sees only a 500."""
        try:
            return await handler(request)
        except Exception as error:
            self._failure = self._failure or error
            raise

    async def _beat(self) -> None:
        while True:
            try:
                if self.clock.time_scale:
                    self.exchange.advance_to(self.clock.now_ms)
                self.streams.pulse()
            except Exception as error:  # raised again to whoever closes the venue
                self._failure = self._failure or error
                return
            await asyncio.sleep(_PULSE_S)

    async def _stop_listening(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            for each in list(runner.server.connections if runner.server else ()):
                if each.transport is not None:
                    each.transport.abort()
            await runner.cleanup()

    async def _close(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        await self._stop_listening()
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def kill(self) -> None:
        """Break all connections and stop listening; state and port are kept."""
        self._await(self._stop_listening())

    def restart(self) -> None:
        """Listen again, at the same port."""
        self._await(self._listen())

    def _hear(self, word: str, about: Any) -> None:
        if word == "kill":
            self._killing = asyncio.ensure_future(self._stop_listening())

    # ------------------------------------------------------------------ addresses
    @property
    def rest_url(self) -> str:
        """What ccxt calls ``urls.api.rest``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """What ccxt calls ``urls.api.ws``."""
        return f"ws://127.0.0.1:{self.port}/ws/v5"

    def ccxt_config(self, **options: Any) -> dict[str, Any]:
        """Return what makes a ccxt ``okx`` talk to this venue; options are added to ccxt's own."""
        return {
            "apiKey": self.keys.api_key,
            "secret": self.keys.secret,
            "password": self.keys.passphrase,
            "urls": {"api": {"rest": self.rest_url, "ws": self.ws_url}},
            "headers": {"x-simulated-trading": "1"} if self.keys.demo else {},
            "has": {"fetchCurrencies": False},
            "options": {"defaultType": "swap", "fetchMarkets": {"types": ["swap"]}, **options},
        }

    # ------------------------------------------------------------------ time and state
    @property
    def faults(self) -> Faults:
        """Where faults are ordered."""
        return self.exchange.faults

    @property
    def now_ms(self) -> int:
        """Its time."""
        return self.clock.now_ms

    def advance_to(self, now_ms: int) -> None:
        """Let its time pass, with all that happens.

        It comes back when every push has been sent, or has waited a second for its reader.
        """

        async def advance() -> None:
            self.clock.set(now_ms)
            self.exchange.advance_to(self.clock.now_ms)
            self.streams.pulse()
            await self.streams.sent()

        self._await(advance())

    def set_time_scale(self, time_scale: float) -> None:
        """Let the clock run at another speed, 0 = stand still."""
        self.run(lambda: self.clock.set(self.clock.now_ms, time_scale))

    def run(self, action: Callable[[], _Value]) -> _Value:
        """Do something with `exchange` in the venue's own thread; return its result."""

        async def act() -> _Value:
            result = action()
            await self.streams.sent()
            return result

        return self._await(act())

    def _await(self, work: Coroutine[Any, Any, _Value]) -> _Value:
        waiting: Future[_Value] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return waiting.result(_PATIENCE_S)


def _markets(bars: Mapping[str, pd.DataFrame] | list[Market]) -> list[Market]:
    if isinstance(bars, list):
        return bars
    markets = []
    for symbol, table in bars.items():
        instrument: Instrument | None = known_instrument("okx", symbol)
        if instrument is None:
            raise DataError(f"FakeVenue: {symbol} is not a known instrument; give a Market")
        markets.append(Market(instrument, table))
    return markets
