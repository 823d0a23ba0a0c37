"""The commands about trading: what they print, ask for, and refuse."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cryptosim_bt.accounting.book_events import EntryWanted, OrderAccepted, to_record
from cryptosim_bt.accounting.instrument import known_instrument
from cryptosim_bt.accounting.orders import Execution, Liquidity, Role
from cryptosim_bt.cli.commands import commands
from cryptosim_bt.errors import ConfigError, InputError
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.reconcile import Place, Stage, Working
from cryptosim_bt.live.safety import ask_to_end
from cryptosim_bt.testing import FakeVenue
from tests.live.rig import SYMBOL, Bot, walk


@pytest.fixture
def bot(tmp_path, monkeypatch):
    bars = walk(400)
    start = int(bars.index[300].timestamp() * 1000)
    with FakeVenue({SYMBOL: bars}, {"BTC": 1.0}, start_ms=start, rate_limits=False) as venue:
        for name, value in (("KEY", venue.keys.api_key), ("SECRET", venue.keys.secret),
                            ("PASSWORD", venue.keys.passphrase)):  # fmt: skip
            monkeypatch.setenv(f"CRYPTOSIM_API_{name}", value)
        yield Bot(tmp_path, venue)


def run(bot, command, *more):
    config = [str(bot.folder / "config.yaml")]
    sets = [f"{key}={'null' if value is None else value}" for key, value in bot.overrides.items()]
    given = [part for each in sets for part in ("--set", each)]
    return CliRunner().invoke(commands, [command, *config, *given, *more])


def journal_with_a_position(bot):
    journal = Journal(bot.journal)
    instrument = known_instrument("okx", SYMBOL)
    rules = {"position_set_size": 3, "max_sets": {"long": 3, "short": 2}, "take_profit_pct": 0.02,
             "stop_loss_pct": None, "asks_stops": False}  # fmt: skip
    journal.put(
        run="k3f9a2bc", mode="live", symbol=SYMBOL, native="BTC-USD-SWAP", linear_pnl="exchange",
        instrument={name: getattr(instrument, name) for name in instrument.__slots__},
        rules=rules, initial_balance=1.0, running_ms=1_735_689_600_000, last_price=91_000.0,
    )  # fmt: skip
    fill = Execution(5, 1, Role.ENTRY, "long", 0, 90_000.0, 9.0, 2e-6, Liquidity.MAKER, 0.0, "71")
    for event in (EntryWanted("long", 9.0, 90_000.0), OrderAccepted(1, 5, "600"), fill):
        journal.add_event(5, to_record(event))
    journal.add_fill("71", 5, "csk3f9a2bcel1a0", {})
    there = Working("csk3f9a2bctl2a0", Place(False, "long", 1), 2, Role.TAKE_PROFIT, 9.0, 91_800.0,
                    stage=Stage.WORKING, asked="")  # fmt: skip
    journal.put_order(there.client_id, there.record(), is_over=False)
    journal.raise_alarm(5, "money", "the venue has +0.1 more than the book")
    journal.close()


def test_status_is_the_journals(bot):
    journal_with_a_position(bot)
    done = run(bot, "status", "--json", "--fills")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    unrealized = 9 * 100 * (1 / 90_000 - 1 / 91_000)
    assert found["balance"] == 1.0 - 2e-6
    assert found["equity"] == pytest.approx(1.0 - 2e-6 + unrealized, abs=1e-15)
    expected = {
        "time": "2025-01-01T00:00:00Z", "mode": "live", "symbol": SYMBOL,
        "instrument": "BTC-USD-SWAP",
        "legs": {"long": {"contracts": 9.0, "average": 90_000.0},
                 "short": {"contracts": 0.0, "average": 0.0}},
        "realized_pnl": 0.0, "fees": 2e-6, "funding": 0.0,
        "groups": [{
            "name": "P-long", "side": "long", "contracts": 9.0, "average": 90_000.0,
            "take_profit": {"client_id": "csk3f9a2bctl2a0", "price": 91_800.0, "contracts": 9.0},
            "stop_loss": None,
        }],
        "open_orders": [{
            "client_id": "csk3f9a2bctl2a0", "role": "take_profit", "side": "long",
            "price": 91_800.0, "contracts": 9.0, "filled": 0.0,
        }],
        "fills": 1, "fill_ids": ["71"],
        "alarms": [{"time": "1970-01-01T00:00:00.005Z", "key": "money",
                    "text": "the venue has +0.1 more than the book"}],
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert "take_profit" in run(bot, "status").output


def test_status_without_a_journal_says_so(bot):
    assert "there is no such journal" in str(run(bot, "status").exception)


def test_doctor_tells_contracts_in_words(bot):
    done = run(bot, "doctor")
    assert done.exit_code == 0, done.output
    assert "1 contract = 100 USD; 0.01 BTC at " in done.output
    assert " = 8 contracts" in done.output or " = 9 contracts" in done.output
    assert "demo trading" in done.output
    assert not [each for each in bot.venue.rest.requests if each[0] == "POST"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("CRYPTOSIM_API_SECRET", "another", "50113"),
        ("CRYPTOSIM_API_KEY", "", "CRYPTOSIM_API_KEY: missing"),
    ],
)
def test_doctor_says_what_is_wrong_with_the_keys(bot, monkeypatch, key, value, said):
    monkeypatch.setenv(key, value)
    done = run(bot, "doctor")
    assert isinstance(done.exception, InputError)
    assert said in done.output


def test_doctor_says_when_an_entry_is_too_small(bot):
    bot.overrides["trading.position_size"] = 0.0001
    assert "NOT contract: " in run(bot, "doctor").output


def test_real_money_needs_two_words(bot):
    for name in ("rest_url", "ws_url", "time_scale"):
        bot.overrides.pop(f"exchange.{name}")
    bot.overrides["exchange.trade_mode"] = "real"
    done = run(bot, "run")
    assert isinstance(done.exception, ConfigError)
    assert "--yes-real-money" in str(done.exception)


def test_nobody_to_stop(bot):
    assert ask_to_end(bot.journal, "stop") is None
    assert run(bot, "stop").exit_code == 0
    assert not bot.journal.exists()
