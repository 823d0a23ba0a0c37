"""The account against the exchange for tests: what it books, and answers that leave things open."""

from __future__ import annotations

import asyncio

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.data.venue import Retries
from cryptosim_bt.errors import VenueRefused
from cryptosim_bt.live import venue_account
from cryptosim_bt.live.adapter import OrderRequest
from cryptosim_bt.live.credentials import Credentials
from cryptosim_bt.live.okx import Okx
from cryptosim_bt.live.venue_account import AccountOptions, VenueAccount
from cryptosim_bt.live.venue_orders import OrderQuestions, Outcome
from cryptosim_bt.live.venue_reads import AccountQuestions
from cryptosim_bt.testing import FakeVenue

SYMBOL = "BTC/USD:BTC"
START = 1_735_689_600_000  # 2025-01-01
PLACE, AMEND, CANCEL = "POST /api/v5/trade/order", "trade/amend-order", "trade/cancel-order"


def bars(*closes):
    index = pd.date_range("2025-01-01", periods=len(closes), freq="1min", tz="UTC")
    table = pd.DataFrame({"close": np.array(closes, dtype=float)}, index=index)
    table["open"] = table["close"].shift(1, fill_value=closes[0])
    table["high"], table["low"] = table.max(axis=1), table.min(axis=1)
    table["volume"] = 10.0
    return table[["open", "high", "low", "close", "volume"]]


@pytest.fixture
def venue():
    table = bars(*[90_000.0] * 5, *[89_000.0] * 5, *[91_000.0] * 300)
    with FakeVenue({SYMBOL: table}, {"BTC": 1.0}, start_ms=START, rate_limits=False) as opened:
        yield opened


@pytest.fixture
def ask(venue, monkeypatch):
    """Run coroutine functions of (account, orders) in one loop, with a quick expiry."""
    monkeypatch.setattr(venue_account, "EXPIRY_MS", 200)
    loop = asyncio.new_event_loop()
    keys = Credentials(venue.keys.api_key, venue.keys.secret, venue.keys.passphrase)
    options = AccountOptions(
        "okx", SYMBOL, rest_url=venue.rest_url, ws_url=venue.ws_url, timeout_s=0.5
    )

    async def open_account():
        account = VenueAccount(options, Okx(), keys, retries=Retries(times=3, first_s=0.01))
        account.clock._monotonic = lambda: venue.now_ms / 1000.0  # the venue's clock stands
        await account.open()
        return account

    account = loop.run_until_complete(open_account())
    orders = OrderQuestions(account)

    def run(question):
        return loop.run_until_complete(question(account, orders))

    yield run
    loop.run_until_complete(account.close())
    loop.close()


def entry(name, contracts=9.0, price=89_500.0, *, opens=True):
    return OrderRequest(name, "long", opens, contracts, price)


def clock_runs(venue):
    venue.set_time_scale(1.0)


def test_order_fill_leg_money(venue, ask):
    facts = ask(lambda account, _: account.open())
    assert (facts.native, facts.contract_size, facts.lot) == ("BTC-USD-SWAP", 100.0, 1.0)
    ask(lambda account, _: account.prepare(5.0))
    placed = ask(lambda _, orders: orders.place(entry("c1")))
    assert placed.outcome is Outcome.WORKING
    (there,) = ask(lambda account, _: AccountQuestions(account).open_orders())
    assert (there.client_id, there.contracts, there.price) == ("c1", 9.0, 89_500.0)
    assert (there.side, there.opens, there.venue_id) == ("long", True, placed.order.venue_id)
    venue.advance_to(START + 6 * 60_000)
    (fill,) = ask(lambda account, _: AccountQuestions(account).fills(START))
    assert (fill.client_id, fill.contracts, fill.price) == ("c1", 9.0, 89_500.0)
    assert fill.fee == pytest.approx(9 * 100 / 89_500 * 0.0002, abs=1e-12)
    (leg,) = ask(lambda account, _: AccountQuestions(account).positions())
    assert (leg.side, leg.contracts, leg.average, leg.leverage) == ("long", 9.0, 89_500.0, 5.0)
    balance = ask(lambda account, _: AccountQuestions(account).balance("BTC"))
    assert balance.cash == pytest.approx(1.0 - fill.fee, abs=1e-12)
    assert ask(lambda _, orders: orders.find("c1")).state == "filled"
    assert ask(lambda _, orders: orders.find("c2")) is None


def test_exit_is_amended_and_cancelled(venue, ask):
    ask(lambda _, orders: orders.place(entry("c1")))
    venue.advance_to(START + 6 * 60_000)
    placed = ask(lambda _, orders: orders.place(entry("c2", 5.0, 92_000.0, opens=False)))
    amended = ask(lambda _, orders: orders.amend(placed.order, 9.0, 91_500.0))
    assert amended.outcome is Outcome.WORKING
    assert (amended.order.contracts, amended.order.price) == (9.0, 91_500.0)
    too_large = ask(lambda _, orders: orders.amend(amended.order, 10.0, 91_500.0))
    assert too_large.outcome is Outcome.REFUSED
    assert too_large.order.contracts == 9.0  # it works on as it was
    over = ask(lambda _, orders: orders.cancel(amended.order))
    assert (over.outcome, over.order.state) == (Outcome.OVER, "cancelled")
    assert ask(lambda _, orders: orders.amend(amended.order, 9.0, 91_000.0)).outcome is Outcome.OVER


