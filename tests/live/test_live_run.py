"""Live runs at the exchange for tests, ended and killed: the bot believes what the venue has."""

from __future__ import annotations

import random
import time

import pytest

from cryptosim_bt.errors import InputError
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.safety import ask_to_end
from cryptosim_bt.testing import FakeVenue, Keys
from tests.live.rig import SYMBOL, Bot, differences, walk

SCALE = 30.0
REQUESTS = ["POST /api/v5/trade", "GET /api/v5/trade", "/api/v5/account", None]
FAULTS = [
    ("lost_request", {"seconds": 3}), ("lost_answer", {"seconds": 3}), ("reset", {}),
    ("late_request", {"seconds": 1}), ("late_answer", {"seconds": 1}),
    ("http", {"status": 502, "processed": True}), ("http", {"status": 502}), ("html", {}),
    ("html", {"processed": True}), ("cut", {"processed": True}), ("empty", {"processed": True}),
    ("code", {"code": "51149", "processed": True}), ("code", {"code": "51149"}),
    ("reset", {"processed": True}), ("partial_fill", {"share": 0.4}), ("fill_in_cancel", {}),
    ("fill_in_amend", {}), ("fill_in_amend", {"share": 0.5}), ("late_fill", {"seconds": 20}),
    ("push_missing", {}), ("push_duplicated", {}), ("push_reordered", {}), ("ws_drop", {}),
]  # fmt: skip
OF_REQUESTS = {"lost_request", "lost_answer", "reset", "late_request", "late_answer", "http",
               "html", "cut", "empty", "code"}  # fmt: skip


@pytest.fixture
def venue():
    bars = walk(10_000)
    start = int(bars.index[300].timestamp() * 1000)
    keys = Keys("key-of-the-account", "secret-of-the-account", "passphrase-of-the-account")
    with FakeVenue(
        {SYMBOL: bars}, {"BTC": 1.0}, start_ms=start, keys=keys, rate_limits=False
    ) as opened:
        yield opened


@pytest.fixture
def bot(tmp_path, venue):
    made = Bot(tmp_path, venue, **{"exchange.time_scale": SCALE})
    venue.set_time_scale(SCALE)
    yield made
    if made.process is not None and made.process.is_alive():
        made.kill()


def fills_of(bot):
    return len(bot.venue.exchange.matching.fills)


def test_run_that_ends_keeps_its_exits_and_goes_on(bot, venue):
    bot.start()
    bot.wait_until(lambda: fills_of(bot) >= 6, 90)
    with pytest.raises(InputError, match="another process trades with this journal"):
        Journal(bot.journal)
    venue.set_time_scale(0)  # or an exit could fill when the bot is gone
    assert bot.end() == 0
    assert differences(bot) == []
    before = bot.status()
    assert before["groups"]
    assert before["mode"] == "live"
    venue.set_time_scale(SCALE)
    bot.start()
    bot.wait_until(lambda: fills_of(bot) >= before["fills"] + 4, 90)
    assert ask_to_end(bot.journal, "flatten") is True  # by the kill-switch file
    venue.set_time_scale(0)
    assert differences(bot) == []
    after = bot.status()
    assert (after["groups"], after["open_orders"], after["alarms"]) == ([], [], [])
    assert after["balance"] == pytest.approx(after["equity"], abs=1e-12)
    keys = (venue.keys.api_key, venue.keys.secret, venue.keys.passphrase)
    for path in bot.folder.rglob("*"):
        found = path.read_bytes() if path.is_file() else b""
        assert not any(key.encode() in found for key in keys), path


def test_what_others_do_is_left_alone_and_told(bot, venue):
    bot.start()
    bot.wait_until(lambda: fills_of(bot) >= 2, 90)
    # Not stopped: by hand on the same account, an order that rests and one that fills.
    order = {"instId": "BTC-USD-SWAP", "tdMode": "cross", "side": "buy", "posSide": "long"}
    now, price = venue.now_ms, venue.exchange.market_of(SYMBOL).price(venue.now_ms)
    for more in ({"ordType": "limit", "px": f"{price * 0.97:.1f}", "sz": "3", "clOrdId": "byhand1"},
                 {"ordType": "market", "sz": "5", "clOrdId": "byhand2"}):  # fmt: skip
        venue.faults.add("foreign_order", when=now, **order, **more)
    bot.wait_until(
        lambda: any("somebody else" in alarm["text"] for alarm in bot.status()["alarms"]), 60
    )
    venue.set_time_scale(0)
    assert bot.end() == 0
    pending = [each.cl_ord_id for each in venue.exchange.matching.intake.pending()]
    assert "byhand1" in pending
    held = sum(each.contracts for each in venue.exchange.ledger.positions.values()
               if each.side == "long")  # fmt: skip
    assert held == bot.status()["legs"]["long"]["contracts"] + 5.0


def test_leg_that_the_venue_closes_is_booked(bot, venue):
    bot.start()
    bot.wait_until(lambda: any(group["side"] == "long" for group in bot.status()["groups"])
                   if bot.journal.exists() and fills_of(bot) else False, 90)  # fmt: skip
    venue.faults.add("liquidation", when=venue.now_ms, symbol=SYMBOL, side="long")
    bot.wait_until(
        lambda: any("liquidation" in alarm["text"] for alarm in bot.status()["alarms"]), 60
    )
    venue.set_time_scale(0)
    assert bot.end() == 0
    assert [each for each in differences(bot) if not each.startswith("balance")] == []


def break_things(bot, rng, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kind, details = rng.choice(FAULTS)
        when = rng.choice(REQUESTS) if kind in OF_REQUESTS else None
        bot.venue.faults.add(kind, when=when, **details)
        time.sleep(0.8)
        assert bot.process.is_alive(), bot.log()[-2000:]


def storm(bot, seed, kills, longest_s):
    """Run, break, kill; end in calm and return what differs."""
    rng = random.Random(seed)
    for _ in range(kills):
        bot.start()
        break_things(bot, rng, rng.uniform(3.0, longest_s))
        bot.kill()
    bot.venue.faults.clear()
    seen = fills_of(bot)
    bot.start()
    bot.wait_until(lambda: fills_of(bot) >= seen + 2, 120)
    bot.venue.set_time_scale(0)
    assert bot.end() == 0
    return differences(bot)


def test_killed_runs_lose_and_double_nothing(bot):
    assert storm(bot, seed=7, kills=3, longest_s=12.0) == []
    assert fills_of(bot) > 2


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(20))
def test_many_killed_runs_lose_and_double_nothing(bot, seed):
    assert storm(bot, seed=seed, kills=50, longest_s=15.0) == []
