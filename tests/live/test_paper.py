"""Paper: the same bars give the same fills as a backtest, also through a kill."""

from __future__ import annotations

import pytest

import cryptosim_bt
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.testing import FakeVenue
from tests.live.rig import SYMBOL, Bot, walk

BARS, FIRST, STEP = 40, 3, 60_000


def has_bar(bot, open_ms):
    def looked():
        journal = Journal(bot.journal, reading=True)
        there = any(row["time_ms"] >= open_ms for row in journal.bars())
        journal.close()
        return there

    return looked


def started(bot, times):
    log = bot.folder / "bot.log"
    bot.wait_until(lambda: log.exists() and bot.log().count("trading BTC") == times)
    subscribed = bot.venue.streams.received
    bot.wait_until(lambda: len(subscribed) >= times)


def test_paper_trades_as_a_backtest_does_through_a_kill(tmp_path):
    bars = walk(FIRST + BARS + 2, seed=1)
    start = int(bars.index[FIRST].timestamp() * 1000)
    bars.iloc[: FIRST + BARS].to_csv(tmp_path / "bars.csv")
    with FakeVenue({SYMBOL: bars}, {"BTC": 1.0}, start_ms=start, rate_limits=False) as venue:
        bot = Bot(tmp_path, venue, **{
            "mode": "paper", "exchange.time_scale": 1e-9, "backtest.initial_balance": 1.0,
            "backtest.funding.rate": 0.0,
        })  # fmt: skip
        bot.start()
        started(bot, 1)
        for number in range(BARS):
            if number == BARS // 2:
                bot.kill()
                bot.start()
                started(bot, 2)
            opens = start + number * STEP
            venue.advance_to(opens + STEP)
            bot.wait_until(has_bar(bot, opens))
        assert bot.end() == 0
        believed = bot.status()
        journal = Journal(bot.journal, reading=True)
        events = [each for each in journal.events() if each["is"] == "fill"]
        journal.close()
        assert not [each for each in venue.rest.requests if each[0] == "POST"]
    result = cryptosim_bt.run(
        tmp_path / "config.yaml",
        {key: value for key, value in bot.overrides.items() if key.partition(".")[0] != "live"}
        | {
            "mode": "backtest", "data.source": "file", "data.path": str(tmp_path / "bars.csv"),
            "exchange.rest_url": None, "exchange.ws_url": None, "exchange.time_scale": 1.0,
            "timezone": "UTC",
            "backtest.trading_period.start_date": str(bars.index[FIRST]),
            "backtest.trading_period.end_date": str(bars.index[FIRST + BARS]),
        },
    )  # fmt: skip
    found = [(each["time_ms"], each["role"], each["side"], each["price"], each["contracts"])
             for each in events]  # fmt: skip
    expected = [(each.time.timestamp() * 1000, each.role, each.side, each.price, each.contracts)
                for each in result.fills.itertuples()]  # fmt: skip
    assert found == expected
    assert believed["fills"] == len(expected) >= BARS / 2
    assert believed["mode"] == "paper"
    assert believed["balance"] == pytest.approx(result.fills["balance"].iloc[-1], abs=1e-12)
    assert believed["equity"] == pytest.approx(result.bars["equity"].iloc[-1], abs=1e-12)
    assert {each["contracts"] for each in believed["groups"]} == {
        each["take_profit"]["contracts"] for each in believed["groups"]
    }
