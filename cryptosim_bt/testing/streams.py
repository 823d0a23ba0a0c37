"""The websockets of the exchange for tests: logins, subscriptions, pushes, and their faults."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiohttp import WSMsgType, web

from cryptosim_bt.testing import answers
from cryptosim_bt.testing.access import Access
from cryptosim_bt.testing.answers import Row
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.faults import PUSH_FAULTS
from cryptosim_bt.testing.orders import Fill, Order, Refused
from cryptosim_bt.testing.pushes import MarketPushes, account_event, snapshot

_PUBLIC = ("tickers", "trades", "mark-price", "funding-rate", "instruments", "status")
_PRIVATE = ("orders", "positions", "account", "balance_and_position")
# What a socket that says nothing is closed after.
_IDLE_S = 30.0
_HEARTBEAT_MS = 5000
# How long to wait for a client to read: it may be the one who waits for us.
_PATIENCE_S = 1.0

Arg = dict[str, str]


class Connection:
    """One socket: what it has subscribed to, and frames on their way to it in order."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, number: int) -> None:
        self.path = request.path
        self._request = request
        self.socket = socket
        self.name = f"c{number}"
        self.logged_in = False
        self.args: list[Arg] = []
        self.heard = time.monotonic()
        self.silent_until = 0.0
        self.kept_back: list[str] = []
        self._frames: asyncio.Queue[str] = asyncio.Queue()
        self.writer = asyncio.ensure_future(self._write())

    @property
    def silent(self) -> bool:
        """Whether a fault keeps it from saying anything."""
        return time.monotonic() < self.silent_until

    def send(self, frame: str) -> None:
        """Send a frame after those that are on their way."""
        if not self.silent and not self.socket.closed:
            self._frames.put_nowait(frame)

    def answer(self, **fields: Any) -> None:
        """Send what is no push."""
        self.send(json.dumps({**fields, "connId": self.name}))

    async def sent(self) -> None:
        """Wait until all frames are out, the socket is gone, or nobody reads them."""
        empty = asyncio.ensure_future(self._frames.join())
        either = {empty, self.writer}
        await asyncio.wait(either, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        empty.cancel()

    async def _write(self) -> None:
        while True:
            frame = await self._frames.get()
            try:
                if not self.socket.closed:
                    await self.socket.send_str(frame)
            except ConnectionError:
                pass  # the other side has gone; its receiving loop ends the connection
            finally:
                self._frames.task_done()

    def drop(self) -> None:
        """Break it without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()


class Streams:
    """All sockets of one exchange.

    Parameters
    ----------
    exchange
        Whose events are pushed.
    access
        Checks logins and the rate of connections.
    """

    def __init__(self, exchange: FakeExchange, access: Access) -> None:
        self._exchange = exchange
        self._access = access
        self._market = MarketPushes(exchange)
        self._count = 0
        self._last_beat = exchange.now_ms
        self.connections: list[Connection] = []
        # (path, frame) of everything received, pings too, for assertions.
        self.received: list[tuple[str, str]] = []
        exchange.listeners.append(self.hear)

    # ------------------------------------------------------------------ one socket
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve a socket until it is closed."""
        if not self._access.check_connection():
            return web.Response(status=429, text="Too Many Requests")
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self._count += 1
        connection = Connection(request, socket, self._count)
        self.connections.append(connection)
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    connection.heard = time.monotonic()
                    await self._receive(connection, message.data)
        finally:
            self.connections.remove(connection)
            connection.writer.cancel()
        return socket

    async def _receive(self, connection: Connection, frame: str) -> None:
        self.received.append((connection.path, frame))
        if frame == "ping":
            connection.send("pong")
            return
        try:
            request = json.loads(frame)
            op, args = request["op"], request["args"]
        except (ValueError, KeyError, TypeError):
            connection.answer(event="error", code="60012", msg=f"Illegal request: {frame}")
            return
        if op == "login":
            await self._login(connection, args[0])
        elif op == "subscribe":
            for arg in args:
                self._subscribe(connection, arg)
        elif op == "unsubscribe":
            for arg in args:
                connection.args = [each for each in connection.args if each != arg]
                connection.answer(event="unsubscribe", arg=arg)
        else:
            connection.answer(event="error", code="60012", msg=f"Illegal request: {frame}")

    async def _login(self, connection: Connection, args: Row) -> None:
        now = self._exchange.now_ms
        fault = self._exchange.faults.take("ws_refuse_login", text=connection.path, now_ms=now)
        try:
            if fault is not None:
                raise Refused(str(fault.details.get("code", "60009")), "Login failed.")
            self._access.check_login(args)
        except Refused as refusal:
            connection.answer(event="error", code=refusal.code, msg=refusal.message)
            if fault is None or fault.details.get("close"):
                await connection.sent()
                await connection.socket.close()
            return
        connection.logged_in = True
        connection.answer(event="login", code="0", msg="")

    def _subscribe(self, connection: Connection, arg: Arg) -> None:
        channel, refusal = str(arg.get("channel")), None
        candle = channel.startswith(("candle", "mark-price-candle"))
        socket = connection.path.rpartition("/")[2]
        allowed = {"public": channel in _PUBLIC, "business": candle,
                   "private": channel in _PRIVATE}.get(socket, False)  # fmt: skip
        if "instId" in arg and arg["instId"] not in self._exchange.markets:
            allowed = False
        if not allowed:
            refusal = ("60018", f"Wrong URL or channel:{channel},instId:{arg.get('instId')} "
                       "doesn't exist. Please use the correct URL, channel and parameters")
        elif channel in _PRIVATE and not connection.logged_in:
            refusal = ("60011", "Please log in")
        if refusal is not None:
            connection.answer(event="error", code=refusal[0], msg=refusal[1])
            return
        if arg not in connection.args:
            connection.args.append(arg)
        connection.answer(event="subscribe", arg=arg)
        rows = snapshot(self._exchange, arg)
        if rows is None:
            rows = self._market.rows(arg)
        if rows:
            self._push(connection, arg, rows)

    # ------------------------------------------------------------------ pushes
    def hear(self, word: str, about: Any) -> None:
        """Push what the exchange tells of."""
        if word == "order":
            order, fill = about
            self._push_order(order, fill)
        elif word in ("position", "account"):
            for connection, arg in self._subscribed(_PRIVATE):
                rows = account_event(self._exchange, word, about, arg)
                if rows:
                    self._push(connection, arg, rows)
        elif word == "time":
            start, end = about
            for connection, arg in self._subscribed():
                for rows in self._market.passed(arg, start, end):
                    self._push(connection, arg, rows)
            self._beat(end)

    def _push_order(self, order: Order, fill: Fill | None) -> None:
        row = answers.order_push(order, fill)
        for connection, arg in self._subscribed(("orders",)):
            ours = arg.get("instType") in ("ANY", "SWAP")
            if ours and arg.get("instId", row["instId"]) == row["instId"]:
                self._push(connection, arg, [row])

    def _beat(self, now_ms: int) -> None:
        """Push positions and account every five seconds of the exchange's time."""
        if now_ms - self._last_beat < _HEARTBEAT_MS:
            return
        self._last_beat = now_ms
        for connection, arg in self._subscribed(("positions", "account")):
            rows = snapshot(self._exchange, arg)
            if rows:
                self._push(connection, arg, rows)

    def _subscribed(self, channels: tuple[str, ...] = ()) -> list[tuple[Connection, Arg]]:
        return [(each, arg) for each in list(self.connections) for arg in each.args
                if not channels or arg["channel"] in channels]  # fmt: skip

    def _push(self, connection: Connection, arg: Arg, rows: list[Any]) -> None:
        told = {**arg, "uid": "1"} if arg["channel"] in _PRIVATE else arg
        frame = json.dumps({"arg": told, "data": rows})
        fault = self._exchange.faults.take(*PUSH_FAULTS, text=frame, now_ms=self._exchange.now_ms)
        if fault is None:
            self._send(connection, frame)
        elif fault.kind == "push_reordered":
            connection.kept_back.append(frame)
        elif fault.kind == "push_late":
            seconds = float(fault.details.get("seconds", 1.0))
            asyncio.get_running_loop().call_later(seconds, connection.send, frame)
        elif fault.kind == "push_duplicated":
            self._send(connection, frame)
            connection.send(frame)

    def _send(self, connection: Connection, frame: str) -> None:
        connection.send(frame)
        for late in connection.kept_back:
            connection.send(late)
        connection.kept_back.clear()

    # ------------------------------------------------------------------ time and faults
    def pulse(self) -> None:
        """Do what sockets do by themselves: break, fall silent, be closed when they are idle."""
        take, now = self._exchange.faults.take, self._exchange.now_ms
        for connection in list(self.connections):
            path = connection.path
            if take("ws_drop", text=path, now_ms=now) is not None:
                connection.drop()
            if (silence := take("ws_silence", text=path, now_ms=now)) is not None:
                seconds = float(silence.details.get("seconds", 3600.0))
                connection.silent_until = time.monotonic() + seconds
            if take("ws_notice", text=path, now_ms=now) is not None:
                connection.answer(
                    event="notice", code="64008",
                    msg="The connection will soon be closed for a service upgrade. "
                    "Please reconnect.",
                )  # fmt: skip
            if time.monotonic() - connection.heard > _IDLE_S:
                connection.drop()

    async def sent(self) -> None:
        """Wait until every frame is out."""
        for connection in list(self.connections):
            await connection.sent()
