"""CryptoSim: backtests of crypto futures on backtrader.

Inverse and linear perpetual contracts, hedge mode, position sets, with the exchange's fees, margin,
funding and liquidation. Strategies, feeds and analyzers are plugins, found by name::

    from cryptosim_bt import SignalStrategy, register_strategy

    @register_strategy("my_strategy")
    class MyStrategy(SignalStrategy): ...

A configuration is run by the command, or from Python::

    import cryptosim_bt

    result = cryptosim_bt.run("config.yaml", {"trading.leverage": 3})

The public names are those of ``__all__``. They are loaded when first asked for (PEP 562), so that
``import cryptosim_bt.accounting.contracts``, pure arithmetic, does not wait for backtrader and
pandas.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from cryptosim_bt.accounting.contracts import InverseContract, LinearContract
    from cryptosim_bt.accounting.instrument import Instrument, known_instrument
    from cryptosim_bt.accounting.orders import Role
    from cryptosim_bt.accounting.position_book import PositionBook
    from cryptosim_bt.backtest.lean_loop import ArrayData
    from cryptosim_bt.backtest.needs import load_settings
    from cryptosim_bt.backtest.prepare import prepare

    # The same names as in _HOME, for type checkers and editors.
    from cryptosim_bt.backtest.run import run, run_backtest
    from cryptosim_bt.broker.commission import FuturesCommission
    from cryptosim_bt.broker.futures_broker import FuturesBroker
    from cryptosim_bt.config.settings import Settings
    from cryptosim_bt.data.feed import DataRequest, DataSource, Feed
    from cryptosim_bt.errors import (
        ConfigError,
        CryptoSimError,
        DataError,
        InputError,
        OutputError,
        PluginError,
    )
    from cryptosim_bt.plugins.analyzer import ReportAnalyzer
    from cryptosim_bt.plugins.notifier import Notice, Notifier
    from cryptosim_bt.plugins.registry import (
        discover,
        register_analyzer,
        register_feed,
        register_notifier,
        register_strategy,
    )
    from cryptosim_bt.results.result import Result
    from cryptosim_bt.strategy.signal_strategy import SignalStrategy
    from cryptosim_bt.strategy.sizers import EntrySizer

__version__ = "0.1.0"

__all__ = [
    "SHIPPED_CONFIGS", "ArrayData", "ConfigError", "CryptoSimError", "DataError", "DataRequest",
    "DataSource", "EntrySizer", "Feed", "FuturesBroker", "FuturesCommission", "InputError",
    "Instrument", "InverseContract", "LinearContract", "Notice", "Notifier", "OutputError",
    "PluginError", "PositionBook", "ReportAnalyzer", "Result", "Role", "Settings", "SignalStrategy",
    "__version__", "discover", "known_instrument", "load_settings", "prepare",
    "register_analyzer", "register_feed", "register_notifier", "register_strategy", "run",
    "run_backtest",
]  # fmt: skip

_PACKAGE = Path(__file__).resolve().parent
_NAMES = frozenset({"cryptosim_bt.strategies", "cryptosim_bt.feeds", "cryptosim_bt.analyzers"})
_IN_CHECKOUT = not (_PACKAGE / "strategies").is_dir()

SHIPPED_CONFIGS: Path = (
    _PACKAGE.parent / "config" if _IN_CHECKOUT else _PACKAGE / "shipped_configs"
)
"""Folder of the configurations that come with CryptoSim, installed or in a checkout.

A path, because the folder holds YAML only: without an ``__init__.py`` of its own it cannot be
imported from a checkout, and so ``importlib.resources`` cannot find it there.
"""

_HOME = {
    name: module
    for module, names in {
        "accounting.contracts": ("InverseContract", "LinearContract"),
        "accounting.instrument": ("Instrument", "known_instrument"),
        "accounting.orders": ("Role",),
        "accounting.position_book": ("PositionBook",),
        "backtest.lean_loop": ("ArrayData",),
        "backtest.needs": ("load_settings",),
        "backtest.prepare": ("prepare",),
        "backtest.run": ("run", "run_backtest"),
        "broker.commission": ("FuturesCommission",),
        "broker.futures_broker": ("FuturesBroker",),
        "config.settings": ("Settings",),
        "data.feed": ("DataRequest", "DataSource", "Feed"),
        "errors": (
            "ConfigError", "CryptoSimError", "DataError", "InputError", "OutputError",
            "PluginError",
        ),
        "plugins.analyzer": ("ReportAnalyzer",),
        "plugins.notifier": ("Notice", "Notifier"),
        "plugins.registry": (
            "discover", "register_analyzer", "register_feed", "register_notifier",
            "register_strategy",
        ),
        "results.result": ("Result",),
        "strategy.signal_strategy": ("SignalStrategy",),
        "strategy.sizers": ("EntrySizer",),
    }.items()
    for name in names
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name from its module, once."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CheckoutFinder:
    """Find the plugin packages of a checkout, where they stand beside this package, not in it."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(_PACKAGE.parent)]) if name in _NAMES else None


if _IN_CHECKOUT:
    # First: another checkout's editable install must not answer for this one.
    sys.meta_path.insert(0, _CheckoutFinder)
