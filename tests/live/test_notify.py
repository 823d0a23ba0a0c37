"""Notifiers: what they are told, and that none of them can hold trading up."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cryptosim_bt import SHIPPED_CONFIGS, load_settings
from cryptosim_bt.accounting.book_events import OrderRejected, to_record
from cryptosim_bt.errors import ConfigError, PluginError
from cryptosim_bt.live import notify
from cryptosim_bt.live.notices import News
from cryptosim_bt.live.notifiers.telegram import TelegramNotifier
from cryptosim_bt.live.notifiers.webhook import WebhookNotifier
from cryptosim_bt.live.notify import Notifications, Outbox, notifications_of
from cryptosim_bt.live.watching import Watcher, words
from cryptosim_bt.plugins.notifier import Notice, Notifier
from cryptosim_bt.plugins.registry import Kind, plugins_for
from cryptosim_bt.testing import FakeVenue
from tests.live.journals import MINUTE, NOON, begun, close, close_bar, enter
from tests.live.rig import SYMBOL, Bot, differences, walk

SEOUL = ZoneInfo("Asia/Seoul")
HOUR = 60 * MINUTE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def news_of(path: Path, language: str = "en") -> News:
    return News(path, words()[language], SEOUL)


def told(news: News) -> list[tuple[str, str]]:
    return [(notice.kind, notice.text) for notice in news.look()]


def wait_until(condition: Callable[[], object], patience_s: float = 30.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it has not come to that in time"
        time.sleep(0.02)


# ---------------------------------------------------------------------- what is told
def test_fills_and_births_of_sets_are_told_once(path: Path) -> None:
    with closing(begun(path)) as journal:
        news = news_of(path)
        enter(journal, 1, NOON)
        assert told(news) == [
            ("fill", "opens 10 contracts long at 100000, PnL +0.00000000, fee 0.00000200")
        ]
        assert told(news) == []
        enter(journal, 2, NOON + MINUTE)
        enter(journal, 3, NOON + 2 * MINUTE)
        texts = [text for kind, text in told(news) if kind == "set"]
        assert texts == ["set S1 is full: 30 contracts long, average 100000"]
        close(journal, NOON + 3 * MINUTE, 30.0, 102_000.0)
        # Inverse: 30 x 100 USD x (1/100,000 - 1/102,000).
        assert ("set", "set S1 has ended, PnL +0.00058824") in told(news)
    (life,) = Watcher(path, path).look()["sets"]
    assert (life["name"], life["born"], life["ended"]) == (
        "S1", "2025-01-01T12:02:00Z", "2025-01-01T12:03:00Z"
    )  # fmt: skip


def test_refusals_and_alarms_are_told_with_their_end(path: Path) -> None:
    with closing(begun(path)) as journal:
        news = news_of(path)
        journal.add_event(NOON, to_record(OrderRejected(7, "insufficient balance", NOON)))
        journal.raise_alarm(NOON, "legs", "long: the venue holds 11 contracts, the book 10")
        assert told(news) == [
            ("refusal", "refused: insufficient balance"),
            ("alarm", "ALARM legs: long: the venue holds 11 contracts, the book 10"),
        ]
        journal.end_alarm(NOON + MINUTE, "legs")
        assert told(news) == [("alarm", "over: legs")]


def test_what_was_there_before_is_not_told_and_a_new_journal_is(path: Path) -> None:
    early = news_of(path)  # before there is a journal
    with closing(begun(path)) as journal:
        enter(journal, 1, NOON)
        journal.raise_alarm(NOON, "clock", "the clock was off by 9.0 s")
        assert [kind for kind, _ in told(early)] == ["fill", "alarm"]
        late = news_of(path)
        assert told(late) == []
        journal.end_alarm(NOON, "clock")
        assert told(late) == [("alarm", "over: clock")]


def test_a_day_is_summed_up_after_its_midnight(path: Path) -> None:
    with closing(begun(path)) as journal:  # 21:00 in Seoul
        news = news_of(path, "ko")
        enter(journal, 1, NOON)
        news.look()
        close_bar(journal, NOON, 100_000.0, 1.0)
        close_bar(journal, NOON + 2 * HOUR, 101_000.0, 1.01)
        assert told(news) == []
        close_bar(journal, NOON + 3 * HOUR, 102_000.0, 1.02)
        assert told(news) == [
            ("summary", "2025-01-01: 평가 자산 1.01000000 (+1.00%), 체결 1건, 경보 0건")
        ]


# ---------------------------------------------------------------------- where it goes
class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent; answers as its server's ``status`` says."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        server.received.append((self.path, json.loads(body)))
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.received, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


NOTICE = Notice("alarm", "2025-01-01T12:00:00Z", "ALARM legs: x", {"key": "legs"})


def test_webhook_and_telegram_get_the_text(receiver: Any) -> None:
    WebhookNotifier({"url": f"{receiver.url}/hook"}, {}).send(NOTICE)
    secrets = {"CRYPTOSIM_TELEGRAM_TOKEN": "12:ab"}
    TelegramNotifier({"chat_id": 5, "url": receiver.url}, secrets).send(NOTICE)
    (hook, sent), (bot, message) = receiver.received
    assert hook == "/hook"
    assert sent == {
        "kind": "alarm", "time": NOTICE.time, "text": NOTICE.text, "content": NOTICE.text,
        "data": {"key": "legs"},
    }  # fmt: skip
    assert bot == "/bot12:ab/sendMessage"
    assert message == {"chat_id": 5, "text": NOTICE.text}


@pytest.fixture
def hanging() -> Iterator[str]:
    """Give the address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_server_that_hangs_holds_nothing_up(path: Path, hanging: str, receiver: Any) -> None:
    """A run's writes go on, another notifier is told all, and the end does not wait for it."""
    with closing(begun(path)) as journal:
        slow = Outbox("slow", WebhookNotifier({"url": hanging}, {}), longest=5)
        good = Outbox("good", WebhookNotifier({"url": receiver.url}, {}))
        with Notifications(path, news_of(path), [slow, good]):
            for number in range(40):
                begin = time.monotonic()
                journal.raise_alarm(NOON, f"key {number}", "text")
                assert time.monotonic() - begin < 5.0
            wait_until(lambda: len(receiver.received) == 40)
            assert slow.lost >= 40 - 5 - 1  # a queue of five, and one on its way
            begin = time.monotonic()
        assert time.monotonic() - begin < 10.0
        assert good.lost == 0


