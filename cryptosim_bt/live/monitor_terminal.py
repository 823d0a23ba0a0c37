"""A run in the terminal, as the page of `monitor` shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cryptosim_bt.live.watching import Watcher

_PAUSE_S = 2.0
_FILLS, _LOG_LINES = 8, 6
_COLOURS = {"long": "blue", "short": "yellow"}


def show(watcher: Watcher, words: Mapping[str, str], console: Console) -> None:
    """Show a run until Ctrl-C."""
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            live.update(screen(watcher.look(), words), refresh=True)
            time.sleep(_PAUSE_S)


def screen(view: Mapping[str, Any], words: Mapping[str, str]) -> RenderableType:
    """Return all that there is to see."""
    if "waiting" in view:
        return Panel(Text(f"{words['waiting']}: {view['waiting']}"), title=words["title"])
    alarms = [Text(f"! {each['text']}", style="bold red") for each in view["alarms"]]
    return Group(
        _head(view, words),
        *(alarms or [Text(words["no_alarms"], style="dim")]),
        _groups(view, words),
        _orders(view, words),
        _fills(view, words),
        Panel(Text("\n".join(view["log"][-_LOG_LINES:])), title=words["log"], border_style="dim"),
        Text(words["quit"], style="dim"),
    )


def _head(view: Mapping[str, Any], words: Mapping[str, str]) -> Panel:
    health, currency = view["health"], view["currency"]
    is_stopped = health["stopped"] is not None
    key = "stopped" if is_stopped else "silent" if view["silent"] else "running"
    said = f"{words[key]} {view['written']}" if key == "silent" else words[key]
    state = Text(said, style="green" if key == "running" else "red")
    gain = view["equity"] / view["initial_balance"] - 1.0
    table = Table.grid(padding=(0, 3))
    table.add_row(
        Text(f"{words['equity']} {view['equity']:.8f} {currency} ({gain:+.2%})", style="bold"),
        f"{words['balance']} {view['balance']:.8f}",
        f"{words['realized']} {view['realized_pnl']:+.8f}",
    )
    table.add_row(
        f"{words['price']} {_number(view['price'])}",
        f"{words['last_bar']} {health['last_bar'] or '–'}",
        f"{words['reconciled']} {health['reconciled'] or '–'}",
    )
    title = Text.assemble(f"{view['symbol']} {view['mode']} ", state)
    return Panel(table, title=title, border_style="dim")


def _groups(view: Mapping[str, Any], words: Mapping[str, str]) -> Table:
    return _table(
        words, "groups", ("group", "side", "contracts", "average", "pnl", "take_profit",
        "distance"),
        [
            (
                each["name"], _side(each["side"], words), _number(each["contracts"]),
                _number(each["average"]), _signed(each["pnl"]),
                Text(words["none"], style="red") if each["take_profit"] is None
                else _number(each["take_profit"]["price"]),
                "–" if each["distance"] is None else f"{each['distance']:+.2%}",
            )
            for each in view["groups"]
        ],
    )  # fmt: skip


def _orders(view: Mapping[str, Any], words: Mapping[str, str]) -> Table:
    return _table(
        words, "orders", ("role", "side", "at", "contracts", "filled"),
        [
            (
                words.get(each["role"], each["role"]), _side(each["side"], words),
                _number(each["price"]), _number(each["contracts"]), _number(each["filled"]),
            )
            for each in view["open_orders"]
        ],
    )  # fmt: skip


def _fills(view: Mapping[str, Any], words: Mapping[str, str]) -> Table:
    return _table(
        words, "fills", ("time", "action", "side", "contracts", "at", "pnl"),
        [
            (
                each["time"],
                words["opens" if each["opens"] else "closes"]
                + ("" if each["ours"] else f" · {words['foreign']}"),
                _side(each["side"], words), _number(each["contracts"]), _number(each["price"]),
                "–" if each["opens"] else _signed(each["pnl"]),
            )
            for each in view["last_fills"][:_FILLS]
        ],
    )  # fmt: skip


def _table(
    words: Mapping[str, str], title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Table:
    table = Table(title=words[title], title_justify="left", expand=True, border_style="dim")
    for number, key in enumerate(head):
        table.add_column(words[key], justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if not rows:
        table.add_row(Text(words["none"], style="dim"))
    return table


def _side(side: str, words: Mapping[str, str]) -> Text:
    return Text(words[side], style=_COLOURS[side])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.10g}"


def _signed(value: float | None) -> Text:
    if value is None:
        return Text("–")
    return Text(f"{value:+.8f}", style="green" if value > 0.0 else "red" if value < 0.0 else "")
