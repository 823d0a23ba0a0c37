"""What is OKX's own: its parameters, its raw answers, its error codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptosim_bt.accounting.contracts import Side
from cryptosim_bt.data.market import Candle
from cryptosim_bt.live.adapter import (
    ByItself,
    OrderRequest,
    OrderState,
    VenueBalance,
    VenueBill,
    VenueFill,
    VenueOrder,
    VenuePosition,
    Verdict,
)

_STATES: dict[str, OrderState] = {
    "live": "open", "partially_filled": "open", "filled": "filled", "canceled": "cancelled",
    "mmp_canceled": "cancelled",
}  # fmt: skip
_BY_ITSELF: dict[str, ByItself] = {
    "full_liquidation": "liquidation", "partial_liquidation": "liquidation",
    "adl": "deleveraging",
}  # fmt: skip
_CODES: dict[str, Verdict] = {
    # The request may have got through.
    **dict.fromkeys(
        ("50001", "50004", "50005", "50013", "50026", "51149", "51412", "51016", "50042", "50071"),
        Verdict.UNKNOWN,
    ),
    # Rates, a clock that is off, an expiry that has passed, settlement: it did not.
    **dict.fromkeys(
        ("50011", "50061", "50040", "50102", "50036", "50037", "51030", "51410"), Verdict.NOT_DONE
    ),
    **dict.fromkeys(("51400", "51401", "51402", "51503", "51603", "51063"), Verdict.OVER),
    **dict.fromkeys(
        ("50100", "50101", "50103", "50105", "50110", "50111", "50112", "50113", "50114", "50119",
         "50120", "51010"),
        Verdict.FATAL,
    ),
}  # fmt: skip
_FUNDING = "8"


class Okx:
    """OKX's adapter, of every region."""

    name = "okx"
    client_id_length = 32

    def options(
        self, rest_url: str | None, ws_url: str | None, *, is_demo: bool
    ) -> dict[str, Any]:
        """Return ccxt's options: swaps only, no private question about currencies."""
        urls: dict[str, str] = {}
        if rest_url is not None:
            urls["rest"] = rest_url.rstrip("/")
        if ws_url is not None or is_demo:
            # Demo trading has a host of its own for streams, and a header for requests.
            urls["ws"] = (ws_url or "wss://wspap.okx.com:8443/ws/v5").rstrip("/")
        return {
            "options": {
                "defaultType": "swap", "fetchMarkets": {"types": ["swap"]},
                "createOrder": "privatePostTradeOrder", "timeDifference": 0,
            },
            "has": {"fetchCurrencies": False},
            "headers": {"x-simulated-trading": "1"} if is_demo else {},
            **({"urls": {"api": urls}} if urls else {}),
        }  # fmt: skip

    def order_params(self, request: OrderRequest, margin_mode: str) -> dict[str, Any]:
        """Return the leg, the margin and the client id of an order in long/short mode."""
        # A closing order is reduce-only by itself there.
        return {
            "positionSide": request.side, "tdMode": margin_mode,
            "clientOrderId": request.client_id,
        }  # fmt: skip

    def with_expiry(self, url: str, deadline_ms: int) -> dict[str, str]:
        """Return the header after whose time OKX drops an order or an amendment."""
        asks = ("/trade/order", "/trade/amend-order")
        return {"expTime": str(deadline_ms)} if url.partition("?")[0].endswith(asks) else {}

    def envelope_fault(self, url: str, method: str, answer: Any) -> str | None:
        """Return "" for what is no answer of OKX, its text for one that hides a refusal."""
        if not isinstance(answer, dict) or "code" not in answer:
            return ""
        data = answer.get("data")
        if str(answer["code"]) != "0":
            return None  # ccxt raises it
        if not isinstance(data, list) or (method == "POST" and "/trade/" in url and not data):
            return ""
        hidden = [row for row in data if isinstance(row, dict) and row.get("sCode", "0") != "0"]
        return json.dumps(answer) if hidden else None

    def verdict(self, text: str) -> Verdict | None:
        """Return what the codes of an error mean; the order's own before the envelope's."""
        try:
            body = json.loads(text[text.index("{"):])
            own = [row["sCode"] for row in body.get("data") or () if row.get("sCode", "0") != "0"]
            code = str(own[0] if own else body["code"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return _CODES.get(code, Verdict.REFUSED)

    # ------------------------------------------------------------------ raw answers
    def order(self, raw: Mapping[str, Any]) -> VenueOrder:
        """Read an order of details, pending orders or history."""
        return VenueOrder(
            venue_id=str(raw["ordId"]),
            client_id=str(raw.get("clOrdId") or ""),
            side=_side(raw),
            opens=_opens(raw),
            contracts=float(raw["sz"]),
            price=_number(raw.get("px")),
            filled=_number(raw.get("accFillSz")) or 0.0,
            state=_STATES[raw["state"]],
            updated_ms=int(raw.get("uTime") or 0),
            by_itself=_BY_ITSELF.get(str(raw.get("category")), ""),
        )

    def fill(self, raw: Mapping[str, Any]) -> VenueFill:
        """Read a fill of fills-history."""
        return VenueFill(
            trade_id=str(raw["tradeId"]),
            order_id=str(raw["ordId"]),
            client_id=str(raw.get("clOrdId") or ""),
            side=_side(raw),
            opens=_opens(raw),
            price=float(raw["fillPx"]),
            contracts=float(raw["fillSz"]),
            fee=-(_number(raw.get("fee")) or 0.0),
            pnl=_number(raw.get("fillPnl")) or 0.0,
            is_maker=raw.get("execType") == "M",
            time_ms=int(raw.get("fillTime") or raw["ts"]),
        )

    def position(self, raw: Mapping[str, Any]) -> VenuePosition | None:
        """Read a leg."""
        contracts = _number(raw.get("pos")) or 0.0
        if not contracts:
            return None
        return VenuePosition(
            side=_side(raw) if raw["posSide"] != "net" else "long" if contracts > 0 else "short",
            contracts=abs(contracts),
            average=float(raw["avgPx"]),
            leverage=_number(raw.get("lever")) or 0.0,
            margin_mode=str(raw.get("mgnMode", "")),
        )

    def funding_bill(self, raw: Mapping[str, Any]) -> VenueBill | None:
        """Read a bill of type 8."""
        if str(raw.get("type")) != _FUNDING:
            return None
        return VenueBill(
            bill_id=str(raw["billId"]),
            contracts=_number(raw.get("sz")) or 0.0,
            price=_number(raw.get("px")) or 0.0,
            change=float(raw["balChg"]),
            balance=_number(raw.get("bal")) or 0.0,
            time_ms=int(raw["ts"]),
        )

    def balance(self, raw: Mapping[str, Any], currency: str) -> VenueBalance:
        """Read account/balance; a coin that is not held has nothing."""
        details = (row for part in raw["data"] for row in part["details"])
        found: dict[str, Any] = next((row for row in details if row["ccy"] == currency), {})
        return VenueBalance(
            cash=_number(found.get("cashBal")) or 0.0,
            equity=_number(found.get("eq")) or 0.0,
            available=_number(found.get("availEq")) or _number(found.get("availBal")) or 0.0,
            maintenance_margin=_number(found.get("mmr")) or 0.0,
        )

    def candle_question(
        self, native: str, timeframe: str, start_ms: int, end_ms: int, *, recent: bool
    ) -> tuple[str, dict[str, str]]:
        """Return the question: both bounds of OKX's are exclusive; its long bars begin at UTC."""
        bar = timeframe if timeframe.endswith("m") else timeframe.upper()
        if timeframe in ("6h", "12h", "1d"):
            bar += "utc"
        params = {
            "instId": native, "bar": bar, "limit": "100", "before": str(start_ms - 1),
            "after": str(end_ms),
        }  # fmt: skip
        return f"publicGetMarket{'' if recent else 'History'}Candles", params

    def closed_candles(self, raw: Sequence[Sequence[Any]]) -> list[Candle]:
        """Read candles with ``confirm`` 1; volumes in coins, as ccxt gives them."""
        rows = {
            int(row[0]): (int(row[0]), *(float(row[part]) for part in (1, 2, 3, 4, 6)))
            for row in raw
            if str(row[-1]) == "1"
        }
        return [rows[at] for at in sorted(rows)]  # type: ignore[misc]  # six values each

    def channel(self, message: Any) -> str | None:
        """Return what a push is about."""
        argument = message.get("arg") if isinstance(message, dict) else None
        if not isinstance(argument, dict) or "data" not in message:
            return None
        name = str(argument.get("channel"))
        if name.startswith("candle"):
            return "candles"
        return "account" if name in ("orders", "positions", "account") else None


def _number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _side(raw: Mapping[str, Any]) -> Side:
    side = raw["posSide"]
    if side not in ("long", "short"):
        # In net mode the leg is whatever the order opened; only foreign orders come here.
        return "long" if raw.get("side") == "buy" else "short"
    return "long" if side == "long" else "short"


def _opens(raw: Mapping[str, Any]) -> bool:
    if raw["posSide"] == "net":
        return str(raw.get("reduceOnly")) != "true"
    return bool((raw["posSide"] == "long") == (raw["side"] == "buy"))
