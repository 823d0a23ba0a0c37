"""The monitor: what it shows is the journal's, and nothing happens without the token."""

from __future__ import annotations

import asyncio
import io
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from cryptosim_bt.live import monitor_terminal
from cryptosim_bt.live.safety import kill_switch
from cryptosim_bt.live.watching import ASSETS, Watcher, tail, words
from tests.helpers import ROOT
from tests.live.journals import MINUTE, NOON, begun, close_bar, enter, protect

pytest.importorskip("starlette")

from cryptosim_bt.live.monitor import make_app

CHARTS = ROOT / "cryptosim_bt/reports/page/assets"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def traded(path: Path) -> Path:
    """Give a run that holds 10 contracts from 100,000; the price is 101,000."""
    with closing(begun(path)) as journal:
        enter(journal, 1, NOON)
        (tradeid,) = (group.tradeid for group in book_of(journal).groups("long"))
        protect(journal, tradeid, 10.0, 102_000.0)
        close_bar(journal, NOON, 101_000.0, 1.0001)
        journal.raise_alarm(NOON, "legs", "long: the venue holds 11 contracts, the book 10")
    return path


def book_of(journal: Any) -> Any:
    from cryptosim_bt.live.status import restored_book

    return restored_book(journal)[0]


def app_of(path: Path, *, is_local: bool = True) -> Any:
    return make_app(
        path, path.with_suffix(".log"), token="secret", is_local=is_local, language="ko",
        charts=CHARTS,
    )  # fmt: skip


def ask(
    app: Any, place: str, method: str = "GET", token: str | None = None, host: str = "127.0.0.1"
) -> tuple[int, bytes]:
    """Ask an ASGI application, as a server does."""
    headers = [(b"host", host.encode())]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": place, "raw_path": place.encode(), "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "root_path": "",
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    received = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return received.pop() if received else await asyncio.sleep(60) or {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


# ---------------------------------------------------------------------- what is shown
def test_what_is_shown_is_what_the_journal_has(traded: Path) -> None:
    view = Watcher(traded, traded.with_suffix(".log")).look()
    (group,) = view["groups"]
    assert group["distance"] == pytest.approx(102_000 / 101_000 - 1)
    # Inverse: 10 x 100 USD x (1/100,000 - 1/101,000).
    assert group["pnl"] == pytest.approx(1_000 * (1 / 100_000 - 1 / 101_000))
    assert view["equity"] == pytest.approx(1.0 - 2e-6 + group["pnl"])
    assert [fill["opens"] for fill in view["last_fills"]] == [True]
    assert view["bars"] == [[NOON, 101_000.0, 1.0001]]
    assert view["health"]["last_bar"] == "2025-01-01T12:00:00Z"
    assert [alarm["key"] for alarm in view["alarms"]] == ["legs"]
    assert not view["silent"]


def test_journal_is_read_again_when_it_has_changed(path: Path) -> None:
    watcher = Watcher(path, path.with_suffix(".log"))
    assert "no such journal" in watcher.look()["waiting"]
    with closing(begun(path)) as journal:
        assert watcher.look()["fills"] == 0
        enter(journal, 1, NOON)
        assert watcher.look()["fills"] == 1
        close_bar(journal, NOON + MINUTE, 99_000.0, 0.9)
        assert watcher.look()["price"] == 99_000.0


def test_watching_leaves_the_journal_to_its_run(path: Path) -> None:
    """A run that is watched all the time writes on; nothing of the journal is changed."""
    with closing(begun(path)) as journal:
        before = path.read_bytes()
        watcher = Watcher(path, path.with_suffix(".log"))
        for number in range(1, 4):
            enter(journal, number, NOON + number * MINUTE)
            assert watcher.look()["fills"] == number
        assert path.read_bytes() == before  # all of it is in the log that is written ahead
    assert watcher.look()["fills"] == 3


def test_last_lines_of_a_log_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    assert tail(log) == []
    log.write_text("".join(f"line {number} {'x' * 100}\n" for number in range(1_000)))
    lines = tail(log)
    assert lines[-1].startswith("line 999 ")
    assert all(line.startswith("line ") for line in lines)


# ---------------------------------------------------------------------- who may do what
@pytest.mark.parametrize(
    ("is_local", "token", "status"),
    [(True, None, 200), (False, None, 401), (False, "wrong", 401), (False, "secret", 200)],
)
def test_watching_from_elsewhere_needs_the_token(
    traded: Path, is_local: bool, token: str | None, status: int
) -> None:
    found, body = ask(app_of(traded, is_local=is_local), "/data", token=token)
    assert found == status
    assert (b"BTC-USD-SWAP" in body) is (status == 200)


@pytest.mark.parametrize("is_local", [True, False])
@pytest.mark.parametrize("token", [None, "", "wrong", "secret "])
@pytest.mark.parametrize("word", ["stop", "flatten"])
def test_nothing_ends_without_the_token(
    path: Path, is_local: bool, token: str | None, word: str
) -> None:
    with closing(begun(path)):  # it runs
        assert ask(app_of(path, is_local=is_local), f"/end/{word}", "POST", token)[0] == 401
        assert not kill_switch(path).exists()


def test_who_has_the_token_ends_a_run(path: Path) -> None:
    app = app_of(path)
    with closing(begun(path)):
        assert ask(app, "/end/flatten", "GET", "secret")[0] == 405
        assert ask(app, "/end/other", "POST", "secret")[0] == 404
        status, body = ask(app, "/end/flatten", "POST", "secret")
        assert (status, json.loads(body)) == (200, {"running": True})
        assert kill_switch(path).read_text() == "flatten"
    kill_switch(path).unlink()
    assert json.loads(ask(app, "/end/stop", "POST", "secret")[1]) == {"running": False}
    assert not kill_switch(path).exists()


def test_name_of_another_site_is_refused(traded: Path) -> None:
    assert ask(app_of(traded), "/data", host="evil.example:8765")[0] == 400


def test_page_and_its_files_are_there(traded: Path) -> None:
    app = app_of(traded)
    status, body = ask(app, "/")
    assert status == 200
    assert b'lang="ko"' in body
    for name in re.findall(rb'(?:src|href)="([^"]+)"', body):
        assert ask(app, f"/{name.decode()}")[0] == 200
    assert ask(app, "/assets/monitor.py")[0] == 404


# ---------------------------------------------------------------------- words and the terminal
def test_both_languages_have_every_word() -> None:
    english, korean = words()["en"], words()["ko"]
    assert english.keys() == korean.keys()
    script = (ASSETS / "monitor.js").read_text("utf-8")
    asked = set(re.findall(r'say\("(\w+)"\)', script))
    asked |= set(re.findall(r'data-word="(\w+)"', (ASSETS / "monitor.html").read_text("utf-8")))
    assert asked <= english.keys()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_terminal_shows_the_same(traded: Path, language: str) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    log = traded.with_suffix(".log")
    console.print(monitor_terminal.screen(Watcher(traded, log).look(), words()[language]))
    text = console.export_text()
    for part in ("BTC/USD:BTC", "P-long", "102,000", "+0.99%", "the venue holds 11"):
        assert part in text
    console.print(monitor_terminal.screen({"waiting": "nothing yet"}, words()[language]))
    assert "nothing yet" in console.export_text()


def test_command_knows_its_options() -> None:
    from cryptosim_bt.cli.commands import commands

    said = CliRunner().invoke(commands, ["monitor", "--help"]).output
    assert "--terminal" in said
    assert "127.0.0.1" in said