def test_refusal_is_certain(ask):
    answer = ask(lambda _, orders: orders.place(entry("c1", contracts=9e6)))
    assert (answer.outcome, answer.order) == (Outcome.REFUSED, None)
    assert "51008" in answer.reason


# What may have been done, and whether it was.
OPEN_OUTCOMES = [
    ("lost_answer", {"seconds": 0.8}, True),
    ("lost_request", {"seconds": 0.8}, False),
    ("late_request", {"seconds": 0.1}, True),
    ("late_answer", {"seconds": 0.1}, True),
    ("reset", {"processed": True}, True),
    ("reset", {"processed": False}, False),
    ("http", {"status": 502, "processed": True}, True),
    ("http", {"status": 502, "processed": False}, False),
    ("html", {"processed": True}, True),
    ("html", {"processed": False}, False),
    ("empty", {"processed": True}, True),
    ("cut", {"processed": True}, True),
    ("code", {"code": "51149", "processed": True}, True),
    ("code", {"code": "51149", "processed": False}, False),
    ("code", {"code": "50004", "processed": True}, True),
]


@pytest.mark.parametrize(("kind", "details", "done"), OPEN_OUTCOMES)
def test_open_outcome_of_an_order_is_followed_up(venue, ask, kind, details, done):
    clock_runs(venue)
    venue.faults.add(kind, when=PLACE, **details)
    answer = ask(lambda _, orders: orders.place(entry("c1", price=85_500.0)))
    assert answer.outcome is (Outcome.WORKING if done else Outcome.NEVER)
    placed = [each for each in venue.rest.requests if each[:2] == ("POST", "/api/v5/trade/order")]
    assert len(placed) == 1  # never sent twice
    assert len(venue.run(lambda: list(venue.exchange.matching.orders))) == int(done)


@pytest.mark.parametrize(("kind", "details", "done"), OPEN_OUTCOMES[::3])
def test_open_outcome_of_an_amendment_is_followed_up(venue, ask, kind, details, done):
    clock_runs(venue)
    placed = ask(lambda _, orders: orders.place(entry("c1", price=85_500.0)))
    venue.faults.add(kind, when=AMEND, **details)
    answer = ask(lambda _, orders: orders.amend(placed.order, 9.0, 86_000.0))
    assert answer.outcome is Outcome.WORKING
    assert answer.order.price == (86_000.0 if done else 85_500.0)


@pytest.mark.parametrize(("kind", "details", "done"), OPEN_OUTCOMES[1::3])
def test_open_outcome_of_a_cancel_is_followed_up(venue, ask, kind, details, done):
    clock_runs(venue)
    placed = ask(lambda _, orders: orders.place(entry("c1", price=85_500.0)))
    venue.faults.add(kind, when=CANCEL, **details)
    answer = ask(lambda _, orders: orders.cancel(placed.order))
    assert answer.outcome is (Outcome.OVER if done else Outcome.WORKING)


def test_request_that_comes_after_its_expiry_is_dropped(venue, ask):
    clock_runs(venue)
    venue.faults.add("late_request", when=PLACE, seconds=1.0)
    answer = ask(lambda _, orders: orders.place(entry("c1", price=85_500.0)))
    assert answer.outcome is Outcome.NEVER
    assert venue.run(lambda: list(venue.exchange.matching.orders)) == []


@pytest.mark.parametrize("kind", ["html", "cut", "http", "reset", "lost_answer"])
def test_nothing_is_believed_only_from_an_answer(venue, ask, kind):
    ask(lambda _, orders: orders.place(entry("c1")))
    details = {"seconds": 0.8} if kind == "lost_answer" else {}
    venue.faults.add(kind, when="orders-pending", times=2, **details)
    assert len(ask(lambda account, _: AccountQuestions(account).open_orders())) == 1


def test_all_pages_are_read(venue, ask):
    async def place_many(_, orders):
        for number in range(105):
            await orders.place(entry(f"c{number}", 1.0, 89_500.0))

    ask(place_many)
    assert len(ask(lambda account, _: AccountQuestions(account).open_orders())) == 105
    venue.advance_to(START + 6 * 60_000)
    fills = ask(lambda account, _: AccountQuestions(account).fills(START))
    assert {fill.client_id for fill in fills} == {f"c{number}" for number in range(105)}


def test_no_error_holds_a_key(venue, ask):
    venue.faults.add(
        "code", when="account/balance", code="50111",
        message=f"{venue.keys.api_key} {venue.keys.secret} {venue.keys.passphrase}",
    )  # fmt: skip
    with pytest.raises(VenueRefused) as caught:
        ask(lambda account, _: AccountQuestions(account).balance("BTC"))
    for value in (venue.keys.api_key, venue.keys.secret, venue.keys.passphrase):
        assert value not in str(caught.value)
