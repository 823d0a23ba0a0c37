"""backtrader's own plot of a run: a window where there is a display, else a picture."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pandas as pd

from cryptosim_bt.data.timeframe import iso_utc, milliseconds, utc_time
from cryptosim_bt.errors import InputError, OutputError
from cryptosim_bt.reports.plotting import NOTEBOOKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cryptosim_bt.results.result import Result

STYLES = ("candle", "line", "bar")

# matplotlib's backends that draw into files only, or into the pages of a notebook.
_WITHOUT_WINDOW = {
    "agg", "cairo", "pdf", "pgf", "ps", "svg", "template", "nbagg", "notebook", *NOTEBOOKS
}  # fmt: skip


def within(result: Result, start: str | None, end: str | None) -> Result:
    """Return the part of a run whose bars open from ``start`` to before ``end``.

    Parameters
    ----------
    start, end
        Dates of the run's time zone, as in its configuration; None for its own begin or end.

    Raises
    ------
    InputError
        If one is no date, or no bar lies between them.
    """
    if start is None and end is None:
        return result
    zone, times = ZoneInfo(result.settings["timezone"]), result.bars["time"]
    step = pd.Timedelta(milliseconds(result.settings["data"]["timeframe"]), unit="ms")
    first = times.iloc[0] if start is None else _date("--start", start, zone)
    last = times.iloc[-1] + step if end is None else _date("--end", end, zone)
    bars = result.bars[(times >= first) & (times < last)].reset_index(drop=True)
    if not len(bars):
        raise InputError(
            f"no bar opens from {iso_utc(first)} to before {iso_utc(last)}; the run is from "
            f"{result.summary['start']} to {result.summary['end']}"
        )
    fills = result.fills
    inside = (fills["time"] >= first) & (fills["time"] < last)
    ends = {"start": iso_utc(bars["time"].iloc[0]), "end": iso_utc(bars["time"].iloc[-1] + step)}
    return replace(
        result,
        bars=bars,
        fills=fills[inside].reset_index(drop=True),
        summary={**result.summary, **ends},
    )


def _date(option: str, text: str, zone: ZoneInfo) -> pd.Timestamp:
    try:
        return utc_time(text, zone)
    except ValueError as error:
        raise InputError(
            f"{option}: was {text!r}; allowed: a date such as 2025-01-15 or '2025-01-15 08:00'"
        ) from error


def has_display() -> bool:
    """Tell whether matplotlib can open a window here."""
    # matplotlib chooses a backend when its pyplot is first used; without a display it is agg.
    from matplotlib import pyplot

    backend = pyplot.get_backend().lower()
    return backend not in _WITHOUT_WINDOW and not backend.startswith("module://")


def save_plot(result: Result, path: Path, style: str = "candle") -> Path:
    """Draw a run into a picture, whole or not at all; return its path.

    Raises
    ------
    OutputError
        If the picture cannot be written.
    """
    # matplotlib takes its time to import: not before it is needed.
    from cryptosim_bt.reports.plotting.backtrader_plot import draw_backtrader_plot
    from cryptosim_bt.reports.plotting.fonts import korean_font

    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        draw_backtrader_plot(result, partial, korean_font(), style=style)
        partial.replace(path)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be written: {error}; name a picture such as plot.png or plot.svg"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def show_plot(result: Result, style: str = "candle") -> None:
    """Show a run in a window that zooms and pans; return when it is closed."""
    from matplotlib import pyplot

    from cryptosim_bt.reports.plotting.backtrader_plot import backtrader_figure
    from cryptosim_bt.reports.plotting.fonts import korean_font

    with backtrader_figure(result, korean_font(), style=style) as figure:
        put_in_window(figure)
        pyplot.show(block=True)


def put_in_window(figure: Figure) -> None:
    """Give a figure that was drawn without a window one of pyplot's."""
    from matplotlib import pyplot

    manager = pyplot.figure(figsize=figure.get_size_inches(), dpi=figure.dpi).canvas.manager
    assert manager is not None  # pyplot's figures have one
    manager.canvas.figure = figure
    figure.set_canvas(manager.canvas)
