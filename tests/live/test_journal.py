"""The journal: kept through a kill, one writer, one owner, versions, the book from its events."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from cryptosim_bt.accounting.book_events import (
    EntryWanted,
    OrderAccepted,
    from_record,
    to_record,
)
from cryptosim_bt.accounting.exit_orders import BookRules
from cryptosim_bt.accounting.instrument import known_instrument
from cryptosim_bt.accounting.orders import Execution, Liquidity, Role
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.errors import InputError
from cryptosim_bt.live.journal import MIGRATIONS, Journal

WRITER = """
import sys
from pathlib import Path
from cryptosim_bt.live.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(1_000_000):
    with journal.together():
        journal.add_event(number, {"number": number})
        journal.put(last=number)
    print(number, flush=True)
"""


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "deep" / "journal.db")
    yield opened
    opened.close()


def test_what_was_written_before_a_kill_is_there_and_the_lock_is_not(tmp_path):
    path = tmp_path / "journal.db"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    with pytest.raises(InputError, match="another process trades with this journal"):
        Journal(path)
    time.sleep(0.3)
    os.kill(writer.pid, signal.SIGKILL)
    printed = int(writer.communicate()[0].split()[-1])
    journal = Journal(path)  # no stale lock
    numbers = [event["number"] for event in journal.events()]
    assert numbers == list(range(len(numbers)))
    assert printed <= journal.get("last") == numbers[-1]
    journal.close()


def test_all_or_nothing(journal):
    def written_half():
        with journal.together():
            journal.put(balance=1.0)
            with journal.together():
                journal.add_event(1, {"a": 1})
            raise KeyError

    with pytest.raises(KeyError):
        written_half()
    assert journal.get("balance") is None
    assert list(journal.events()) == []


def test_reader_sees_what_is_committed_and_makes_nothing(journal, tmp_path):
    with pytest.raises(InputError, match="no such journal"):
        Journal(tmp_path / "none.db", reading=True)
    assert not (tmp_path / "none.db").exists()
    journal.put(mode="live")
    reader = Journal(journal.path, reading=True)
    assert reader.get("mode") == "live"
    with pytest.raises(sqlite3.OperationalError):
        reader.put(mode="paper")
    reader.close()


def test_migration_keeps_what_is_there(tmp_path):
    path = tmp_path / "journal.db"
    old = Journal(path, migrations=MIGRATIONS[:1])
    old.add_event(1, {"a": 1})
    old.put(balance=0.5)
    old.close()
    newer = (*MIGRATIONS, "ALTER TABLE bars ADD COLUMN signal INTEGER;")
    journal = Journal(path, migrations=newer)
    assert (list(journal.events()), journal.get("balance")) == ([{"a": 1}], 0.5)
    journal.close()
    with pytest.raises(InputError, match=f"version {len(newer)}; this CryptoSim knows up to"):
        Journal(path, migrations=newer[:-1])


def test_failed_migration_changes_nothing(tmp_path):
    path = tmp_path / "journal.db"
    Journal(path).close()
    with pytest.raises(InputError, match="cannot be opened as a journal"):
        Journal(path, migrations=(*MIGRATIONS, "CREATE TABLE more (a); CREATE TABLE bars (a);"))
    journal = Journal(path)
    journal._base.execute("CREATE TABLE more (a)")  # not there
    journal.close()


def test_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "journal.db"
    path.write_text("a,b\n1,2\n" * 100)
    with pytest.raises(InputError, match="cannot be opened as a journal"):
        Journal(path)


def test_journal_of_something_else_is_refused(journal):
    journal.identify({"symbol": "BTC/USD:BTC", "strategy": "rsi_dip"})
    journal.identify({"symbol": "BTC/USD:BTC", "strategy": "rsi_dip"})
    with pytest.raises(InputError, match="strategy: rsi_dip there, simple_ma here"):
        journal.identify({"symbol": "BTC/USD:BTC", "strategy": "simple_ma"})


def test_fills_and_bills_are_added_once(journal):
    assert journal.add_fill("700", 5, "c1", {"contracts": 1.0})
    assert not journal.add_fill("700", 6, "c1", {"contracts": 2.0})
    assert journal.fills() == [{"trade_id": "700", "client_id": "c1", "contracts": 1.0}]
    assert journal.add_bill("b1", 5, {})
    assert not journal.add_bill("b1", 5, {})


def test_orders_and_intents(journal):
    journal.put_order("c1", {"total": 9.0}, is_over=False)
    journal.put_order("c2", {"total": 8.0}, is_over=True)
    intent = journal.add_intent(5, "c1", "place", {"total": 9.0})
    journal.answer_intent(intent, "working", 6)
    assert journal.orders() == [{"total": 9.0}]
    assert journal.order("c2") == {"total": 8.0}
    assert journal.order("c3") is None


def test_alarm_goes_on_until_it_ends(journal):
    assert journal.raise_alarm(1, "stale", "no bar for 180 s")
    assert not journal.raise_alarm(2, "stale", "no bar for 240 s")
    assert [alarm["time_ms"] for alarm in journal.alarms()] == [1]
    assert journal.end_alarm(3, "stale")
    assert not journal.end_alarm(4, "stale")
    assert journal.alarms() == []


def new_book():
    instrument = known_instrument("okx", "BTC/USD:BTC")
    rules = BookRules(2, {"long": 3, "short": 3}, 0.02, None)
    return PositionBook(instrument.contract(), instrument, rules, 0.5)


def test_book_comes_back_from_the_events(journal):
    book = new_book()
    for number, price in ((1, 90_000.0), (3, 91_000.1)):
        for event in (
            EntryWanted("long", 9.0, price),
            OrderAccepted(number, 10, "600"),
            Execution(20, number, Role.ENTRY, "long", 0, price, 9.0, 1e-6, Liquidity.MAKER, 0.0,
                      fill_id=f"7{number}"),
        ):  # fmt: skip
            journal.add_event(10, to_record(event))
            book.apply(event)
    restored = new_book()
    answers = [restored.apply(from_record(record)) for record in journal.events()]
    assert restored.balance == book.balance == 0.5 - 1e-6 - 1e-6
    assert [vars_of(each) for each in restored.open_sets()] == [
        vars_of(each) for each in book.open_sets()
    ]
    last = [json.dumps(to_record(command)) for command in answers[-1].commands]
    assert len(last) == 2  # the Position's take-profit goes, the set's comes


def vars_of(group):
    return (group.name, group.contracts, group.average, group.take_profit)
