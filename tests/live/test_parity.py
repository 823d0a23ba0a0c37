"""The same bars through a backtest and through a live run give the same fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import cryptosim_bt
from cryptosim_bt import known_instrument
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.testing import FakeVenue, Market
from tests.live.rig import SYMBOL, Bot, differences, walk

BARS = 30
FIRST = 3  # warm-up of the strategy
FEE = 0.0004
STEP = 60_000


@pytest.fixture
def bars():
    # Every bar opens where the one before closed: a limit at the close fills as it arrives, and
    # the order of events in a bar does not depend on when it arrived.
    return walk(FIRST + BARS + 2, seed=1)


def idle(journal: Journal, bar_ms: int) -> bool:
    """Tell whether the bot has acted on a bar and nothing that followed is on its way."""
    acted = [each["time_ms"] for each in journal.bars()]
    return bool(acted) and acted[-1] >= bar_ms and not any(
        each["asked"] or each["final"] is not None for each in journal.orders()
    )


def traded(bot: Bot, venue: FakeVenue, start: int) -> Iterator[int]:
    """Let the bot trade bar by bar; time stands still until it has done all that a bar asks for."""
    bot.start()
    bot.wait_until(lambda: "trading" in bot.log() if (bot.folder / "bot.log").exists() else False)
    bot.wait_until(lambda: len(venue.streams.received) >= 3)  # login and two subscriptions
    for number in range(BARS):
        opens = start + number * STEP
        venue.advance_to(opens + STEP)
        quiet = 0

        def settled(opens=opens):
            nonlocal quiet
            journal = Journal(bot.journal, reading=True)
            fills = len(journal.fills())
            same = idle(journal, opens) and fills == len(venue.exchange.matching.fills)
            journal.close()
            quiet = quiet + 1 if same else 0
            return quiet >= 4

        bot.wait_until(settled, 60)
        yield opens


def test_backtest_and_live_run_fill_alike(tmp_path, bars):
    start = int(bars.index[FIRST].timestamp() * 1000)
    instrument = replace(known_instrument("okx", SYMBOL), maker=FEE, taker=FEE)
    market = Market(instrument, bars)
    bars.iloc[: FIRST + BARS].to_csv(tmp_path / "bars.csv")
    with FakeVenue([market], {"BTC": 1.0}, start_ms=start, rate_limits=False) as venue:
        bot = Bot(tmp_path, venue, **{"exchange.time_scale": 1e-9})
        for _ in traded(bot, venue, start):
            pass
        assert bot.end() == 0
        assert differences(bot) == []
        journal = Journal(bot.journal, reading=True)
        signals = [each["signal"] for each in journal.bars()]
        events = [each for each in journal.events() if each["is"] == "fill"]
        journal.close()
    result = cryptosim_bt.run(
        tmp_path / "config.yaml",
        {key: value for key, value in bot.overrides.items() if key.partition(".")[0] != "live"}
        | {
            "mode": "backtest", "data.source": "file", "data.path": str(tmp_path / "bars.csv"),
            "exchange.rest_url": None, "exchange.ws_url": None, "exchange.time_scale": 1.0,
            "backtest.initial_balance": 1.0, "timezone": "UTC", "backtest.funding.rate": 0.0,
            "backtest.fees.commission": FEE,
            "backtest.trading_period.start_date": str(bars.index[FIRST]),
            "backtest.trading_period.end_date": str(bars.index[FIRST + BARS]),
        },
    )  # fmt: skip
    assert signals == result.bars["signal"].tolist()
    # Both by bar: of two exits in one bar the venue fills the nearer price first. What filled at
    # the last close was ordered there; the backtest is over by then.
    end = start + BARS * STEP
    found = sorted(
        (each["time_ms"] // STEP, each["role"], each["side"], each["price"], each["contracts"])
        for each in events if each["time_ms"] < end
    )  # fmt: skip
    expected = sorted(
        (each.time.timestamp() * 1000 // STEP, each.role, each.side, each.price, each.contracts)
        for each in result.fills.itertuples()
    )
    assert found == expected
    assert len(found) >= BARS / 2
    money = 1.0
    for each in events:
        if each["time_ms"] < end:
            money += each["realized_pnl"] - each["fee"]
    assert money == pytest.approx(result.fills["balance"].iloc[-1], abs=1e-12)
