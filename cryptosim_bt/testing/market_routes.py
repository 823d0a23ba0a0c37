"""The REST routes about markets that the exchange for tests answers."""

from __future__ import annotations

from typing import Any

from cryptosim_bt.testing import answers
from cryptosim_bt.testing.answers import Row, text
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.market import bar_name
from cryptosim_bt.testing.orders import Refused
from cryptosim_bt.testing.queries import Asked, Handler, market_of, markets_of, page, whole

_FIRST_CODE = 10458


def show_time(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/time."""
    return [{"ts": str(asked.shown_ms)}]


def instruments(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/instruments: swaps only, others are an empty list."""
    if asked.args.get("instType") != "SWAP":
        return []
    rows = [answers.instrument_row(each, code) for code, each in
            enumerate(exchange.markets.values(), _FIRST_CODE)]  # fmt: skip
    wanted = {name: asked.args[name] for name in ("instId", "instFamily", "uly")
              if asked.args.get(name)}  # fmt: skip
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def candles(history: bool) -> Handler:
    """market/candles (1,440 back) and market/history-candles (finished ones only)."""

    def handler(exchange: FakeExchange, asked: Asked) -> list[Any]:
        args, now = asked.args, exchange.now_ms
        market, wire = market_of(exchange, args), str(args.get("bar") or "1m")
        try:
            length, _ = bar_name(wire)
        except KeyError:
            raise Refused("51000", "Parameter bar error") from None
        after, before = whole(args, "after"), whole(args, "before")
        limit = min(whole(args, "limit") or 100, 300)
        if not history:
            before = max(before or 0, now - 1440 * length)
        rows = market.candles(wire, now, after, before, limit + 1)
        kept = [each for each in rows if each.finished or not history]
        return [answers.candle_row(market, each) for each in kept[:limit]]

    return handler


def mark_candles(exchange: FakeExchange, asked: Asked) -> list[Any]:
    """market/mark-price-candles: prices of the trades' candles, without volumes."""
    return [[*row[:5], row[8]] for row in candles(False)(exchange, asked)]


def tickers(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """market/ticker and market/tickers."""
    now = exchange.now_ms
    return [answers.ticker_row(each, now) for each in markets_of(exchange, asked.args)]


def mark_prices(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/mark-price."""
    now = exchange.now_ms
    return [{"instType": "SWAP", "instId": each.inst_id, "markPx": text(each.mark_price(now)),
             "ts": str(now)} for each in markets_of(exchange, asked.args)]  # fmt: skip


def price_limits(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/price-limit: the band of new orders."""
    market, now = market_of(exchange, asked.args), exchange.now_ms
    low, high = exchange.matching.intake.band(market, now)
    return [{"instType": "SWAP", "instId": market.inst_id, "buyLmt": text(high),
             "sellLmt": text(low), "ts": str(now), "enabled": True}]  # fmt: skip


def funding_rate(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/funding-rate."""
    return [answers.funding_row(market_of(exchange, asked.args), exchange.now_ms)]


def funding_history(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/funding-rate-history: newest first."""
    market, args = market_of(exchange, asked.args), asked.args
    rows = [
        {"instType": "SWAP", "instId": market.inst_id, "fundingRate": text(rate),
         "realizedRate": text(rate), "fundingTime": str(due), "method": "current_period",
         "formulaType": "withRate"}
        for due, rate in reversed(market.funding) if due <= exchange.now_ms
    ]  # fmt: skip
    return page(rows, "fundingTime", args, 400)


def position_tiers(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/position-tiers."""
    rows: list[Row] = []
    for market in exchange.markets.values():
        if market.family not in str(asked.args.get("instFamily", "")).split(","):
            continue
        tiers = exchange.ledger.tiers(market).tiers
        for index, tier in enumerate(tiers):
            end = tiers[index + 1].floor if index + 1 < len(tiers) else 100_000_000.0
            rows.append({
                "tier": str(index + 1), "minSz": text(tier.floor), "maxSz": text(end),
                "mmr": text(tier.rate), "imr": text(tier.rate * 2.0),
                "maxLever": text(min(100.0, 0.5 / tier.rate)), "instFamily": market.family,
                "uly": market.family, "instId": "", "baseMaxLoan": "", "quoteMaxLoan": "",
                "optMgnFactor": "0",
            })  # fmt: skip
    return rows


def trades(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """market/trades: the last price as one trade."""
    market, now = market_of(exchange, asked.args), str(exchange.now_ms)
    return [{"instId": market.inst_id, "tradeId": now, "side": "buy", "sz": "1", "source": "0",
             "px": text(market.price(exchange.now_ms)), "ts": now}]  # fmt: skip


def nothing(exchange: FakeExchange, asked: Asked) -> list[Any]:
    """Give nothing: asset/currencies, system/status."""
    return []


MARKET_READS: dict[str, Handler] = {
    "public/time": show_time, "public/instruments": instruments, "account/instruments": instruments,
    "market/candles": candles(False), "market/history-candles": candles(True),
    "market/mark-price-candles": mark_candles, "market/ticker": tickers, "market/tickers": tickers,
    "public/mark-price": mark_prices, "public/price-limit": price_limits,
    "public/funding-rate": funding_rate,
    "public/funding-rate-history": funding_history, "public/position-tiers": position_tiers,
    "market/trades": trades, "system/status": nothing, "asset/currencies": nothing,
}  # fmt: skip
