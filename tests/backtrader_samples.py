"""docs/backtrader.md: what becomes of each sample of a checkout of mementum/backtrader.

    make backtrader-samples FOLDER=path/to/backtrader

Each strategy of ``samples/`` is run by stock backtrader and from a configuration, on the same
made-up bars of a market whose contract is a coin; the fills and the final equity are compared.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np

from cryptosim_bt.errors import CryptoSimError, PluginError
from cryptosim_bt.plugins.foreign import ForeignFile, read_foreign
from cryptosim_bt.plugins.registry import Plugin
from tests.broker import stock_strategies as stock
from tests.plain_runs import FractionsOfCoins, run_config, write_run

BARS = stock.random_bars(1_500, seed=1)
PAGE = """# backtrader's own samples

Made by `make backtrader-samples FOLDER=...` from the samples of a checkout of backtrader: each
strategy of a file, with its default parameters, on {bars:,} made-up hourly bars of one data, by
stock backtrader and from a configuration in `position_mode: net`. *As in stock*: the same fills and
the same final equity. *Ends in stock*: one data, or what is installed, is not enough there either.
*Told before*: what `cryptosim-bt import-strategy FILE` names of the file before any run, beside the
calls of its main part whose place a key takes.

{counts}

| sample | strategy | what becomes of it |
|---|---|---|
{rows}
"""


def in_stock(strategy: type) -> tuple[list[tuple[float, float]], float]:
    """Return the fills (price, size) and the final equity on stock BackBroker."""

    class Fills(bt.Analyzer):  # type: ignore[misc]  # backtrader has no types
        def notify_order(self, order: bt.Order) -> None:
            if order.status == order.Completed:
                done = order.executed
                self.rets.setdefault("fills", []).append((done.price, done.size))

    cerebro = bt.Cerebro()
    cerebro.adddata(
        bt.feeds.PandasData(dataname=BARS, timeframe=bt.TimeFrame.Minutes, compression=60)
    )
    cerebro.broker.setcash(1_000_000.0)
    cerebro.broker.addcommissioninfo(FractionsOfCoins())
    cerebro.addanalyzer(Fills, _name="fills")
    cerebro.addstrategy(strategy)
    run = cerebro.run()[0]
    return run.analyzers.fills.get_analysis().get("fills", []), run.broker.getvalue()


def outcome(file: ForeignFile, plugin: Plugin) -> str:
    """Return a word on one strategy: as in stock, or how either of the two ends."""
    random.seed(1)
    try:
        theirs, worth = in_stock(plugin.cls)
    except Exception as error:
        return f"ends in stock: {one_line(error)}"
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        name = f"{file.path.stem}.{plugin.name}"
        try:
            result = run_config(write_run(Path(folder), BARS, name, file.path))
        except CryptoSimError as error:
            return f"refused: {one_line(error)}"
    orders = result.orders[result.orders["status"] == "filled"]
    signs = np.where(orders["action"] == "buy", 1.0, -1.0)
    ours = list(zip(orders["fill_price"], signs * orders["contracts"], strict=True))
    same = len(ours) == len(theirs) and np.allclose(sorted(ours), sorted(theirs), rtol=1e-9)
    if same and abs(result.summary["final_equity"] / worth - 1.0) < 1e-9:
        return f"as in stock ({len(ours)} fills)"
    reasons = result.orders.loc[result.orders["status"] == "rejected", "reason"]
    why = f"; an order was rejected: {reasons.iloc[0]}" if len(reasons) else ""
    return f"differs: {len(ours)} fills; in stock {len(theirs)}{why}"


def one_line(error: BaseException) -> str:
    """Return an error without the folders of this machine."""
    words = str(error).replace(str(Path(sys.argv[1]).resolve()), "").split()
    text = f"{type(error).__name__}: {' '.join(words)}" if not isinstance(
        error, CryptoSimError) else " ".join(words)  # fmt: skip
    return text.replace("|", "\\|")[:300]


def rows_of(path: Path, name: str) -> list[tuple[str, str, str]]:
    """Return the table's rows of a file."""
    try:
        file = read_foreign(path)
    except PluginError as error:
        return [(name, "", f"no strategy: {one_line(error).partition(': ')[2]}")]
    names = [each.what.partition("(")[0] for each in file.findings if each.verdict != "elsewhere"]
    told = f"; told before: `{'`, `'.join(dict.fromkeys(names))}`" if names else ""
    rows = []
    for plugin in file.strategies:
        with contextlib.redirect_stdout(io.StringIO()):
            rows.append((name, plugin.name, outcome(file, plugin) + told))
    return rows


def main(folder: Path, page: Path) -> None:
    """Write the page."""
    rows: list[tuple[Any, ...]] = []
    for path in sorted((folder / "samples").glob("*/*.py")):
        rows += rows_of(path, str(path.relative_to(folder / "samples")))
    counts = Counter(row[2].partition(":")[0].partition(" (")[0] for row in rows)
    said = "; ".join(f"{word}: {number}" for word, number in counts.most_common())
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    page.write_text(PAGE.format(bars=len(BARS), counts=said, rows=table), encoding="utf-8")
    print(said)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path("docs", "backtrader.md"))
