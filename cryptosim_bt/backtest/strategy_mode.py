"""Which strategies a configuration can run, and which of its keys they use (R49).

A `SignalStrategy` needs hedge mode. A plain backtrader strategy, which sends its orders itself,
trades the net position, or legs that its orders name; it has no use for the keys of the book.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from cryptosim_bt.config.keys import Keys
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import ConfigError
from cryptosim_bt.plugins.registry import is_plain

logger = logging.getLogger(__name__)

# Keys of the book and of who feeds it: sections, or some keys of one.
_OF_THE_BOOK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("trading",), ("position_size", "use_tp", "take_profit_pct", "use_sl", "stop_loss_pct",
                    "order_cancel_timeout")),
    (("trading", "sizing"), ()),
    (("trading", "stop"), ()),
    (("position_set",), ()),
    (("risk",), ()),
    (("backtest", "fill"), ("entry_fill",)),
)  # fmt: skip


def check_mode(settings: Settings, strategy: type) -> None:
    """Refuse a mode in which the chosen strategy cannot trade; warn of keys it does not use.

    Raises
    ------
    ConfigError
        With the key and the cure.
    """
    problem = _plain_problem(settings) if is_plain(strategy) else _signal_problem(settings)
    if problem is not None:
        path, message = problem
        raise ConfigError(f"{settings.place(*path)}: {message}")
    if not is_plain(strategy):
        return
    unused = [f"{key} ({value})" for key, value in unused_keys(settings.keys)]
    if unused:
        logger.warning(
            "strategy %s sends its orders itself: not used are %s; leave them out",
            settings.keys.strategy.name, ", ".join(unused),
        )  # fmt: skip


def _signal_problem(settings: Settings) -> tuple[tuple[str, ...], str] | None:
    name = settings.keys.strategy.name
    if settings.keys.trading.position_mode == "net":
        return ("trading", "position_mode"), (
            f"was 'net', but strategy {name} is a SignalStrategy, which keeps a long and a short "
            "Position with their sets side by side; allowed: hedge (net is for plain backtrader "
            "strategies)"
        )
    if settings.keys.sizer:
        return ("sizer",), (
            f"was {', '.join(settings.keys.sizer)}, but strategy {name} is a SignalStrategy, whose "
            "entries trading.sizing sizes; leave it out"
        )
    if settings.keys.trading.size_unit == "base":
        return ("trading", "size_unit"), (
            f"was 'base', but strategy {name} is a SignalStrategy, whose position_size is in coins "
            "and whose book is in contracts; leave it out"
        )
    if settings.keys.strategy.warmup:
        return ("strategy", "warmup"), (
            f"was {settings.keys.strategy.warmup}, but strategy {name} says itself how many bars "
            "it needs; leave it out"
        )
    return None


def _plain_problem(settings: Settings) -> tuple[tuple[str, ...], str] | None:
    name = settings.keys.strategy.name
    if "position_mode" not in settings.keys.trading.model_fields_set:
        return ("trading", "position_mode"), (
            f"missing, and strategy {name} is a plain backtrader strategy; give net, for its one "
            "position (or hedge, if its orders name side='long' or 'short')"
        )
    if settings.keys.backtest.linear_pnl == "cryptosim":
        return ("backtest", "linear_pnl"), (
            f"was 'cryptosim', which is for sets; strategy {name} has none; allowed: exchange"
        )
    if settings.keys.trading.size_unit == "base" and settings.instrument.kind == "inverse":
        return ("trading", "size_unit"), (
            f"was 'base', but a contract of {settings.instrument.symbol} is worth a fixed number "
            "of dollars and not of coins; allowed: contracts"
        )
    return None


def unused_keys(keys: Keys) -> Iterator[tuple[str, Any]]:
    """Yield the keys that mean nothing to a plain strategy and were set to something else.

    A key that has its default, or switches something off, misleads nobody.
    """
    for path, names in _OF_THE_BOOK:
        section: Any = keys
        for part in path:
            section = getattr(section, part)
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            counts = name in names if names else True
            if counts and value not in (field.default, None, False):
                yield ".".join((*path, name)), value
