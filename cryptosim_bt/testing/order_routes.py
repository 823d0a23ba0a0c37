"""The REST routes that place, amend and cancel, with OKX's two layers of codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptosim_bt.testing.answers import Row, text
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.orders import Order, Refused
from cryptosim_bt.testing.queries import Asked

Envelope = dict[str, Any]
_Act = Callable[[FakeExchange, Row, Asked], Order]


def envelope(data: Any = None, code: str = "0", message: str = "") -> Envelope:
    """Return what OKX puts around every answer."""
    return {"code": code, "msg": message, "data": [] if data is None else data}


def _place(exchange: FakeExchange, args: Row, asked: Asked) -> Order:
    _in_time(asked)
    return exchange.matching.place(args, exchange.now_ms)


def _amend(exchange: FakeExchange, args: Row, asked: Asked) -> Order:
    _in_time(asked)
    return exchange.matching.amend(args, exchange.now_ms)


def _cancel(exchange: FakeExchange, args: Row, asked: Asked) -> Order:
    return exchange.matching.cancel(args, exchange.now_ms)


def _in_time(asked: Asked) -> None:
    if asked.exp_ms is not None and asked.shown_ms > asked.exp_ms:
        raise Refused("50036", "The expTime can't be earlier than the current system time.")


def carry_out(exchange: FakeExchange, path: str, asked: Asked) -> Envelope:
    """Answer a route of `ACTIONS`: one order, or a batch of at most 20."""
    act = ACTIONS[path]
    wanted = asked.args if isinstance(asked.args, list) else [asked.args]
    if isinstance(asked.args, list) != ("batch" in path) or len(wanted) > 20:
        raise Refused("50002", "JSON syntax error")
    rows = [_row(exchange, act, each, asked) for each in wanted]
    failed = [row for row in rows if row["sCode"] != "0"]
    if not failed:
        return envelope(rows)
    if len(failed) < len(rows):
        return envelope(rows, "2", "Bulk operation partially succeeded.")
    return envelope(rows, "1", "All operations failed")


def _row(exchange: FakeExchange, act: _Act, args: Row, asked: Asked) -> Row:
    row = {"clOrdId": str(args.get("clOrdId") or ""), "ordId": str(args.get("ordId") or ""),
           "tag": str(args.get("tag") or ""), "ts": str(asked.shown_ms), "sCode": "0",
           "sMsg": ""}  # fmt: skip
    try:
        order = act(exchange, args, asked)
    except Refused as refusal:
        return {**row, "sCode": refusal.code, "sMsg": refusal.message}
    row.update(clOrdId=order.cl_ord_id, ordId=order.ord_id)
    if act is _place:
        row["sMsg"] = "Order placed"
    return row


def close_position(exchange: FakeExchange, asked: Asked) -> Envelope:
    """trade/close-position: all of it at the market, with ``autoCxl`` after its closing orders."""
    args, matching = asked.args, exchange.matching
    market = matching.intake.market(args.get("instId"))
    side: Any = args.get("posSide") or "net"
    held = exchange.ledger.held(market, args.get("mgnMode"), side)
    if held is None:
        raise Refused("51023", "Position does not exist")
    order = {"instId": market.inst_id, "tdMode": held.mode, "ordType": "market", "posSide": side,
             "side": "sell" if held.side == "long" else "buy", "sz": text(held.contracts),
             "reduceOnly": "true", "clOrdId": args.get("clOrdId", "")}  # fmt: skip
    if args.get("autoCxl") in (True, "true"):
        for each in matching.intake.pending():
            ours = (each.market, each.mode, each.pos_side) == (market, held.mode, side)
            if ours and not each.opens:
                matching.end(each, "1", exchange.now_ms)
    matching.place(order, exchange.now_ms)
    return envelope([{"instId": market.inst_id, "posSide": side, "clOrdId": order["clOrdId"],
                      "tag": ""}])  # fmt: skip


def cancel_all_after(exchange: FakeExchange, asked: Asked) -> Envelope:
    """trade/cancel-all-after: all orders go after so many seconds, 0 takes it back."""
    seconds = str(asked.args.get("timeOut", ""))
    if seconds != "0" and not (seconds.isdigit() and 10 <= int(seconds) <= 120):
        raise Refused("51000", "Parameter timeOut error")
    due = exchange.now_ms + 1000 * int(seconds)
    exchange.cancel_all_ms = due if int(seconds) else None
    return envelope([{"triggerTime": str(due) if int(seconds) else "0", "tag": "",
                      "ts": str(asked.shown_ms)}])  # fmt: skip


ACTIONS: dict[str, _Act] = {
    "trade/order": _place, "trade/batch-orders": _place, "trade/amend-order": _amend,
    "trade/amend-batch-orders": _amend, "trade/cancel-order": _cancel,
    "trade/cancel-batch-orders": _cancel,
}  # fmt: skip
OTHERS: dict[str, Callable[[FakeExchange, Asked], Envelope]] = {
    "trade/close-position": close_position, "trade/cancel-all-after": cancel_all_after,
}
