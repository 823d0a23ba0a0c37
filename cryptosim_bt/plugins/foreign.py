"""What becomes of a file that was written for stock backtrader, told before any run of it.

The file is read as `discover` reads it, and its text is searched for the calls that a run of a
configuration refuses, or does not read because a key says it here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptosim_bt.errors import PluginError
from cryptosim_bt.plugins.parameters import parameters
from cryptosim_bt.plugins.registry import Kind, Plugin, Source, discover, is_plain

Verdict = Literal["refused", "elsewhere", "differs"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A call of a file: refused, said elsewhere (by a key), or different from stock backtrader."""

    line: int
    verdict: Verdict
    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file's strategies and what was found in it, in the order of its lines."""

    path: Path
    strategies: tuple[Plugin, ...]
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> list[Finding]:
        """What a run would end with, or an order of it."""
        return [each for each in self.findings if each.verdict == "refused"]

    def text(self) -> str:
        """Return the whole as lines for a terminal."""
        lines = [str(self.path)]
        for plugin in self.strategies:
            given = ", ".join(f"{name}={value!r}" for name, value in parameters(plugin.cls).items())
            lines.append(f"  strategy {plugin.name}({given})")
        for each in self.findings:
            lines.append(f"  line {each.line}: {each.verdict}: {each.what}: {each.cure}")
        for plugin in self.strategies[:1]:
            lines.append(
                "run it: cryptosim-bt run config/net_mode.yaml --set "
                f"strategy.name={self.path}:{plugin.name}"
            )
        return "\n".join(lines)


def read_foreign(path: Path) -> ForeignFile:
    """Read a file of stock backtrader and say what becomes of it.

    Raises
    ------
    PluginError
        If the file cannot be imported, or has no strategy.
    """
    registry = discover([], [path])
    for broken in registry.broken:
        if broken.source is Source.USER:
            raise PluginError(
                f"{path}: cannot be imported: {broken.reason}; give what it lacks, or put what is "
                'no class under `if __name__ == "__main__":`'
            )
    own = tuple(
        plugin for plugin in registry.of_kind(Kind.STRATEGY)
        if plugin.source is Source.USER and is_plain(plugin.cls)
    )  # fmt: skip
    tree = ast.parse(path.read_text(encoding="utf-8-sig"))
    findings = sorted(_findings(tree), key=lambda each: (each.line, each.what))
    if not own:
        said = next((each for each in findings if "add_signal" in each.what), None)
        raise PluginError(
            f"{path}: there is no strategy in it; "
            + (said.cure if said else "write class Mine(bt.Strategy)")
        )
    first = {(each.verdict, each.what): each for each in reversed(findings)}
    return ForeignFile(path, own, tuple(each for each in findings if each in first.values()))


def _findings(tree: ast.Module) -> Iterator[Finding]:
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    inside = {id(each) for node in classes for each in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node, in_class=id(node) in inside)
        elif isinstance(node, ast.Attribute | ast.Subscript):
            yield from _of_name(node, in_class=id(node) in inside)
        elif isinstance(node, ast.FunctionDef) and node.name == "next_open" and id(node) in inside:
            cure = "it is not called, since a run does not cheat on the open; act in next()"
            yield Finding(node.lineno, "differs", "next_open()", cure)


# Calls anywhere: their name, and why a run refuses them.
_REFUSED = {
    "set_filler": "give backtest.fill.max_volume_share",
    "set_slippage_fixed": "give backtest.fill.slippage, a fraction of price",
    "add_order_history": "orders of the past are not available; send them",
    "set_fund_history": "the account's value comes from its fills alone",
    "replaydata": "the broker matches whole bars: give data.fill_timeframe",
    "resampledata": "one data: give data.timeframe, or reckon the coarser bars in the strategy",
    "rolloverdata": "a perpetual does not roll over: give its bars",
    "chaindata": "give data.path a list of files",
    "add_signal": "write a strategy: class Mine(bt.SignalStrategy) with self.signal_add(...)",
    "signal_strategy": "name the strategy in strategy.name",
    "addcalendar": "a market without sessions: leave it out",
    "getdatabyname": "one data: self.data",
    "setbroker": "the broker is the exchange of the configuration",
}
# Calls of a main part: the key that says it in a configuration.
_ELSEWHERE = {
    "setcash": "backtest.initial_balance",
    "set_cash": "backtest.initial_balance",
    "setcommission": "backtest.fees, trading.leverage and instrument",
    "addcommissioninfo": "backtest.fees, trading.leverage and instrument",
    "set_slippage_perc": "backtest.fill.slippage",
    "addsizer": "sizer",
    "addanalyzer": "analyzers",
    "addobserver": "observers",
    "addindicator": "the strategy's __init__",
    "addstrategy": "strategy.name and its parameters below it",
    "optstrategy": "a loop over cryptosim_bt.run(config, {'strategy.NAME.parameter': value})",
    "adddata": "data.path, data.timeframe and backtest.trading_period",
    "addwriter": "report.analyzers: ledger writes the tables of every run",
    "add_timer": "the strategy's self.add_timer",
    "plot": "cryptosim-bt run --plot, or the charts of report.analyzers",
}
_MONEY = ("setcash", "set_cash", "setcommission", "addcommissioninfo", "set_slippage_perc")


def _of_call(node: ast.Call, *, in_class: bool) -> Iterator[Finding]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    text = _short(node)
    first = node.args[0] if node.args else None
    switched = not (isinstance(first, ast.Constant) and not first.value)
    keywords = {each.arg: each.value for each in node.keywords}
    if name in ("set_coc", "set_coo") and switched:
        cure = "an order cannot fill at a price that it was made from; leave it out"
        yield Finding(node.lineno, "refused", text, cure)
    elif name == "set_shortcash" and not switched:
        yield Finding(node.lineno, "refused", text, "leave it True")
    elif name in _REFUSED and (name != "set_slippage_fixed" or switched):
        yield Finding(node.lineno, "refused", text, _REFUSED[name])
    elif name in _MONEY and in_class:
        cure = f"in a strategy it is said by {_ELSEWHERE[name]}; leave the call out"
        yield Finding(node.lineno, "refused", text, cure)
    elif name in _ELSEWHERE and not in_class:
        yield Finding(node.lineno, "elsewhere", text, f"said here by {_ELSEWHERE[name]}")
    elif name == "add_timer" and _is_true(keywords.get("cheat")):
        cure = "its orders, limits too, take part from the bar after the one in view"
        yield Finding(node.lineno, "differs", text, cure)
    if name == "Cerebro" and _is_true(keywords.get("cheat_on_open")):
        cure = "next_open() is not called; act in next()"
        yield Finding(node.lineno, "refused", text, cure)
    if name.endswith("Store"):
        yield Finding(node.lineno, "refused", text, "no live trading: give data.source and path")


def _of_name(node: ast.Attribute | ast.Subscript, *, in_class: bool) -> Iterator[Finding]:
    what = ast.unparse(node)
    if isinstance(node, ast.Attribute) and node.attr == "Historical":
        yield Finding(node.lineno, "refused", what, "it records a fill of the past; send an order")
    own = in_class and what.startswith("self.")
    second = own and what in ("self.data1", "self.data2", "self.dnames")
    if own and isinstance(node, ast.Subscript) and what.startswith("self.datas["):
        second = ast.unparse(node.slice) not in ("0", "-1")
    if second:
        yield Finding(node.lineno, "refused", what, "one data: self.data, which is self.datas[0]")


def _is_true(value: Any) -> bool:
    return isinstance(value, ast.Constant) and bool(value.value)


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
