"""What a monitor shows of a run: its status, and more of its journal and log; all is only read."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import InputError
from cryptosim_bt.live.booking import ContractMath
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.set_lives import set_lives
from cryptosim_bt.live.status import believed

ASSETS = Path(__file__).parent / "assets"
# So much of the past is shown.
_BARS, _FILLS, _SETS, _ANSWERS = 500, 100, 50, 50
# A live run writes at every reconciliation, one on paper at every bar.
_SILENT_S = 300.0
_TAIL_BYTES, _TAIL_LINES = 16_384, 60


def words() -> dict[str, dict[str, str]]:
    """Return the words of each language, by key."""
    found: dict[str, dict[str, str]] = json.loads((ASSETS / "words.json").read_text("utf-8"))
    return found


class Watcher:
    """Reads a journal and a log; reads the journal again only when its files have changed.

    Parameters
    ----------
    journal, log
        The files; either may be made later.
    """

    def __init__(self, journal: Path, log: Path) -> None:
        self._journal, self._log = journal, log
        self._seen: object = None
        self._view: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """Return what is known as JSON values; ``waiting`` says why, where there is nothing."""
        now = stamps(self._journal)
        if now != self._seen or "waiting" in self._view:
            try:
                self._view = watched(self._journal)
            except InputError as error:
                self._view = {"waiting": str(error)}
            self._seen = now
        return {**self._view, **self._news(now), "log": tail(self._log)}

    def _news(self, stamps: list[tuple[int, int] | None]) -> dict[str, Any]:
        """Return when the journal was last written, and whether that is too long ago."""
        written_s = max((stamp[0] / 1e9 for stamp in stamps if stamp is not None), default=0.0)
        allowed_s = _SILENT_S + (self._view.get("bar_s", 0.0) if self._on_paper() else 0.0)
        return {
            "written": iso_utc(round(written_s * 1000)),
            "silent": time.time() - written_s > allowed_s,
        }

    def _on_paper(self) -> bool:
        """Tell whether the journal is written at bars only, not at every reconciliation."""
        return self._view.get("mode") == "paper"


def watched(path: Path) -> dict[str, Any]:
    """Return the status of a run with its price, fills, equity over time and health.

    Raises
    ------
    InputError
        If there is no journal, or nothing was ever traded with it.
    """
    journal = Journal(path, reading=True)
    try:
        if journal.get("instrument") is None or journal.get("initial_balance") is None:
            raise InputError(f"{path}: nothing was traded with this journal yet")
        return _view(journal)
    finally:
        journal.close()


def _view(journal: Journal) -> dict[str, Any]:
    bars, price = journal.bars(_BARS), journal.get("last_price")
    found, instrument = believed(journal), Instrument(**journal.get("instrument"))
    money = ContractMath(instrument.contract(journal.get("linear_pnl")))
    for group in found["groups"]:
        profit = group["take_profit"]
        known = price is not None and group["contracts"] > 0.0
        group["pnl"] = (
            money.pnl(group["side"], group["contracts"], group["average"], price) if known else None
        )
        group["distance"] = (
            profit["price"] / price - 1.0 if known and profit is not None else None
        )
    return {
        **found,
        "currency": instrument.currency,
        "price": price,
        "initial_balance": journal.get("initial_balance"),
        "last_fills": [shown_fill(record) for record in journal.fills()[-_FILLS:]][::-1],
        "sets": set_lives(journal)[1][: -_SETS - 1 : -1],
        "bars": [[bar["time_ms"], bar["close"], bar.get("equity")] for bar in bars],
        "bar_s": (bars[-1]["time_ms"] - bars[-2]["time_ms"]) / 1000.0 if len(bars) > 1 else 0.0,
        "health": _health(journal, bars),
    }


def shown_fill(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fill of the venue, or of the simulated exchange, as it is shown."""
    simulated = record.get("role")
    return {
        "time": iso_utc(record["time_ms"]),
        "time_ms": record["time_ms"],
        "side": record["side"],
        "opens": record["opens"] if simulated is None else simulated == "entry",
        "contracts": record["contracts"],
        "price": record["price"],
        "fee": record["fee"],
        "pnl": record["pnl"] if simulated is None else record["realized_pnl"],
        "ours": simulated is not None or record["client_id"] is not None,
    }


def _health(journal: Journal, bars: list[dict[str, Any]]) -> dict[str, Any]:
    began_ms, stopped_ms = journal.get("running_ms"), journal.get("stopped_ms")
    waits = journal.answer_times_ms(_ANSWERS)
    is_stopped = stopped_ms is not None and stopped_ms >= began_ms
    return {
        "started": _time(journal.get("started_ms")),
        "running": _time(began_ms),
        "stopped": _time(stopped_ms) if is_stopped else None,
        "last_bar": _time(bars[-1]["time_ms"]) if bars else None,
        "signal": bars[-1].get("signal") if bars else None,
        "reconciled": _time(journal.get("reconciled_ms")),
        "answer_ms": statistics.median(waits) if waits else None,
        "foreign_orders": journal.get("foreign_orders", 0),
    }


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else iso_utc(time_ms)


def tail(path: Path) -> list[str]:
    """Return the last lines of a log, none where there is none."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return lines[1 if start else 0 :][-_TAIL_LINES:]


def stamps(journal: Path) -> list[tuple[int, int] | None]:
    """Return what changes whenever a journal is written: times and sizes of its files."""
    return [_stamp(journal), _stamp(journal.with_name(f"{journal.name}-wal"))]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
