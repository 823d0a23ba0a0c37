"""A local HTTP server that speaks OKX's public v5, with faults to order.

The real ccxt client talks to it; nothing is patched. An endpoint is a function from a `Request` to
a `Reply`, found by method and path in ``OkxServer.routes``: private endpoints join by being put
there, and faults, the request log and the envelope are theirs too.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.venue.faults import CONTENT_FAULTS, Fault, Faults
from tests.venue.market import STEPS, Exchange, Market, candle_rows

PAGE = "<!DOCTYPE html><html><head><title>Just a moment</title></head><body>Wait</body></html>"


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Reply:
    """One HTTP answer; ``rows`` go into OKX's envelope.

    ``key`` names the rows' series, for faults that hide rows; None where a fault must not.
    """

    rows: list[Any] = field(default_factory=list)
    code: str = "0"
    message: str = ""
    status: int = 200
    key: str | None = None
    unclosed: list[str] | None = None


Endpoint = Callable[[Request], Reply]


class OkxServer:
    """A venue on 127.0.0.1.

    Attributes
    ----------
    routes : dict
        Endpoint by (method, path).
    requests : list of Request
        Everything that was asked, in order.
    faults : Faults
        What goes wrong.
    """

    def __init__(self, exchange: Exchange, faults: Faults | None = None) -> None:
        self.exchange = exchange
        self.faults = faults or Faults()
        self.requests: list[Request] = []
        self.routes: dict[tuple[str, str], Endpoint] = {
            ("GET", "/api/v5/public/time"): self._time,
            ("GET", "/api/v5/public/instruments"): self._instruments,
            ("GET", "/api/v5/public/position-tiers"): self._tiers,
            ("GET", "/api/v5/public/funding-rate-history"): self._funding,
            ("GET", "/api/v5/market/candles"): self._candles(limit=300, reach=1440, mark=False),
            ("GET", "/api/v5/market/history-candles"): self._candles(300, None, mark=False),
            ("GET", "/api/v5/market/mark-price-candles"): self._candles(100, 1440, mark=True),
            ("GET", "/api/v5/market/history-mark-price-candles"): self._candles(
                100, None, mark=True
            ),
        }
        self._http: _Http | None = None
        self._port = 0

    # ------------------------------------------------------------------ running
    def start(self) -> OkxServer:
        """Listen; after `stop`, on the same port again."""
        venue = self

        class Handler(_Handler):
            server_of = venue

        self._http = _Http(("127.0.0.1", self._port), Handler)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http.cut()
            self._http = None

    def __enter__(self) -> OkxServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def asked(self, path: str) -> list[Request]:
        """Return the requests whose path contains a text."""
        return [request for request in self.requests if path in request.path]

    def answer(self, request: Request) -> Reply:
        """Answer a request; unknown routes get an error envelope, as OKX's do."""
        endpoint = self.routes.get((request.method, request.path))
        if endpoint is None:
            return Reply(code="404", message=f"no route {request.path}", status=404)
        return endpoint(request)

    # ------------------------------------------------------------------ public endpoints
    def _time(self, _: Request) -> Reply:
        return Reply([{"ts": str(self.exchange.now_ms())}])

    def _instruments(self, request: Request) -> Reply:
        kind = request.query.get("instType")
        rows = [market.instrument for market in self.exchange.markets.values()]
        return Reply([row for row in rows if row["instType"] == kind])

    def _tiers(self, request: Request) -> Reply:
        family = request.query.get("instFamily")
        for market in self.exchange.markets.values():
            if market.instrument["instFamily"] == family:
                return Reply(market.tiers)
        return Reply(code="51000", message="Parameter instFamily error")

    def _funding(self, request: Request) -> Reply:
        market = self._market(request)
        if market is None:
            return _no_such_instrument()
        after, before, limit = _span(request, 400)
        rows = [
            (at, rate) for at, rate in sorted(market.funding, reverse=True)
            if (after is None or at < after) and (before is None or at > before)
            and at <= self.exchange.now_ms()
        ][:limit]  # fmt: skip
        inst = market.instrument["instId"]
        return Reply(
            [
                {"fundingTime": str(at), "instId": inst, "instType": "SWAP",
                 "fundingRate": repr(rate), "realizedRate": repr(rate), "method": "current_period"}
                for at, rate in rows
            ],
            key=f"{inst} funding",
        )  # fmt: skip

    def _candles(self, limit: int, reach: int | None, *, mark: bool) -> Endpoint:
        def endpoint(request: Request) -> Reply:
            market = self._market(request)
            if market is None:
                return _no_such_instrument()
            bar = request.query.get("bar", "1m")
            if bar not in STEPS:
                return Reply(code="51000", message="Parameter bar error")
            after, before, count = _span(request, limit)
            table = (market.marks if mark else market.bars).get(bar)
            if table is None:
                return Reply()
            now, step = self.exchange.now_ms(), STEPS[bar]
            rows = candle_rows(table, step, after, before, count, now, reach, mark=mark)
            forming = now // step * step
            unclosed = [str(forming), *["1.0"] * 4, *([] if mark else ["1", "1.0", "1.0"]), "0"]
            return Reply(
                rows, key=f"{market.instrument['instId']} {bar} {mark}", unclosed=unclosed
            )

        return endpoint

    def _market(self, request: Request) -> Market | None:
        return self.exchange.markets.get(request.query.get("instId", ""))


