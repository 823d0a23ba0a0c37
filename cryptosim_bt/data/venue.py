"""A venue through ccxt: its markets, candles, funding rates and margin tiers.

The only module that imports ccxt, and not before a venue is made: the import takes half a second.
What comes back is plain data of ours; what goes wrong is a `VenueError` that says whether asking
again can help, and what can help was asked again already, with growing pauses.

An empty answer is believed only from a well-formed one: a proxy's page in place of JSON would
otherwise come out of ccxt as "there is nothing".
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from cryptosim_bt.data.market import (
    Candle,
    Market,
    Price,
    Tiers,
    candle_of,
    market_of,
    tier_of,
)
from cryptosim_bt.data.timeframe import milliseconds
from cryptosim_bt.errors import VenueError, VenueRefused, VenueUnavailable

# One exchange under several names (regions); the host is the difference.
_OKX_FAMILY: Final = ("okx", "okxus", "myokx")
_USUAL_PAGE: Final = 100
_TIER_QUESTIONS: Final = 3
# OKX answers these with plain ExchangeErrors, but they pass with time.
_PASSING_CODES: Final = ("50061", "50040")

# What ccxt's parsers raise for JSON that is not of the venue's form.
_MISREADINGS: Final = (TypeError, KeyError, ValueError, AttributeError, IndexError)

_Answer = TypeVar("_Answer")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request that may pass is repeated, and after which pauses.

    A venue that never answered yet is asked `at_first` times more only: most likely there is no
    connection at all, and the user should learn it soon.

    The pause before repetition ``k`` (from 0) is ``first_s * 2**k`` seconds, at most ``longest_s``,
    of which a random half is taken off, so that two programs do not ask in step.
    """

    times: int = 7
    at_first: int = 3
    first_s: float = 0.5
    longest_s: float = 30.0

    def pause_s(self, repetition: int, draw: float) -> float:
        """Return the pause before a repetition; ``draw`` lies in [0, 1)."""
        full = min(self.longest_s, self.first_s * 2.0**repetition)
        return full * (1.0 - 0.5 * draw)


