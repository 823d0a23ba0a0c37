"""How keys of a configuration must agree with one another. Each check names the key to fix."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptosim_bt.accounting.instrument import (
    Instrument,
    known_instrument,
    split_symbol,
    trade_type_of,
)
from cryptosim_bt.accounting.maintenance_tiers import BUILT_IN_TIERS, built_in_tiers
from cryptosim_bt.data.timeframe import milliseconds, utc_time
from cryptosim_bt.errors import ConfigError, shown

if TYPE_CHECKING:
    from cryptosim_bt.config.keys import Keys

Problem = tuple[tuple[str, ...], str]

FINEST_STEP = 1e-18
SUSPICIOUS_RATE = 0.01  # no venue asks 1 % and more of a fill, or of a position at one time

# The venues whose hosts, of any region, may be asked with real money; what is below them is theirs.
_OWN_DOMAINS = {name: "okx.com" for name in ("okx", "okxus", "myokx")}

FILE_KEYS = (
    ("data", "path"), ("data", "fill_path"), ("data", "mark_path"), ("data", "directory"),
    ("backtest", "funding", "path"), ("instrument", "tiers"), ("live", "journal"),
)  # fmt: skip
"""Keys that name files; a relative path starts at the folder of the configuration."""

_TRADE_TYPES = {
    1: "USDT-margined (BASE/USDT:USDT)",
    2: "USDC-margined (BASE/USDC:USDC)",
    3: "coin-margined (BASE/USD:BASE)",
}


def agreement_errors(keys: Keys) -> list[Problem]:
    """Return every way in which the keys contradict one another."""
    return [
        *_path_problems(keys),
        *_symbol_problems(keys),
        *_data_problems(keys),
        *_venue_problems(keys),
        *_live_problems(keys),
        *_parameter_problems(keys),
        *_fee_and_funding_problems(keys),
        *_time_problems(keys),
    ]


def instrument_errors(keys: Keys, instrument: Instrument) -> list[Problem]:
    """Return what the instrument, as it is resolved, contradicts."""
    return [
        *_grid_problems(instrument),
        *_tier_problems(keys, instrument),
        *_order_size_problems(keys, instrument),
    ]


def doubts(keys: Keys) -> list[Problem]:
    """Return what is allowed, but most likely meant in another unit."""
    rates: list[tuple[tuple[str, ...], float | None, str]] = [
        (("backtest", "fees", name), getattr(keys.backtest.fees, name), "each fill")
        for name in ("commission", "maker", "taker")
    ]
    rate = keys.backtest.funding.rate
    rates.append((("backtest", "funding", "rate"), rate, "the position at each funding time"))
    return [
        (place, f"was {value:g}, which is {value * 100:g} % of {of_what}; {value:g} % is "
                f"{value / 100:g}")
        for place, value, of_what in rates
        if value is not None and abs(value) >= SUSPICIOUS_RATE
    ]  # fmt: skip


def _grid_problems(instrument: Instrument) -> Iterator[Problem]:
    """Refuse steps so fine that floats cannot count them; the finest that venues have is 1e-18."""
    for name, none in (("contract_size", ""), ("lot", "0, or "), ("tick", "0, or ")):
        value = getattr(instrument, name)
        if 0 < value < FINEST_STEP:
            yield ("instrument", name), f"was {value:g}; allowed: {none}{FINEST_STEP:g} and above"


def _tier_problems(keys: Keys, instrument: Instrument) -> Iterator[Problem]:
    exchange, rate = keys.exchange.name, keys.instrument.maintenance_margin_rate
    known = known_instrument(exchange, instrument.symbol)
    if keys.instrument.tiers != BUILT_IN_TIERS:
        return
    if known is None or built_in_tiers(exchange, instrument) is None:
        yield (
            ("instrument", "tiers"),
            f"was '{BUILT_IN_TIERS}', but no list is built in for {instrument.symbol} of "
            f"{exchange} in contracts of {instrument.contract_size:g}; give a file, or "
            "maintenance_margin_rate",
        )
    # A run's own config.yaml has both, since it has the whole instrument: they agree there.
    elif rate is not None and rate != known.maintenance_margin_rate:
        yield (
            ("instrument", "maintenance_margin_rate"),
            f"was {rate:g} beside tiers: {BUILT_IN_TIERS}, whose rates go by size; leave one of "
            "them out",
        )


def _order_size_problems(keys: Keys, instrument: Instrument) -> Iterator[Problem]:
    most, least = keys.instrument.max_contracts, max(instrument.min_contracts, instrument.lot)
    if most is not None and most < least:
        yield (
            ("instrument", "max_contracts"),
            f"was {most:g}; allowed: no less than the smallest order, {least:g} contracts "
            "(min_contracts, lot)",
        )


def path_fault(path: str) -> str | None:
    """Return what keeps a text from being a path at all, None where nothing does."""
    try:
        os.fsencode(path)
        Path(path).expanduser()
    except RuntimeError:
        return "a user that there is"
    except ValueError:
        return "letters that a path may have"
    return "a path without a NUL" if "\0" in path else None


def _path_problems(keys: Keys) -> Iterator[Problem]:
    for place in (*FILE_KEYS, ("report", "output_dir"), ("logging", "file"), ("plugins",)):
        paths: Any = keys
        for part in place:
            paths = getattr(paths, part)
        for path in [paths] if isinstance(paths, str) else paths or []:
            allowed = path_fault(path)
            if allowed is not None:
                yield place, f"was {shown(path)}; allowed: {allowed}"


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
            f"was {shown(keys.trading.symbol)}, which settles in {settle} but is quoted in "
            f"{quote}; allowed: settled in the quote currency (linear) or in the base coin "
            "(inverse)"
        )
    elif trade_type is not None and trade_type != found:
        yield path, (
            f"was {shown(keys.trading.symbol)}, which is {_TRADE_TYPES[found]}, but "
            f"exchange.trade_type is {trade_type}, {_TRADE_TYPES[trade_type]}; change one of them"
        )


def _data_problems(keys: Keys) -> Iterator[Problem]:
    data, fill = keys.data, keys.backtest.fill
    if data.source == "file" and data.path is None:
        yield ("data", "path"), "missing; data.source: file needs the file's path"
    from_venue = data.source == "ccxt" and data.fill_path is None  # it has finer bars itself
    if (data.fill_timeframe is None) != (data.fill_path is None) and not from_venue:
        missing = "fill_path" if data.fill_path is None else "fill_timeframe"
        yield ("data", missing), "missing; finer bars need fill_timeframe and fill_path"
    if data.fill_timeframe is not None:
        step, fine = milliseconds(data.timeframe), milliseconds(data.fill_timeframe)
        if fine >= step or step % fine:
            yield (
                ("data", "fill_timeframe"),
                f"was {data.fill_timeframe!r}; allowed: a timeframe that divides data.timeframe, "
                f"{data.timeframe!r}",
            )
    elif fill.latency_ms:
        yield (
            ("backtest", "fill", "latency_ms"),
            f"was {fill.latency_ms}, which whole bars cannot show; give data.fill_timeframe and "
            "fill_path, or leave it out",
        )
    if fill.max_volume_share is not None and data.volume_unit is None:
        yield (
            ("data", "volume_unit"),
            "missing; backtest.fill.max_volume_share needs to know what a volume counts: "
            "contracts, base (coin) or quote (currency)",
        )


def _parameter_problems(keys: Keys) -> Iterator[Problem]:
    for name, block in keys.strategy.blocks.items():
        for key in block if isinstance(block, dict) else ():
            if not isinstance(key, str):
                yield ("strategy", name), f"has the key {shown(key)}; allowed: names of parameters"


def _venue_problems(keys: Keys) -> Iterator[Problem]:
    url, data = keys.exchange.rest_url, keys.data
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/?", url):
        yield ("exchange", "rest_url"), f"was {shown(url)}; allowed: http://HOST:PORT or https://HOST"
    if data.mark and (data.mark_path is not None or data.source != "ccxt"):
        yield (
            ("data", "mark"),
            "was true; allowed: with data.source: ccxt, and without mark_path, which is a file's",
        )


def _live_problems(keys: Keys) -> Iterator[Problem]:
    """Refuse what real money must not meet, and what is not traded live."""
    exchange, trading = keys.exchange, keys.trading
    if exchange.ws_url is not None and not re.fullmatch(r"wss?://[^/\s]+(/\S*)?", exchange.ws_url):
        yield (
            ("exchange", "ws_url"),
            f"was {shown(exchange.ws_url)}; allowed: ws://HOST:PORT/PATH or wss://HOST/PATH",
        )
    if exchange.trade_mode == "real":
        for name, secure in (("rest_url", "https"), ("ws_url", "wss")):
            url = getattr(exchange, name)
            if url is not None and not _is_own_host(url, secure, exchange.name):
                yield (
                    ("exchange", name),
                    f"was {shown(url)} with trade_mode: real; allowed: left out, or a {secure} "
                    f"host of {exchange.name} itself",
                )
        if exchange.time_scale != 1.0:
            yield (
                ("exchange", "time_scale"),
                f"was {exchange.time_scale:g} with trade_mode: real; allowed: 1",
            )
    if keys.mode == "live" and trading.use_sl and (
        trading.stop.method == "atr" or trading.stop_loss_pct < 1.0
    ):
        yield (
            ("trading", "use_sl"),
            "was true with a stop-loss, which mode: live does not place at the venue yet; allowed: "
            "false, or stop_loss_pct: 1 (no stop)",
        )


def _is_own_host(url: str, scheme: str, exchange: str) -> bool:
    parts, domain = urlsplit(url), _OWN_DOMAINS.get(exchange)
    host = parts.hostname or ""
    own = domain is not None and (host == domain or host.endswith(f".{domain}"))
    return own and parts.scheme == scheme and parts.username is None


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
    zones = {("timezone",): keys.timezone, ("data", "timezone"): keys.data.timezone}
    for place, name in zones.items():
        if name is not None and not is_zone(name):
            yield place, f"was {shown(name)}; allowed: IANA names such as Asia/Seoul, UTC"
    if not is_zone(keys.timezone):
        return
    zone = ZoneInfo(keys.timezone)
    section = ("backtest", "trading_period")
    times = {}
    for name in ("start_date", "end_date"):
        text = getattr(keys.backtest.trading_period, name)
        try:
            times[name] = utc_time(text, zone)
        except ValueError:
            yield (
                (*section, name),
                f"was {shown(text)}; allowed: a date as ISO-8601 writes it, from 1970 on, such as "
                '"2025-01-01" or "2025-01-01 08:00:00"',
            )
    if len(times) == 2 and times["end_date"] <= times["start_date"]:
        period = keys.backtest.trading_period
        yield (
            (*section, "end_date"),
            f"was {shown(period.end_date)}; allowed: after start_date, {shown(period.start_date)}",
        )


def is_zone(name: str) -> bool:
    """Tell whether a text is the name of a time zone, such as Asia/Seoul."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