def _no_such_instrument() -> Reply:
    return Reply(code="51001", message="Instrument ID doesn't exist.")


def _span(request: Request, most: int) -> tuple[int | None, int | None, int]:
    query = request.query
    after, before = query.get("after"), query.get("before")
    return (
        int(after) if after else None,
        int(before) if before else None,
        min(int(query.get("limit", "100")), most),
    )


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End the connections that clients keep open."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of these tests are killed in the middle of an answer."""


class _Handler(BaseHTTPRequestHandler):
    server_of: OkxServer
    protocol_version = "HTTP/1.1"
    # One packet for an answer, at once: else each waits 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self, method: str) -> None:
        venue = self.server_of
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method, parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()},
            dict(self.headers), self.rfile.read(length), time.monotonic(),
        )  # fmt: skip
        venue.requests.append(request)
        fault = venue.faults.draw(request.path)
        if fault is not None and fault not in CONTENT_FAULTS:
            self._line_fault(fault, request)
            return
        reply = venue.answer(request)
        rows = reply.rows
        if fault is not None and reply.key is not None and reply.code == "0":
            rows = self._distorted(fault, reply)
        self._send(reply.status, _envelope(rows, reply.code, reply.message))

    def _distorted(self, fault: Fault, reply: Reply) -> list[Any]:
        if fault is Fault.UNCLOSED:
            return [reply.unclosed, *reply.rows] if reply.unclosed else reply.rows
        named = [[next(iter(row.values()))] if isinstance(row, dict) else row for row in reply.rows]
        kept = self.server_of.faults.distort(fault, reply.key or "", named)
        by_name = {row[0]: whole for row, whole in zip(named, reply.rows, strict=True)}
        return [by_name[row[0]] for row in kept]

    def _line_fault(self, fault: Fault, request: Request) -> None:
        answers: dict[Fault, tuple[int, str]] = {
            Fault.TOO_MANY: (429, _envelope([], "50011", "Too Many Requests")),
            Fault.TOO_MANY_PLAIN: (429, "slow down"),
            Fault.SERVER_ERROR: (500, _envelope([], "50026", "System error.")),
            Fault.BAD_GATEWAY: (502, PAGE),
            Fault.UNAVAILABLE: (503, "Service Unavailable"),
            Fault.BUSY: (200, _envelope([], "50013", "Systems are busy.")),
            Fault.MAINTENANCE: (503, _envelope([], "50001", "Service temporarily unavailable.")),
            Fault.HTML: (200, PAGE),
            Fault.NOT_OKX: (200, '{"status": "ok"}'),
        }
        if fault in answers:
            self._send(*answers[fault])
            return
        if fault in (Fault.HALF_JSON, Fault.CUT_BODY):
            reply = self.server_of.answer(request)
            text = _envelope(reply.rows, reply.code, reply.message)
            half = text[: len(text) // 2]
            self._send(200, half, length=len(half if fault is Fault.HALF_JSON else text))
        elif fault is Fault.TIMEOUT:
            time.sleep(self.server_of.faults.timeout_s)
        elif fault is Fault.RESET:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if fault is not Fault.HALF_JSON:
            self.close_connection = True
            self.connection.close()

    def _send(self, status: int, text: str, length: int | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _envelope(rows: list[Any], code: str = "0", message: str = "") -> str:
    return json.dumps({"code": code, "msg": message, "data": rows})
