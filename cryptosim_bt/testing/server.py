"""The HTTP side of the exchange for tests: requests in, answers out, and their faults."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from cryptosim_bt.testing.access import Access
from cryptosim_bt.testing.account_routes import ACCOUNT_READS, SETTINGS
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.faults import REQUEST_FAULTS, Fault
from cryptosim_bt.testing.market import Clock
from cryptosim_bt.testing.market_routes import MARKET_READS
from cryptosim_bt.testing.order_routes import ACTIONS, OTHERS, Envelope, carry_out, envelope
from cryptosim_bt.testing.orders import Refused
from cryptosim_bt.testing.queries import Asked

_HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
# HTTP statuses that OKX gives errors with; others come with 200.
_STATUS = {"50011": 429, "50061": 429, "51149": 500, "50001": 503, "50004": 400, "50013": 429,
           "50026": 500, "50100": 403, "50101": 401, "50102": 401, "50103": 401, "50105": 401,
           "50111": 401, "50112": 401, "50113": 401, "50110": 401}  # fmt: skip
_FOR_EVER_S = 3600.0
READS = {**MARKET_READS, **ACCOUNT_READS}


class RestApi:
    """Answers requests to ``/api/v5``.

    Parameters
    ----------
    exchange
        Whose state they read and change.
    clock
        Whose time is reached before each request.
    access
        Checks keys and rates.
    """

    def __init__(self, exchange: FakeExchange, clock: Clock, access: Access) -> None:
        self._exchange = exchange
        self._clock = clock
        self._access = access
        # (method, path with query, body) of every request, for assertions.
        self.requests: list[tuple[str, str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, with the first fault on order that meets it."""
        body = await request.text()
        self.requests.append((request.method, request.raw_path, body))
        text = f"{request.method} {request.raw_path} {body}"
        fault = self._exchange.faults.take(
            *REQUEST_FAULTS, text=text, now_ms=self._clock.now_ms
        )
        if fault is None:
            return _response(*self._answer(request, body))
        return await self._answer_badly(request, body, fault)

    # ------------------------------------------------------------------ well
    def _answer(self, request: web.Request, body: str) -> tuple[int, Envelope]:
        self._exchange.advance_to(self._clock.now_ms)
        method, path = request.method, request.path.removeprefix("/api/v5/")
        reading = method == "GET"
        known = path in READS if reading else path in (*SETTINGS, *ACTIONS, *OTHERS)
        if not known or not request.path.startswith("/api/v5/"):
            return 404, {"code": 404, "data": {}, "detailMsg": "", "error_code": "404",
                         "error_message": "Not Found", "msg": "Not Found"}  # fmt: skip
        try:
            if not path.startswith(("public/", "market/", "system/")):
                self._access.check_request(method, request.raw_path, request.headers, body)
            args = dict(request.query) if reading else _json(body)
            self._access.check_rate(method, path, args)
            return 200, self._carry_out(path, reading, self._asked(request, args))
        except Refused as refusal:
            answer = envelope(None, refusal.code, refusal.message)
            if refusal.code in _STATUS:
                del answer["data"]
            return _STATUS.get(refusal.code, 200), answer

    def _asked(self, request: web.Request, args: Any) -> Asked:
        given = request.headers.get("expTime", "")
        shown = self._clock.now_ms + self._clock.skew_ms
        return Asked(args, int(given) if given.isdigit() else None, shown)

    def _carry_out(self, path: str, reading: bool, asked: Asked) -> Envelope:
        if reading:
            return envelope(READS[path](self._exchange, asked))
        if path in ACTIONS:
            stamp = f"{asked.shown_ms}000"
            answer = carry_out(self._exchange, path, asked)
            return {**answer, "inTime": stamp, "outTime": stamp}
        if path in OTHERS:
            return OTHERS[path](self._exchange, asked)
        return envelope(SETTINGS[path](self._exchange, asked))

    # ------------------------------------------------------------------ badly
    async def _answer_badly(
        self, request: web.Request, body: str, fault: Fault
    ) -> web.StreamResponse:
        kind, details = fault.kind, fault.details
        seconds = float(details.get("seconds", 1.0))
        if kind == "late_request":
            await _sleep(seconds)
        carried_out = kind in ("lost_answer", "late_answer", "late_request")
        answer: tuple[int, Envelope] = (200, envelope())
        if carried_out or details.get("processed", False):
            answer = self._answer(request, body)
        if kind in ("lost_request", "lost_answer"):
            await _sleep(float(details.get("seconds", _FOR_EVER_S)))
        elif kind == "late_answer":
            await _sleep(seconds)
        if kind in ("lost_request", "lost_answer", "reset"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return _bad_response(kind, details, answer)


def _bad_response(
    kind: str, details: dict[str, Any], answer: tuple[int, Envelope]
) -> web.Response:
    if kind in ("http", "html"):
        status = int(details.get("status", 502)) if kind == "http" else 200
        body = details.get("body", _HTML)
        return web.Response(status=status, text=body, content_type="text/html")
    if kind == "empty":
        return _response(200, envelope())
    if kind == "cut":
        text = json.dumps(answer[1])
        return web.Response(text=text[: len(text) // 2], content_type="application/json")
    if kind == "code":
        code = str(details["code"])
        status = int(details.get("status", _STATUS.get(code, 200)))
        message = str(details.get("message", "Order timed out. Please try again."))
        if details.get("inside"):
            row = {"clOrdId": "", "ordId": "", "tag": "", "sCode": code, "sMsg": message}
            return _response(200, envelope([row]))
        return _response(status, envelope(None, code, message))
    return _response(*answer)


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


def _response(status: int, answer: Envelope) -> web.Response:
    return web.Response(status=status, text=json.dumps(answer), content_type="application/json")


def _json(body: str) -> Any:
    try:
        found = json.loads(body or "{}")
    except ValueError:
        raise Refused("50002", "JSON syntax error") from None
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in rows):
        raise Refused("50002", "JSON syntax error")
    return found
