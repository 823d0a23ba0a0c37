"""The REST routes about the account, its orders and fills that the exchange for tests answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from cryptosim_bt.testing import answers
from cryptosim_bt.testing.answers import Row, text
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.orders import CANCELED, Order, Refused
from cryptosim_bt.testing.queries import Asked, Handler, chosen, market_of, markets_of, page

_DAY_MS = 86_400_000


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
    market, mode = market_of(exchange, args), args.get("mgnMode")
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
        for each in markets_of(exchange, asked.args)
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
    return page(chosen(rows, asked.args, keys, "ts"), "billId", asked.args, 100)


def trade_fee(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """account/trade-fee: negative = a cost."""
    found = next(iter(markets_of(exchange, {**asked.args, "instId": None}))).instrument
    maker, taker = text(-(found.maker or 0.0)), text(-(found.taker or 0.0))
    return [{"category": "1", "delivery": "", "exercise": "", "fiat": [], "instType": "SWAP",
             "level": "Lv1", "uly": "",
             "maker": maker, "makerU": maker, "makerUSDC": maker, "taker": taker,
             "takerU": taker, "takerUSDC": taker, "ts": str(exchange.now_ms)}]  # fmt: skip


# ---------------------------------------------------------------------- orders and fills
def order_details(exchange: FakeExchange, asked: Asked) -> list[Row]:
    """GET trade/order; 51603 where there is none, or it is forgotten."""
    market_of(exchange, asked.args)
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
    return page(chosen(rows, args, keys, "uTime"), "ordId", args, 100)


def fills(days: int) -> Handler:
    """trade/fills (3 days) and fills-history: newest first, late ones when they show."""

    def handler(exchange: FakeExchange, asked: Asked) -> list[Row]:
        now = exchange.now_ms
        rows = [answers.fill_row(each) for each in reversed(exchange.matching.fills)
                if each.shown_ms <= now and each.time_ms > now - days * _DAY_MS]  # fmt: skip
        keys = ("instType", "instId", "ordId")
        return page(chosen(rows, asked.args, keys, "ts"), "billId", asked.args, 100)

    return handler


ACCOUNT_READS: dict[str, Handler] = {
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
