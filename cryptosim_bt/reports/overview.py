"""A finished run in short: the rows of the terminal's table, and what a notebook shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words import Words
from cryptosim_bt.results.account_figures import market_figures
from cryptosim_bt.results.result import BACKTRADER_FILE, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rows_of(result: Result) -> Iterator[tuple[str, str]]:
    """Yield labels and values of a run in its language; times are in its zone."""
    facts = RunFacts.of(result)
    words = facts.words()
    for key, value in (*_head(result, facts), *_rows(result.summary, words)):
        yield words(f"terminal.{key}"), value
    said = [name for named in result.backtrader.values() for name in named]
    if said:
        yield "backtrader", f"{', '.join(said)}: {BACKTRADER_FILE}"


def html(result: Result) -> str:
    """Return the rows as a table of HTML."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(label)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for label, value in rows_of(result)
    )
    caption = escape(f"CryptoSim · {result.summary['symbol']}")
    return f'<table><caption style="text-align:left">{caption}</caption>{rows}</table>'


def figure(result: Result) -> Figure:
    """Return the run at a glance (chart.png) as a figure of matplotlib."""
    import matplotlib.pyplot  # noqa: F401  # a notebook shows no figure before it is there

    from cryptosim_bt.reports.plotting.fonts import korean_font
    from cryptosim_bt.reports.plotting.run_chart import chart_figure

    return chart_figure(result, korean_font())


def _head(result: Result, facts: RunFacts) -> Iterator[tuple[str, str]]:
    """Yield what ran: the strategy, on which bars, how heavily."""
    if "note" in result.summary:
        yield "note", result.summary["note"]
    yield "strategy", facts.strategy
    yield "period", facts.period(result)
    yield "timeframe", facts.timeframe
    yield "leverage", f"{facts.leverage:g}× ({result.summary['margin_mode']})"
    figures = market_figures(result.bars, facts.contract)
    average, most = (figures["exposure"][name] for name in ("average_gross", "max_gross"))
    if most is not None:
        share = _percent(figures["time_in_market"]["any"])
        yield "exposure", f"{share}; {average:.2f}× / {most:.2f}×"


def _rows(summary: Mapping[str, Any], words: Words) -> Iterator[tuple[str, str]]:
    # Eight decimals for an account in a coin, two for one in dollars.
    digits = 8 if summary["total_return_usd"] is not None else 2

    def money(name: str) -> str:
        return f"{summary[name]:.{digits}f}"

    currency = summary["currency"]
    warmup = summary["bars_loaded"] - summary["bars_traded"]
    yield "bars", f"{summary['bars_traded']:,} (+{warmup:,})"
    data = summary["data"]
    real = data["file"] or data["source"]
    yield "data", words("terminal.synthetic") if data["synthetic"] else real
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
    yield "refused", refused or words("terminal.none")
    yield "expired", f"{summary['orders_expired']:,}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
