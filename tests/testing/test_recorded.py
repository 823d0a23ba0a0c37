"""Answers have the fields of the recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryptosim_bt.testing import FakeExchange
from cryptosim_bt.testing import answers as wire
from cryptosim_bt.testing.order_routes import carry_out
from cryptosim_bt.testing.pushes import MarketPushes, snapshot
from cryptosim_bt.testing.queries import Asked
from cryptosim_bt.testing.server import READS
from tests.testing.markets import FLAT, INST, MINUTE, START, exchange_of, wanted

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "okx-recorded"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded answers")


def recorded(name: str) -> Any:
    found = json.loads((RECORDED / name).read_text(encoding="utf-8"))
    return found.get("data", found)


def read(exchange: FakeExchange, path: str, **args: str) -> list[Any]:
    return READS[path](exchange, Asked(args, None, exchange.now_ms))


def traded() -> FakeExchange:
    exchange = exchange_of(FLAT, FLAT, funding=[(START + 1_000, 0.0001)])
    exchange.matching.place(wanted("buy", 10, 90_000), START)
    exchange.matching.place(wanted("buy", 10), START)
    exchange.advance_to(START + MINUTE)
    return exchange


CASES = [
    ("nautilus/http_get_instruments_swap.json", "public/instruments", {"instType": "SWAP"}),
    ("nautilus/http_get_funding_rate_history.json", "public/funding-rate-history",
     {"instId": INST}),
    ("nautilus/http_get_mark_price.json", "public/mark-price", {}),
    ("nautilus_newer/http_get_price_limit.json", "public/price-limit", {"instId": INST}),
    ("nautilus/http_get_trade_fee_response.json", "account/trade-fee", {}),
    ("nautilus/http_get_position_tiers.json", "public/position-tiers", {"instFamily": "BTC-USD"}),
    ("nautilus_newer/http_get_account_configuration.json", "account/config", {}),
    ("nautilus/http_get_account_balance.json", "account/balance", {}),
    ("ccxt/positions_BTC-USD-SWAP_cross_long.json", "account/positions", {}),
    ("ccxt/orders_pending_ADA-USDT-SWAP_long.json", "trade/orders-pending", {}),
    ("ccxt/orders_history_LTC-USDT-SWAP_market_filled.json", "trade/orders-history", {}),
    ("ccxt/fills_history_spot.json", "trade/fills-history", {}),
    ("ccxt/bills_spot_trade.json", "account/bills", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "args"), CASES, ids=[case[1] for case in CASES])
def test_answer_has_the_recorded_fields(name: str, path: str, args: dict[str, str]) -> None:
    wanted_row, row = recorded(name)[0], read(traded(), path, **args)[0]
    assert set(wanted_row) <= set(row)
    # The same kind of value: text, truth, list or number.
    kinds = {key: type(value) for key, value in wanted_row.items()}
    assert {key: type(row[key]) for key in kinds} == kinds
    for key, value in wanted_row.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            assert set(value[0]) <= set(row[key][0])


def test_candles_have_the_recorded_form() -> None:
    [row] = read(traded(), "market/candles", instId=INST, limit="1")
    assert [type(each) for each in recorded("nautilus/http_get_candlesticks.json")[0]] == [
        type(each) for each in row
    ]


def test_placed_order_is_answered_as_recorded() -> None:
    exchange = exchange_of(FLAT)
    answer = carry_out(exchange, "trade/order", Asked(wanted("buy", 1), None, START))
    assert set(recorded("ccxt/order_placed.json")[0]) == set(answer["data"][0])
    refused = carry_out(exchange, "trade/order", Asked(wanted("buy", 0), None, START))
    example = json.loads((RECORDED / "nautilus_newer/http_place_order_rejected.json").read_text())
    assert (refused["code"], refused["msg"]) == (example["code"], example["msg"])
    assert set(refused["data"][0]) == set(example["data"][0])


@pytest.mark.parametrize(
    "name", ["ws_orders.json", "ws_orders_liquidation.json", "ws_orders_adl.json"]
)
def test_order_push_has_the_recorded_fields(name: str) -> None:
    order = traded().matching.orders[-1]
    row = wire.order_push(order, order.fills[-1])
    assert set(recorded(f"nautilus/{name}")[0]) <= set(row)


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("nautilus/ws_account.json", "account"),
        ("nautilus_newer/ws_positions.json", "positions"),
    ],
)
def test_private_push_has_the_recorded_fields(name: str, channel: str) -> None:
    rows = snapshot(traded(), {"channel": channel, "instType": "ANY"})
    assert rows
    assert set(recorded(name)[0]) <= set(rows[0])


def test_ticker_and_candle_pushes_have_the_recorded_form() -> None:
    pushes = MarketPushes(traded())
    [ticker] = pushes.rows({"channel": "tickers", "instId": INST})
    assert set(recorded("nautilus/ws_tickers.json")[0]) <= set(ticker)
    [candle] = pushes.rows({"channel": "candle1m", "instId": INST})
    assert len(recorded("nautilus/ws_candle.json")[0]) == len(candle)


def test_contract_facts_are_the_recorded_ones() -> None:
    [found] = [row for row in recorded("nautilus/http_get_instruments_swap.json")
               if row["instId"] == INST]  # fmt: skip
    [row] = read(traded(), "public/instruments", instType="SWAP", instId=INST)
    for name in ("ctVal", "ctMult", "ctType", "ctValCcy", "lotSz", "minSz", "tickSz", "settleCcy",
                 "instFamily", "uly", "instIdCode", "maxMktSz", "maxLmtSz", "lever"):  # fmt: skip
        assert row[name] == found[name], name
