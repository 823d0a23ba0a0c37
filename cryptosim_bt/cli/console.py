"""What the terminal shows: the table of a finished run, plugins, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cryptosim_bt.plugins.parameters import parameters
from cryptosim_bt.plugins.registry import Kind, Registry

_WORDS = {
    "period": ("period", "기간"),
    "bars": ("bars", "봉 수"),
    "data": ("data", "데이터"),
    "synthetic": ("synthetic sample", "합성 표본 (실제 시세 아님)"),
    "fills": ("fills", "체결 수"),
    "trades": ("trades (wins)", "거래 수 (승)"),
    "return": ("total return", "총수익률"),
    "return_usd": ("total return in USD", "총수익률 (USD)"),
    "hold": ("buy and hold (price)", "단순 보유 (가격)"),
    "drawdown": ("max drawdown", "최대 낙폭"),
    "sharpe": ("Sharpe", "샤프 지수"),
    "balance": ("balance", "잔고"),
    "equity": ("equity", "총자산"),
    "open": ("open sets; contracts long / short", "미청산 세트; 계약 롱 / 숏"),
    "fees": ("fees / funding paid", "수수료 / 펀딩 지급"),
    "liquidations": ("liquidations; shortfall", "강제청산; 부족액"),
    "nearest": ("nearest to liquidation", "청산가까지 최소 거리"),
    "ambiguous": ("ambiguous bars", "순서가 불확실한 봉"),
    "band_rules": ("equity, drawdown by the rules", "규칙대로: 총자산, 낙폭"),
    "band_best": ("… best order of events", "… 가장 유리한 순서"),
    "band_worst": ("… worst order of events", "… 가장 불리한 순서"),
    "refused": ("refused entries", "거부된 진입"),
    "expired": ("expired orders", "만료된 주문"),
    "files": ("files", "결과 폴더"),
    "none": ("none", "없음"),
}


class Advance(Protocol):
    """Called with how much is done, of how much in all, and of what."""

    def __call__(self, done: int, total: int, what: str = "bars") -> None:
        """Hear how far the run is, or what is written after it."""


@contextmanager
def progress_bar(console: Console) -> Iterator[Advance | None]:
    """Give a progress callback that draws a bar on a terminal, None where output is piped."""
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("bars", total=None)

        def advance(done: int, total: int, what: str = "bars") -> None:
            progress.update(task, completed=done, total=total, description=what)

        yield advance


def writing(progress: Advance | None, name: str) -> Callable[[int, int], None] | None:
    """Return the progress callback of a report's writer, None where nothing is drawn."""
    if progress is None:
        return None
    what = f"writing report: {name}"
    return lambda done, total: progress(done, total, what)


def summary_table(summary: Mapping[str, Any], language: str, directory: Path | None) -> Table:
    """Return the short table of a finished run."""
    column = 1 if language == "ko" else 0
    table = Table(show_header=False, title=f"CryptoSim · {summary['symbol']}", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in _rows(summary, column):
        table.add_row(_WORDS[key][column], Text(value))
    if directory is not None:
        table.add_row(_WORDS["files"][column], Text(str(directory), overflow="fold"))
    return table


def _rows(summary: Mapping[str, Any], column: int) -> Iterator[tuple[str, str]]:
    # Eight decimals for an account in a coin, two for one in dollars.
    digits = 8 if summary["total_return_usd"] is not None else 2

    def money(name: str) -> str:
        return f"{summary[name]:.{digits}f}"

    currency = summary["currency"]
    yield "period", f"{summary['start']} … {summary['end']}"
    warmup = summary["bars_loaded"] - summary["bars_traded"]
    yield "bars", f"{summary['bars_traded']:,} (+{warmup:,})"
    data = summary["data"]
    real = data["file"] or data["source"]
    yield "data", _WORDS["synthetic"][column] if data["synthetic"] else real
    yield "fills", f"{summary['fills']:,}"
    yield "trades", f"{summary['trades']:,} ({summary['wins']:,}, {_percent(summary['win_rate'])})"
    yield "return", _percent(summary["total_return"])
    if summary["total_return_usd"] is not None:
        yield "return_usd", _percent(summary["total_return_usd"])
    yield "hold", _percent(summary["buy_and_hold_return"])
    yield "drawdown", _percent(summary["max_drawdown"])
    yield "sharpe", "-" if summary["sharpe"] is None else f"{summary['sharpe']:.2f}"
    yield "balance", f"{money('initial_balance')} → {money('final_balance')} {currency}"
    yield "equity", f"{money('final_equity')} {currency}"
    held = summary["open_contracts"]
    yield "open", f"{summary['open_sets']}; {held['long']:g} / {held['short']:g}"
    yield "fees", f"{money('fees_paid')} / {money('funding_paid')} {currency}"
    yield "liquidations", f"{summary['liquidations']}; {money('shortfall')} {currency}"
    refused = ", ".join(f"{why} {count:,}" for why, count in summary["entries_refused"].items())
    nearest = summary["min_liquidation_distance"]
    yield "nearest", _percent(nearest)
    yield "ambiguous", f"{summary['ambiguous_bars']['total']:,}"
    for order, figures in summary.get("ambiguity", {}).items():
        equity, drawdown = figures["final_equity"], _percent(figures["max_drawdown"])
        yield f"band_{order}", f"{equity:.{digits}f} {currency}, {drawdown}"
    yield "refused", refused or _WORDS["none"][column]
    yield "expired", f"{summary['orders_expired']:,}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def plugin_table(registry: Registry, kind: Kind) -> Table:
    """Return a table of the plugins of a kind with their parameters."""
    table = Table(title=kind.value, title_justify="left")
    for heading in ("name", "parameters", "what it does", "file"):
        table.add_column(heading, overflow="fold")
    for plugin in registry.of_kind(kind):
        given = ", ".join(f"{name}={value!r}" for name, value in parameters(plugin.cls).items())
        purpose = (plugin.cls.__doc__ or "").strip().partition("\n")[0]
        table.add_row(plugin.name, Text(given), Text(purpose), Text(plugin.origin))
    return table
