"""Files that the commands write for a user to begin with."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from cryptosim_bt import SHIPPED_CONFIGS
from cryptosim_bt.errors import OutputError, PluginError
from cryptosim_bt.plugins.registry import Kind

_STRATEGY = '''"""{name}: a strategy for CryptoSim. Change it and run it:

    python -m cryptosim_bt run config.yaml --set strategy.name={name}
"""

import numpy as np
import pandas as pd

from cryptosim_bt import SignalStrategy, register_strategy


@register_strategy("{name}")
class {cls}(SignalStrategy):
    """Buy a dip above a moving average, sell a rally below it.

    ``period`` is the bars of the average.
    """

    # Parameters; a config changes them under `strategy: {name}:`.
    params = (("period", 200),)

    @classmethod
    def warmup(cls, params):
        # Bars needed before the first signal.
        return params.period

    @classmethod
    def generate_signals(cls, bars, params):
        # Once over the whole history: row i may look at rows <= i only.
        mean = bars["close"].rolling(params.period).mean()
        change = bars["close"].diff()
        signal = np.where((bars["close"] > mean) & (change < 0), 1, 0)  # 1: enter long
        signal = np.where((bars["close"] < mean) & (change > 0), -1, signal)  # -1: enter short
        # Every other column is drawn and written to bars.csv.
        return pd.DataFrame({{"mean": mean, "signal": signal}}, index=bars.index)
'''


_FEED = '''"""{name}: a feed for CryptoSim. Change `load` to where your bars are and run it:

    python -m cryptosim_bt run config.yaml --set data.source={name} --set data.path=bars.csv
"""

import pandas as pd

from cryptosim_bt import DataError, DataSource, Feed, register_feed

COLUMNS = ["open", "high", "low", "close", "volume"]


@register_feed("{name}")
class {cls}(Feed):
    """Read bars from the CSV file of `data.path`."""

    def load(self, request):
        # From request.first (with the warm-up) to request.end, or more: window, order, gaps and
        # prices are seen to by the framework. request also has symbol and timeframe.
        if request.path is None or not request.path.is_file():
            raise DataError(f"data.path: was {{request.path}}; give a CSV file of bars")
        table = pd.read_csv(request.path)
        # The index: when a bar opens, in UTC. Of epoch numbers: unit="ms" or "s" as well.
        table.index = pd.to_datetime(table["timestamp"], utc=True)
        return table[COLUMNS].astype(float).sort_index()

    def describe(self, request):
        # What the summary says of the data; synthetic=True for prices that are made up.
        return DataSource(source="{name}", file=str(request.path))
'''

_ANALYZER = '''"""{name}: a report for CryptoSim. Change it and run it:

    python -m cryptosim_bt run config.yaml --set "report.analyzers=[ledger, {name}]"
"""

from cryptosim_bt import ReportAnalyzer, register_analyzer


@register_analyzer("{name}")
class {cls}(ReportAnalyzer):
    """Write {name}.csv: trades, their profit and the best one, by side."""

    # Called with the finished run, by `run` and by `report` on an earlier one. The tables are
    # pandas': result.bars, fills, trades, orders, sets, funding; the figures: result.summary.
    def write(self, result, directory):
        by_side = result.trades.groupby("side")["net_pnl"].agg(["count", "sum", "max"])
        path = directory / "{name}.csv"
        by_side.to_csv(path)
        return [path]
'''

_TEMPLATES = {Kind.STRATEGY: _STRATEGY, Kind.FEED: _FEED, Kind.ANALYZER: _ANALYZER}


def write_plugin(kind: Kind, name: str, folder: Path) -> Path:
    """Write ``<kind>/<name>.py`` below a folder, ready to run.

    Raises
    ------
    PluginError
        If the name is no Python name.
    OutputError
        If the file exists or cannot be written.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise PluginError(
            f"new-{kind.singular} {name}: allowed: small letters, digits and _, not beginning "
            f"with a digit, for example my_{kind.singular}"
        )
    class_name = "".join(part.capitalize() for part in name.split("_")) or kind.singular.title()
    text = _TEMPLATES[kind].format(name=name, cls=class_name)
    return _write_new(folder / kind.value / f"{name}.py", text)


def write_config(target: Path) -> Path:
    """Write the shipped config.yaml to a new file.

    Raises
    ------
    OutputError
        If the file exists or cannot be written.
    """
    return _write_new(target, (SHIPPED_CONFIGS / "config.yaml").read_text(encoding="utf-8"))


def _write_new(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise OutputError(f"{path}: exists already; choose another name or remove it") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return path
