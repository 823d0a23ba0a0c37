"""OKX's adapter against what the exchange recorded: orders, fills, legs, candles, errors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cryptosim_bt.live.adapter import Adapter, OrderRequest, Verdict
from cryptosim_bt.live.okx import Okx

OKX: Adapter = Okx()
RECORDED = Path(os.environ.get("CRYPTOSIM_DATA", "../shared/data")).parent / "okx-recorded"
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded answers here")


def data(name):
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


@recorded
def test_recorded_inverse_leg():
    body = data("ccxt/positions_BTC-USD-SWAP_cross_long.json")
    assert OKX.envelope_fault("/api/v5/account/positions", "GET", body) is None
    leg = OKX.position(body["data"][0])
    assert leg is not None
    assert (leg.side, leg.contracts, leg.average) == ("long", 1.0, 91957.1)
    assert (leg.leverage, leg.margin_mode) == (20.0, "cross")


@recorded
def test_recorded_orders():
    pending = OKX.order(data("ccxt/orders_pending_ADA-USDT-SWAP_long.json")["data"][0])
    assert (pending.side, pending.opens, pending.state) == ("long", True, "open")
    filled = OKX.order(data("ccxt/orders_history_LTC-USDT-SWAP_market_filled.json")["data"][0])
    assert (filled.state, filled.price, filled.filled) == ("filled", None, filled.contracts)


@recorded
@pytest.mark.parametrize(
    ("name", "why"), [("ws_orders_liquidation", "liquidation"), ("ws_orders_adl", "deleveraging")]
)
def test_recorded_orders_of_the_exchange_itself(name, why):
    message = data(f"nautilus/{name}.json")
    assert OKX.channel(message) == "account"
    assert OKX.order(message["data"][0]).by_itself == why


@recorded
def test_recorded_candles():
    message = data("nautilus/ws_candle.json")
    assert OKX.channel(message) == "candles"
    rows = data("nautilus/http_get_candlesticks.json")["data"]
    closed = OKX.closed_candles(rows)
    assert [row[0] for row in closed] == sorted(int(row[0]) for row in rows if row[8] == "1")


@recorded
def test_recorded_refusals():
    timeout = data("nautilus_newer/http_place_algo_order_timeout.json")  # 51149 inside code 0
    hidden = OKX.envelope_fault("/api/v5/trade/order", "POST", timeout)
    assert hidden
    assert OKX.verdict(f"okx {hidden}") is Verdict.UNKNOWN
    for name, verdict in (("place_order_rejected", Verdict.REFUSED),
                          ("error_rate_limit", Verdict.NOT_DONE),
                          ("error_invalid_access_key", Verdict.FATAL)):  # fmt: skip
        assert OKX.verdict(f"okx {json.dumps(data(f'nautilus_newer/http_{name}.json'))}") is verdict


def test_fill_closes_a_leg_with_its_fee_as_a_cost():
    raw = {
        "tradeId": "700", "ordId": "600", "clOrdId": "", "posSide": "short", "side": "buy",
        "fillPx": "90010", "fillSz": "4", "fee": "-0.00000222", "fillPnl": "0.00001",
        "execType": "T", "ts": "1767225600500", "fillTime": "1767225600400",
    }  # fmt: skip
    fill = OKX.fill(raw)
    assert (fill.side, fill.opens, fill.is_maker) == ("short", False, False)
    assert (fill.fee, fill.pnl, fill.time_ms) == (2.22e-06, 1e-05, 1767225600400)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, ""),
        ("<html>login</html>", ""),
        ({"code": "0", "data": []}, ""),
        ({"code": "0"}, ""),
        ({"code": "1", "data": [{"sCode": "51008"}]}, None),  # ccxt raises that one
        ({"code": "0", "data": [{"sCode": "0", "ordId": "1"}]}, None),
    ],
)
def test_answer_to_an_order_is_believed_only_from_okx(answer, fault):
    assert OKX.envelope_fault("https://x/api/v5/trade/order", "POST", answer) == fault


def test_empty_list_is_an_answer_to_a_question():
    answer = {"code": "0", "data": []}
    assert OKX.envelope_fault("https://x/api/v5/trade/orders-pending", "GET", answer) is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('okx {"code":"1","data":[{"sCode":"51016","sMsg":"dup"}],"msg":""}', Verdict.UNKNOWN),
        ('okx {"code":"1","data":[{"sCode":"51008"}]}', Verdict.REFUSED),
        ('okx {"code":"1","data":[{"sCode":"50036"}]}', Verdict.NOT_DONE),
        ('okx {"code":"51603","data":[],"msg":"none"}', Verdict.OVER),
        ('okx {"code":"50111","msg":"key"}', Verdict.FATAL),
        ("okx GET https://www.okx.com 502 Bad Gateway", None),
        ("okx POST {broken", None),
    ],
)
def test_what_an_error_says(text, verdict):
    assert OKX.verdict(text) is verdict


def test_demo_and_test_hosts_are_options_of_the_client():
    options = OKX.options("http://127.0.0.1:1/", "ws://127.0.0.1:1/ws/v5", is_demo=True)
    assert options["urls"]["api"] == {"rest": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:1/ws/v5"}
    assert options["headers"] == {"x-simulated-trading": "1"}
    assert "urls" not in OKX.options(None, None, is_demo=False)


def test_only_what_can_be_dropped_has_an_expiry():
    request = OrderRequest("c1", "short", False, 9.0, 90_000.0)
    assert OKX.order_params(request, "cross") == {
        "positionSide": "short", "tdMode": "cross", "clientOrderId": "c1",
    }  # fmt: skip
    assert OKX.with_expiry("https://x/api/v5/trade/order", 5) == {"expTime": "5"}
    assert OKX.with_expiry("https://x/api/v5/trade/order?clOrdId=c1", 5) == {"expTime": "5"}
    assert OKX.with_expiry("https://x/api/v5/trade/cancel-order", 5) == {}
