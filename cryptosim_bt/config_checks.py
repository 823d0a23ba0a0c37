"""How keys of a configuration must agree with one another. Each check names the key to mend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptosim_bt.errors import ConfigError
from cryptosim_bt.instrument import split_symbol, trade_type_of
from cryptosim_bt.timeframe import utc_time

if TYPE_CHECKING:
    from cryptosim_bt.config import Keys

Problem = tuple[tuple[str, ...], str]

_TRADE_TYPES = {
    1: "USDT-margined (BASE/USDT:USDT)",
    2: "USDC-margined (BASE/USDC:USDC)",
    3: "coin-margined (BASE/USD:BASE)",
}


def unavailable(keys: Keys) -> list[Problem]:
    """Return the keys that are understood but not built yet."""
    asked: list[tuple[tuple[str, ...], object, str]] = [
        (("mode",), keys.mode if keys.mode != "backtest" else None, "backtest"),
        (("data", "fill_timeframe"), keys.data.fill_timeframe, "leave it out"),
        (("data", "fill_path"), keys.data.fill_path, "leave it out"),
        (("data", "mark_path"), keys.data.mark_path, "leave it out"),
        (("instrument", "tiers"), keys.instrument.tiers, "maintenance_margin_rate"),
        (
            ("trading", "margin_mode"),
            keys.trading.margin_mode if keys.trading.margin_mode != "cross" else None,
            "cross",
        ),
        (
            ("trading", "position_mode"),
            keys.trading.position_mode if keys.trading.position_mode != "hedge" else None,
            "hedge",
        ),
    ]
    return [
        (path, f"was {value!r}, which is not available yet; allowed now: {instead}")
        for path, value, instead in asked
        if value is not None
    ]


def agreement_errors(keys: Keys) -> list[Problem]:
    """Return every way in which the keys contradict one another."""
    return [
        *_symbol_problems(keys),
        *_data_problems(keys),
        *_fee_and_funding_problems(keys),
        *_time_problems(keys),
    ]


def _symbol_problems(keys: Keys) -> Iterator[Problem]:
    path = ("trading", "symbol")
    try:
        _, quote, settle = split_symbol(keys.trading.symbol)
    except ConfigError as error:
        # The place is said by the caller: keep what stands behind it.
        yield path, str(error).partition(": ")[2]
        return
    trade_type, found = keys.exchange.trade_type, trade_type_of(keys.trading.symbol)
    if found != 3 and settle != quote:
        yield path, (
            f"was {keys.trading.symbol!r}, which settles in {settle} but is quoted in {quote}; "
            "allowed: settled in the quote currency (linear) or in the base coin (inverse)"
        )
    elif trade_type is not None and trade_type != found:
        yield path, (
            f"was {keys.trading.symbol!r}, which is {_TRADE_TYPES[found]}, but "
            f"exchange.trade_type is {trade_type}, {_TRADE_TYPES[trade_type]}; change one of them"
        )


def _data_problems(keys: Keys) -> Iterator[Problem]:
    if keys.data.source == "file" and keys.data.path is None:
        yield ("data", "path"), "missing; data.source: file needs the file's path"
    url = keys.exchange.rest_url
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/?", url):
        yield ("exchange", "rest_url"), f"was {url!r}; allowed: http://HOST:PORT or https://HOST"


def _fee_and_funding_problems(keys: Keys) -> Iterator[Problem]:
    fees = keys.backtest.fees
    if fees.commission is not None and not (fees.maker is None and fees.taker is None):
        yield (
            ("backtest", "fees"),
            "has commission beside maker or taker; commission sets both, so give one way or the "
            "other",
        )
    funding = keys.backtest.funding
    if funding.rate is not None and funding.path is not None:
        yield (
            ("backtest", "funding"),
            "has rate and path; give a constant rate or a file of rates, not both",
        )


def _time_problems(keys: Keys) -> Iterator[Problem]:
    try:
        zone = ZoneInfo(keys.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield ("timezone",), f"was {keys.timezone!r}; allowed: IANA names such as Asia/Seoul, UTC"
        return
    section = ("backtest", "trading_period")
    times = {}
    for name in ("start_date", "end_date"):
        text = getattr(keys.backtest.trading_period, name)
        try:
            times[name] = utc_time(text, zone)
        except ValueError:
            yield (*section, name), f'was {text!r}; allowed: a date such as "2025-01-01 00:00:00"'
    if len(times) == 2 and times["end_date"] <= times["start_date"]:
        period = keys.backtest.trading_period
        yield (
            (*section, "end_date"),
            f"was {period.end_date!r}; allowed: after start_date, {period.start_date!r}",
        )