class Failing(Notifier):
    """Fails so often; its error holds its secret."""

    def __init__(self, failures: int) -> None:
        super().__init__({}, {"TOKEN": "geheim"})
        self.failures = failures
        self.sent: list[str] = []

    def send(self, notice: Notice) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(f"no route to https://x/{self.secrets['TOKEN']}")
        self.sent.append(notice.text)


@pytest.mark.parametrize(("failures", "sent"), [(0, 2), (2, 2), (3, 1), (6, 0)])
def test_notice_is_tried_three_times(
    failures: int, sent: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "_PAUSES_S", (0.01, 0.01))
    notifier = Failing(failures)
    outbox = Outbox("mine", notifier)
    outbox.put(NOTICE)
    outbox.put(NOTICE)
    outbox.end(time.monotonic() + 30.0)
    assert len(notifier.sent) == sent
    assert ("notifier mine failed: OSError: no route to https://x/***" in caplog.text) is (
        failures > 0
    )
    assert "geheim" not in caplog.text
    assert ("1 notices were lost" in caplog.text) is (failures == 3)


# ---------------------------------------------------------------------- by the configuration
MINE = '''
from cryptosim_bt import Notifier, register_notifier

@register_notifier("mine")
class Mine(Notifier):
    """Tell a file."""

    def send(self, notice):
        with open(self.options["file"], "a") as file:
            file.write(notice.text + "\\\\n")
'''


def settings_of(tmp_path: Path, block: str) -> Any:
    text = (SHIPPED_CONFIGS / "config.yaml").read_text("utf-8")
    (tmp_path / "mine.py").write_text(MINE.replace("\\\\\\\\", "\\\\"))
    config = tmp_path / "config.yaml"
    config.write_text(f"{text}\nplugins: [mine.py]\nlive:\n  notify:\n{block}")
    return load_settings(config)


def test_notifier_of_a_file_is_told(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "told.txt"
    settings = settings_of(tmp_path, f"    mine: {{file: {out}, kinds: [alarm]}}\n    log:\n")
    registry = plugins_for(settings)
    assert registry.names(Kind.NOTIFIER) == ["log", "mine", "telegram", "webhook"]
    with closing(begun(path)) as journal, notifications_of(settings, registry, path, {}):
        enter(journal, 1, NOON)
        journal.raise_alarm(NOON, "legs", "x")
        wait_until(out.exists)
    assert "legs" in out.read_text()
    assert "100000" not in out.read_text()  # fills are not among its kinds


@pytest.mark.parametrize(
    ("block", "error", "said"),
    [
        ("    telgram: {}\n", PluginError, "did you mean telegram"),
        ("    telegram: {chat_id: 1}\n", ConfigError, "CRYPTOSIM_TELEGRAM_TOKEN"),
        ("    webhook: {}\n", ConfigError, "CRYPTOSIM_WEBHOOK_URL"),
        ("    log: {kinds: [fills]}\n", ConfigError, "allowed: a list of fill, set"),
    ],
)
def test_wrong_block_is_refused_before_any_order(
    block: str, error: type[Exception], said: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, block)
    with pytest.raises(error, match=said):
        notifications_of(settings, plugins_for(settings), tmp_path / "journal.db", {})


def test_run_trades_on_while_its_notifier_hangs(tmp_path: Path, hanging: str) -> None:
    bars = walk(10_000)
    start = int(bars.index[300].timestamp() * 1000)
    with FakeVenue({SYMBOL: bars}, {"BTC": 1.0}, start_ms=start, rate_limits=False) as venue:
        told: Any = {"webhook": {"url": hanging}, "log": {}}
        bot = Bot(tmp_path, venue, **{"exchange.time_scale": 30.0, "live.notify": told})
        venue.set_time_scale(30.0)
        bot.start()
        bot.wait_until(lambda: len(venue.exchange.matching.fills) >= 4, 90)
        bot.wait_until(lambda: " fill: " in bot.log(), 30)
        venue.set_time_scale(0)
        assert bot.end() == 0
    assert differences(bot) == []
