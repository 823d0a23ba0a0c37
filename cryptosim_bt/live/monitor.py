"""A run in the browser. It is watched through its journal; to end it needs the token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from cryptosim_bt.live.safety import ask_to_end
from cryptosim_bt.live.watching import ASSETS, Watcher

# Only this machine can reach what listens there.
LOCAL = ("127.0.0.1", "localhost")
# The page takes everything from here: nothing of another host can run in it, or frame it.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' "
    "'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(
    journal: Path, log: Path, *, token: str, is_local: bool, language: str, charts: Path
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    journal, log
        Of the run.
    token
        What every action needs in ``Authorization: Bearer``, and watching too but ``is_local``.
    is_local
        Whether only this machine can reach it.
    language
        ``ko`` or ``en``, until the page is told otherwise.
    charts
        The folder of uPlot.
    """
    watcher = Watcher(journal, log)
    files = {
        "page.css": ASSETS / "monitor.css", "page.js": ASSETS / "monitor.js",
        "words.json": ASSETS / "words.json", "uPlot.js": charts / "uPlot.iife.min.js",
        "uPlot.css": charts / "uPlot.min.css",
    }  # fmt: skip

    def has_token(request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    async def page(_: Request) -> Response:
        text = (ASSETS / "monitor.html").read_text("utf-8").replace("{language}", language)
        return Response(text, media_type="text/html", headers=_HEADERS)

    async def asset(request: Request) -> Response:
        path = files.get(request.path_params["name"])
        return _refused(404, "no such file") if path is None else FileResponse(path)

    async def data(request: Request) -> Response:
        if not is_local and not has_token(request):
            return _refused(401, "the token is missing or wrong")
        return JSONResponse(await run_in_threadpool(watcher.look), headers=_HEADERS)

    async def end(request: Request) -> Response:
        word = request.path_params["word"]
        if not has_token(request):
            return _refused(401, "the token is missing or wrong")
        if word not in ("stop", "flatten"):
            return _refused(404, "allowed: stop, flatten")
        # Nobody waits for the end here: the page sees it come.
        ended = await run_in_threadpool(ask_to_end, journal, word, 0.0)
        return JSONResponse({"running": ended is not None}, headers=_HEADERS)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/assets/{name}", asset),
            Route("/data", data),
            Route("/end/{word}", end, methods=["POST"]),
        ],
        # Another site's name that points here would otherwise be let in by the browser.
        middleware=[
            Middleware(
                TrustedHostMiddleware, allowed_hosts=list(LOCAL) if is_local else ["*"]
            )
        ],
    )  # fmt: skip


def _refused(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(text, status, headers=_HEADERS)


def serve(app: Callable[[Any, Any, Any], Awaitable[None]], host: str, port: int) -> None:
    """Serve an application until Ctrl-C."""
    import uvicorn

    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
