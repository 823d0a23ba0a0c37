"""What each channel of the exchange for tests pushes, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptosim_bt.testing import answers
from cryptosim_bt.testing.answers import Row, text
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.market import bar_name
from cryptosim_bt.testing.orders import Position

Arg = dict[str, str]


def snapshot(exchange: FakeExchange, arg: Arg) -> list[Row] | None:
    """Return what a private channel pushes at subscription; None where it is no private one.

    Orders have no snapshot, positions only legs that are not zero.
    """
    channel = arg["channel"]
    if channel == "orders":
        return []
    if channel == "account":
        return [answers.balance_row(exchange, [arg["ccy"]] if arg.get("ccy") else None)]
    held = exchange.ledger.open_positions()
    if channel == "positions":
        return [answers.position_row(exchange, each) for each in held if _meant(each, arg)]
    if channel == "balance_and_position":
        return [_balance_and_position(exchange, "snapshot", list(exchange.ledger.cash), held)]
    return None


def account_event(exchange: FakeExchange, word: str, about: Any, arg: Arg) -> list[Row]:
    """Return the rows of a private channel for a change of a position or of a currency."""
    channel = arg["channel"]
    if word == "position" and channel == "positions" and _meant(about[0], arg):
        return [answers.position_row(exchange, about[0])]
    if word == "account" and channel == "account" and arg.get("ccy", about) == about:
        return [answers.balance_row(exchange, [about])]
    if word == "position" and channel == "balance_and_position":
        held, event = about
        return [_balance_and_position(exchange, event, [held.market.currency], [held])]
    return []


def _meant(held: Position, arg: Arg) -> bool:
    inst_id = held.market.inst_id
    return arg.get("instType") in ("ANY", "SWAP") and arg.get("instId", inst_id) == inst_id


def _balance_and_position(
    exchange: FakeExchange, event: str, currencies: list[str], held: list[Position]
) -> Row:
    now = str(exchange.now_ms)
    fields = ("posId", "tradeId", "instId", "instType", "mgnMode", "posSide", "pos", "ccy",
              "posCcy", "avgPx", "baseBal", "quoteBal", "nonSettleAvgPx", "settledPnl",
              "uTime")  # fmt: skip
    rows = [answers.position_row(exchange, each) for each in held]
    return {
        "pTime": now, "eventType": event,
        "balData": [{"ccy": each, "cashBal": text(exchange.ledger.cash[each]), "uTime": now}
                    for each in currencies],
        "posData": [{name: row[name] for name in fields} for row in rows],
        "trades": [{"instId": each.market.inst_id, "tradeId": each.trade_id} for each in held
                   if event == "filled"],
    }  # fmt: skip


class MarketPushes:
    """Pushes of the market's own channels as time passes."""

    def __init__(self, exchange: FakeExchange) -> None:
        self._exchange = exchange

    def rows(self, arg: Arg) -> list[Any]:
        """Return the newest of a channel: at subscription, and after each move of the price."""
        channel, now = arg["channel"], self._exchange.now_ms
        market = self._exchange.markets.get(arg.get("instId", ""))
        if market is None:
            return []
        if "candle" in channel:
            newest = market.candles(_bar(channel), now, None, None, 1)
            return [self._candle(channel, market, each) for each in newest]
        price, stamp = market.price(now), str(now)
        if channel == "tickers":
            return [answers.ticker_row(market, now)]
        if channel == "mark-price":
            mark = text(market.mark_price(now))
            return [{"instType": "SWAP", "instId": market.inst_id, "markPx": mark, "ts": stamp}]
        if channel == "trades":
            return [{"instId": market.inst_id, "tradeId": stamp, "px": text(price), "sz": "1",
                     "side": "buy", "ts": stamp, "count": "1"}]  # fmt: skip
        return [answers.funding_row(market, now)] if channel == "funding-rate" else []

    def passed(self, arg: Arg, start: int, end: int) -> Iterator[list[Any]]:
        """Yield the pushes of a stretch of time: each candle that ended in it, then the newest."""
        channel = arg["channel"]
        market = self._exchange.markets.get(arg.get("instId", ""))
        if market is None or channel in ("orders", "positions"):
            return
        if "candle" in channel:
            length, offset = bar_name(_bar(channel))
            opens = start - (start - offset) % length
            while opens + length <= end:
                done = market.candle(opens, length, end)
                if done is not None:
                    yield [self._candle(channel, market, done)]
                opens += length
        elif channel == "funding-rate" and not market.funding_between(start, end):
            return
        rows = self.rows(arg)
        if rows:
            yield rows

    @staticmethod
    def _candle(channel: str, market: Any, candle: Any) -> list[str]:
        row = answers.candle_row(market, candle)
        return [*row[:5], row[8]] if channel.startswith("mark") else row


def _bar(channel: str) -> str:
    return channel.rpartition("candle")[2]