class Venue:
    """One exchange, by its ccxt id such as ``okx``, asked over REST without keys.

    ``rest_url`` is asked in place of the exchange's own host: a gateway, or a server for tests.
    ``retries`` are for what may pass: connections, time-outs, rate limits, maintenance, malformed
    answers; ``request_interval_ms`` is the pause between requests of cost 1, None keeps ccxt's
    figure for the venue's rate limit.
    """

    def __init__(
        self,
        name: str,
        rest_url: str | None = None,
        *,
        retries: Retries | None = None,
        timeout_s: float = 10.0,
        request_interval_ms: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
        rng: np.random.Generator | None = None,
    ) -> None:
        import ccxt

        self._ccxt = ccxt
        if name not in ccxt.exchanges:
            raise VenueRefused(
                f"exchange.name: was {name!r}; allowed: the id of an exchange that ccxt "
                f"{ccxt.__version__} knows, such as okx"
            )
        options = {"fetchMarkets": {"types": ["swap"]}} if name in _OKX_FAMILY else {}
        self.name = name
        self._api: Any = getattr(ccxt, name)(
            {
                "timeout": round(timeout_s * 1000),
                "enableRateLimit": True,
                "enableLastHttpResponse": True,
                "options": {"defaultType": "swap", **options},
            }
        )
        if request_interval_ms is not None:
            self._api.rateLimit = request_interval_ms
        if rest_url is not None:
            self._api.urls["api"] = _redirected(self._api.urls["api"], rest_url.rstrip("/"))
        self._retries = retries or Retries()
        self._sleep = sleep
        self._rng = rng or np.random.default_rng()
        self._answered = False

    def close(self) -> None:
        """Close the connections."""
        session = getattr(self._api, "session", None)
        if session is not None:
            session.close()

    # ------------------------------------------------------------------ questions
    def now_ms(self) -> int:
        """Return the venue's time; the local clock's where the venue has no such question."""
        if not self._api.has.get("fetchTime"):
            return int(self._api.milliseconds())
        return int(self._ask("its time", self._api.fetch_time, lambda at: at is not None))

    def market(self, symbol: str) -> Market:
        """Return one market; `VenueRefused`, naming near ones, if the venue does not have it."""
        self._load_markets()
        if symbol not in self._api.markets:
            raise VenueRefused(self._unknown_symbol(symbol))
        return market_of(self._api.markets[symbol])

    def page_size(self, symbol: str, price: Price) -> int:
        """Return how many candles the venue gives at once, as far as ccxt knows."""
        self._load_markets()
        raw = self._api.markets.get(symbol) or {}
        features: Any = self._api.features or {}
        kind = "inverse" if raw.get("inverse") else "linear"
        known = ((features.get("swap") or {}).get(kind) or {}).get("fetchOHLCV") or {}
        found = known.get("mark" if price == "mark" else "limit") or known.get("limit")
        return int(found or _USUAL_PAGE)

    def candles(
        self, symbol: str, timeframe: str, price: Price, start_ms: int, end_ms: int
    ) -> list[Candle]:
        """Ask for the candles of ``start <= open < end``; at most a page of them comes back.

        They come ascending, each time once, prices and volumes as the venue gave them. An answer
        may hold candles outside the question, and miss some inside.
        """
        self._load_markets()
        ask = self._api.fetch_ohlcv
        if price == "mark":
            if not self._api.has.get("fetchMarkOHLCV"):
                raise VenueRefused(f"{self.name} gives no candles of the mark price")
            ask = self._api.fetch_mark_ohlcv
        if timeframe not in (self._api.timeframes or {}):
            known = ", ".join(self._api.timeframes or {})
            raise VenueRefused(f"{self.name} has no {timeframe} candles; it has: {known}")
        limit = (end_ms - start_ms) // milliseconds(timeframe)
        rows = self._ask(
            f"{timeframe} candles of {symbol}",
            lambda: ask(symbol, timeframe, since=start_ms, limit=limit),
        )
        found = {int(row[0]): candle_of(row) for row in rows}
        return [found[time_ms] for time_ms in sorted(found)]

    def funding_rates(
        self, symbol: str, start_ms: int, end_ms: int, limit: int = 100
    ) -> list[tuple[int, float]]:
        """Ask for a page of funding rates of ``start <= time < end``, ascending.

        OKX gives the newest of them (its ``since`` has no upper bound, so `end_ms` goes in as its
        ``after``), most other venues the oldest: see `newest_first`.
        """
        self._load_markets()
        if not self._api.has.get("fetchFundingRateHistory"):
            raise VenueRefused(f"{self.name} gives no history of funding rates")
        since: int | None = start_ms
        params: dict[str, Any] = {"until": end_ms - 1}
        if self.newest_first:
            since, params = None, {"after": str(end_ms)}
        rows = self._ask(
            f"funding rates of {symbol}",
            lambda: self._api.fetch_funding_rate_history(
                symbol, since=since, limit=limit, params=params
            ),
        )
        rates = {
            int(row["timestamp"]): float(row["fundingRate"])
            for row in rows
            if row.get("timestamp") is not None and row.get("fundingRate") is not None
        }
        return [(at, rates[at]) for at in sorted(rates) if start_ms <= at < end_ms]

    @property
    def newest_first(self) -> bool:
        """Whether a page of funding rates holds the newest of the span, not the oldest."""
        return self.name in _OKX_FAMILY

    def tiers(self, symbol: str) -> Tiers | None:
        """Return a market's margin tiers, None where the venue does not report them."""
        self._load_markets()
        question = f"margin tiers of {symbol}"
        if self._api.has.get("fetchMarketLeverageTiers") is True:
            for _ in range(_TIER_QUESTIONS):  # an empty answer may be a passing one
                rows = self._ask(question, lambda: self._api.fetch_market_leverage_tiers(symbol))
                if rows:
                    break
        elif self._api.has.get("fetchLeverageTiers"):
            every = self._ask(question, lambda: self._api.fetch_leverage_tiers([symbol]))
            rows = every.get(symbol) or []
        else:
            return None
        found = [tier_of(row) for row in rows]
        kept = sorted((tier for tier in found if tier is not None), key=lambda tier: tier.above)
        if not kept:
            return None
        return Tiers("contracts" if self.name in _OKX_FAMILY else "notional", tuple(kept))

    # ------------------------------------------------------------------ asking
    def _load_markets(self) -> None:
        if not self._api.markets:
            self._ask("its markets", self._api.load_markets, lambda answer: bool(answer))

    def _ask(
        self,
        question: str,
        ask: Callable[[], _Answer],
        accept: Callable[[_Answer], bool] = lambda answer: True,
    ) -> _Answer:
        """Ask, and ask again while that may help.

        `VenueUnavailable` when the last repetition failed too, `VenueRefused` when repeating cannot
        help.
        """
        times = self._retries.times if self._answered else self._retries.at_first
        for repetition in range(times + 1):
            self._api.last_http_response = None
            try:
                answer = ask()
                self._require_well_formed(question)
                self._answered = True
                if accept(answer):
                    return answer
                problem: VenueError = VenueUnavailable(
                    f"{self.name}: asked for {question}: the answer was empty"
                )
            except self._ccxt.BaseError as error:
                problem = self._mapped(question, error)
                problem.__cause__ = error
            except VenueUnavailable as error:
                problem = error
            except _MISREADINGS as error:  # ccxt stumbled over what it got
                problem = VenueUnavailable(
                    f"{self.name}: asked for {question}: the answer cannot be read "
                    f"({type(error).__name__})"
                )
                problem.__cause__ = error
            if isinstance(problem, VenueRefused) or repetition == times:
                break
            pause = self._retries.pause_s(repetition, float(self._rng.random()))
            logger.info("%s; asking again in %.1f s", problem, pause)
            self._sleep(pause)
        if isinstance(problem, VenueUnavailable):
            raise VenueUnavailable(
                f"{problem} (asked {times + 1} times); what was stored before is "
                "kept: try again later"
            ) from problem
        raise problem

    def _require_well_formed(self, question: str) -> None:
        """Refuse an answer that is not the venue's JSON: ccxt would read it as empty."""
        text = self._api.last_http_response
        if text is None:  # answered from memory
            return
        try:
            body = json.loads(text)
        except ValueError as error:
            raise VenueUnavailable(
                f"{self.name}: asked for {question}: the answer is no JSON, it begins with "
                f"{text[:40]!r}; is there a proxy or a login page in between?"
            ) from error
        if self.name not in _OKX_FAMILY:
            return
        known = isinstance(body, dict) and body.get("code") == "0"
        if not known or not isinstance(body.get("data"), list):
            raise VenueUnavailable(
                f"{self.name}: asked for {question}: the answer is not of OKX's form, it begins "
                f"with {text[:40]!r}"
            )

    def _mapped(self, question: str, error: Exception) -> VenueError:
        """Turn an error of ccxt into one of ours."""
        ccxt, asked, said = self._ccxt, f"{self.name}: asked for {question}: ", self._reason(error)
        if type(error) is ccxt.ExchangeError and self._may_pass(str(error)):
            return VenueUnavailable(asked + said)
        passing = (
            (ccxt.RequestTimeout, f"no answer in {self._api.timeout / 1000:g} s"),
            ((ccxt.RateLimitExceeded, ccxt.DDoSProtection), "too many requests"),
            (ccxt.OnMaintenance, "the exchange is under maintenance"),
            ((ccxt.NetworkError, ccxt.OperationFailed), said),
        )
        for kinds, text in passing:
            if isinstance(error, kinds):
                return VenueUnavailable(asked + text)
        final = (
            (ccxt.BadSymbol, f"no such market ({said}); check the symbol"),
            (ccxt.AuthenticationError, f"access refused ({said}); public data need no key"),
            (ccxt.NotSupported, f"{self.name} does not give that through ccxt"),
        )
        texts = (text for kinds, text in final if isinstance(error, kinds))
        return VenueRefused(asked + next(texts, f"refused: {said}"))

    def _may_pass(self, text: str) -> bool:
        """Tell whether an error that ccxt does not know is one that passes, or no answer of OKX."""
        if self.name not in _OKX_FAMILY:
            return False
        try:
            code = json.loads(text.removeprefix(f"{self.name} "))["code"]
        except (ValueError, KeyError, TypeError):
            return True
        return code in _PASSING_CODES

    def _reason(self, error: Exception) -> str:
        """Return what is worth saying of an error of ccxt, in at most 160 characters."""
        text = str(error).removeprefix(f"{self.name} ")
        try:
            body = json.loads(text)
            text = f"code {body['code']}: {body['msg']}"
        except (ValueError, KeyError, TypeError):
            if text.startswith(("GET ", "POST ")):  # method, address, and what the server said
                address, _, said = text.partition(" ")[2].partition(" ")
                text = f"{address.partition('?')[0]} answered {said}"
                if not said and error.__cause__ is not None:
                    cause = type(error.__cause__).__name__
                    text = f"no connection to {address.partition('?')[0]} ({cause})"
        return text.splitlines()[0][:160] if text else type(error).__name__

    def _unknown_symbol(self, symbol: str) -> str:
        base = symbol.partition("/")[0]
        near = sorted(
            known for known, raw in self._api.markets.items()
            if raw.get("swap") and known.startswith(f"{base}/")
        )[:5]  # fmt: skip
        hint = f"; its perpetuals of {base}: {', '.join(near)}" if near else ""
        return f"{self.name} has no market {symbol!r}{hint}"


def _redirected(urls: Any, rest_url: str) -> Any:
    """Put another host into every http address of ccxt's table."""
    if isinstance(urls, dict):
        return {key: _redirected(value, rest_url) for key, value in urls.items()}
    if isinstance(urls, str):
        return re.sub(r"^https?://[^/]+", lambda _: rest_url, urls)
    return urls
