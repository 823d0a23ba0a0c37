"""The REST routes of OKX v5 that the exchange for tests answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from cryptosim_bt.testing import answers
from cryptosim_bt.testing.answers import Row, text
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.market import Market, bar_name
from cryptosim_bt.testing.orders import CANCELED, Order, Refused

_DAY_MS = 86_400_000
_FIRST_CODE = 10458


class Asked(NamedTuple):
    """A request: what was sent with it (query, or body), and the exchange's time that it shows."""

    args: Any
    exp_ms: int | None
    shown_ms: int


Handler = Callable[[FakeExchange, Asked], list[Any]]


# ---------------------------------------------------------------------- public
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
        market, wire = _market(exchange, args), str(args.get("bar") or "1m")
        try:
            length, _ = bar_name(wire)
        except KeyError:
            raise Refused("51000", "Parameter bar error") from None
        after, before = _int(args, "after"), _int(args, "before")
        limit = min(_int(args, "limit") or 100, 300)
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
    return [answers.ticker_row(each, now) for each in _markets(exchange, asked.args)]


def mark_prices(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/mark-price."""
    now = exchange.now_ms
    return [{"instType": "SWAP", "instId": each.inst_id, "markPx": text(each.mark_price(now)),
             "ts": str(now)} for each in _markets(exchange, asked.args)]  # fmt: skip


def funding_rate(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/funding-rate."""
    return [answers.funding_row(_market(exchange, asked.args), exchange.now_ms)]


def funding_history(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """public/funding-rate-history: newest first."""
    market, args = _market(exchange, asked.args), asked.args
    rows = [
        {"instType": "SWAP", "instId": market.inst_id, "fundingRate": text(rate),
         "realizedRate": text(rate), "fundingTime": str(due), "method": "current_period",
         "formulaType": "withRate"}
        for due, rate in reversed(market.funding) if due <= exchange.now_ms
    ]  # fmt: skip
    return _page(rows, "fundingTime", args, 400)


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
    market, now = _market(exchange, asked.args), str(exchange.now_ms)
    return [{"instId": market.inst_id, "tradeId": now, "side": "buy", "sz": "1", "source": "0",
             "px": text(market.price(exchange.now_ms)), "ts": now}]  # fmt: skip


def nothing(exchange: FakeExchange, asked: Asked) -> list[Any]:
    """Give nothing: asset/currencies, system/status."""
    return []


# ---------------------------------------------------------------------- account
def config(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/config."""
    empty = dict.fromkeys(("ip", "levelTmp", "spotRoleType"), "")
    return [{
        **empty, "acctLv": "2", "acctStpMode": "cancel_maker", "autoLoan": False,
        "ctIsoMode": "automatic", "enableSpotBorrow": False, "greeksType": "PA", "feeType": "0",
        "type": "0", "kycLv": "3", "label": "tests", "level": "Lv1", "liquidationGear": "-1",
        "mainUid": "1", "mgnIsoMode": "automatic", "opAuth": "1", "perm": "read_only,trade",
        "posMode": _pos_mode(exchange), "roleType": "0", "spotBorrowAutoRepay": False,
        "spotOffsetType": "", "spotTraderInsts": [], "stgyType": "0", "traderInsts": [],
        "uid": "1", "settleCcy": "", "settleCcyList": [],
    }]  # fmt: skip


def set_position_mode(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/set-position-mode; 59000 with positions or orders."""
    mode = asked.args.get("posMode")
    if mode not in ("long_short_mode", "net_mode"):
        raise Refused("51000", "Parameter posMode error")
    if mode != _pos_mode(exchange):
        if exchange.ledger.open_positions() or exchange.matching.intake.pending():
            raise Refused("59000", "Setting failed. Cancel any open orders, close positions first.")
        exchange.ledger.hedged = mode == "long_short_mode"
    return [{"posMode": mode}]


def _pos_mode(exchange: FakeExchange) -> str:
    return "long_short_mode" if exchange.ledger.hedged else "net_mode"


def set_leverage(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/set-leverage; 59102 above the maximum, 59103 below what is held."""
    args, ledger = asked.args, exchange.ledger
    market, mode = _market(exchange, args), args.get("mgnMode")
    side: Any = args.get("posSide") or "net"
    try:
        lever = float(str(args.get("lever")))
    except ValueError:
        raise Refused("51000", "Parameter lever error") from None
    if mode not in ("cross", "isolated"):
        raise Refused("51000", "Parameter mgnMode error")
    if mode == "isolated" and ledger.hedged == (side == "net"):
        raise Refused("51000", "Parameter posSide error")
    if not 1.0 <= lever <= 100.0:
        raise Refused("59102", "Leverage exceeds the maximum limit.")
    side = side if mode == "isolated" else "net"
    before = ledger.leverage(market, mode, side)
    ledger.set_leverage(market, mode, side, lever)
    if lever < before and exchange.figures(market.currency)["available"] < 0.0:
        ledger.set_leverage(market, mode, side, before)
        raise Refused("59103", "Leverage is too low and there is not enough margin.")
    return [{"instId": market.inst_id, "lever": text(lever), "mgnMode": mode,
             "posSide": "" if side == "net" and mode == "cross" else side}]  # fmt: skip


def leverage_info(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/leverage-info: a row for each side in long/short mode."""
    mode = asked.args.get("mgnMode")
    if mode not in ("cross", "isolated"):
        raise Refused("51000", "Parameter mgnMode error")
    ledger = exchange.ledger
    return [
        {"instId": each.inst_id, "mgnMode": mode, "posSide": side, "ccy": "",
         "lever": text(ledger.leverage(each, mode, cast(Any, side)))}
        for each in _markets(exchange, asked.args)
        for side in (("long", "short") if ledger.hedged else ("net",))
    ]  # fmt: skip


def balance(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/balance."""
    wanted = [each for each in str(asked.args.get("ccy") or "").split(",") if each]
    return [answers.balance_row(exchange, wanted or None)]


def positions(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/positions: with instId also those that are closed."""
    wanted = [each for each in str(asked.args.get("instId") or "").split(",") if each]
    return [
        answers.position_row(exchange, each) for each in exchange.ledger.positions.values()
        if (each.contracts and not wanted) or each.market.inst_id in wanted
    ]  # fmt: skip


def bills(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/bills and bills-archive: newest first."""
    rows = [answers.bill_row(each) for each in reversed(exchange.ledger.bills)]
    keys = ("type", "subType", "ccy", "instType", "instId", "mgnMode")
    return _page(_chosen(rows, asked.args, keys, "ts"), "billId", asked.args, 100)


def trade_fee(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/trade-fee: negative = a cost."""
    found = next(iter(_markets(exchange, {**asked.args, "instId": None}))).instrument
    maker, taker = text(-(found.maker or 0.0)), text(-(found.taker or 0.0))
    return [{"category": "1", "delivery": "", "exercise": "", "fiat": [], "instType": "SWAP",
             "level": "Lv1", "maker": maker, "makerU": maker, "makerUSDC": maker, "taker": taker,
             "takerU": taker, "takerUSDC": taker, "ts": str(exchange.now_ms)}]  # fmt: skip


# ---------------------------------------------------------------------- orders and fills
def order_details(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """GET trade/order; 51603 where there is none, or it is forgotten."""
    _market(exchange, asked.args)
    found = exchange.matching.find(asked.args)
    if found is None or not _remembered(found, exchange.now_ms):
        raise Refused("51603", "Order does not exist")
    return [answers.order_row(found)]


def orders_pending(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """trade/orders-pending: newest first."""
    return _orders(exchange.matching.intake.pending(), asked.args)


def orders_history(days: int) -> Handler:
    """trade/orders-history (7 days) and its archive: what is done, newest first."""

    def handler(exchange: FakeExchange, asked: Asked) -> list[Row]:
        now = exchange.now_ms
        done = [each for each in exchange.matching.orders if not each.pending
                and _remembered(each, now) and each.updated_ms > now - days * _DAY_MS]  # fmt: skip
        return _orders(done, asked.args)

    return handler


def _remembered(order: Order, now_ms: int) -> bool:
    forgotten = order.state == CANCELED and not order.fills
    return not forgotten or now_ms - order.updated_ms <= 2 * 3_600_000


def _orders(orders: Iterable[Order], args: Row) -> list[Row]:
    rows = [answers.order_row(each) for each in orders]
    rows.sort(key=lambda row: int(row["ordId"]), reverse=True)
    keys = ("instType", "instId", "ordType", "state", "category", "clOrdId")
    return _page(_chosen(rows, args, keys, "uTime"), "ordId", args, 100)


def fills(days: int) -> Handler:
    """trade/fills (3 days) and fills-history: newest first, late ones when they show."""

    def handler(exchange: FakeExchange, asked: Asked) -> list[Row]:
        now = exchange.now_ms
        rows = [answers.fill_row(each) for each in reversed(exchange.matching.fills)
                if each.shown_ms <= now and each.time_ms > now - days * _DAY_MS]  # fmt: skip
        keys = ("instType", "instId", "ordId")
        return _page(_chosen(rows, asked.args, keys, "ts"), "billId", asked.args, 100)

    return handler


# ---------------------------------------------------------------------- helpers
def _market(exchange: FakeExchange, args: Row) -> Market:
    return exchange.matching.intake.market(args.get("instId"))


def _markets(exchange: FakeExchange, args: Row) -> list[Market]:
    if args.get("instId"):
        return [_market(exchange, {"instId": each}) for each in str(args["instId"]).split(",")]
    return list(exchange.markets.values())


def _int(args: Row, name: str) -> int | None:
    given = str(args.get(name) or "")
    if given and not given.isdigit():
        raise Refused("51000", f"Parameter {name} error")
    return int(given) if given else None


def _chosen(rows: list[Row], args: Row, keys: Iterable[str], time: str) -> list[Row]:
    """Return the rows that fit a query, from begin to end, both included."""
    begin, end = _int(args, "begin"), _int(args, "end")
    return [
        row for row in rows
        if all(row[key] in str(args[key]).split(",") for key in keys if args.get(key))
        and (begin is None or int(row[time]) >= begin) and (end is None or int(row[time]) <= end)
    ]  # fmt: skip


def _page(rows: list[Row], key: str, args: Row, most: int) -> list[Row]:
    """Return the newest rows that are older than ``after`` and newer than ``before``."""
    after, before = _int(args, "after"), _int(args, "before")
    kept = [
        row for row in rows
        if (after is None or int(row[key]) < after) and (before is None or int(row[key]) > before)
    ]  # fmt: skip
    return kept[: min(_int(args, "limit") or 100, most)]


READS: dict[str, Handler] = {
    "public/time": show_time, "public/instruments": instruments, "account/instruments": instruments,
    "market/candles": candles(False), "market/history-candles": candles(True),
    "market/mark-price-candles": mark_candles, "market/ticker": tickers, "market/tickers": tickers,
    "public/mark-price": mark_prices, "public/funding-rate": funding_rate,
    "public/funding-rate-history": funding_history, "public/position-tiers": position_tiers,
    "market/trades": trades, "system/status": nothing, "asset/currencies": nothing,
    "account/config": config, "account/balance": balance, "account/positions": positions,
    "account/leverage-info": leverage_info, "account/bills": bills,
    "account/bills-archive": bills, "account/trade-fee": trade_fee, "trade/order": order_details,
    "trade/orders-pending": orders_pending, "trade/orders-history": orders_history(7),
    "trade/orders-history-archive": orders_history(92), "trade/fills": fills(3),
    "trade/fills-history": fills(92),
}  # fmt: skip
SETTINGS: dict[str, Handler] = {
    "account/set-position-mode": set_position_mode, "account/set-leverage": set_leverage,
}  # fmt: skip
