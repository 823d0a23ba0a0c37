"""A bot in a process of its own that trades at the exchange for tests, and can be killed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cryptosim_bt import SHIPPED_CONFIGS
from cryptosim_bt.live.status import status
from cryptosim_bt.testing import FakeExchange, FakeVenue

SYMBOL = "BTC/USD:BTC"
STRATEGY = '''
import numpy as np
import pandas as pd

from cryptosim_bt import SignalStrategy, register_strategy


@register_strategy("every_bar")
class EveryBar(SignalStrategy):
    """Enters at every bar, against the last move; exits at some."""

    params = (("period", 3),)

    @classmethod
    def warmup(cls, params):
        return params.period

    @classmethod
    def generate_signals(cls, bars, params):
        minute = pd.DatetimeIndex(bars.index).as_unit("ms").asi8 // 60_000
        move = bars["close"].diff(params.period)
        signal = np.where(move > 0, -1, 1)
        signal = np.where(minute % 17 == 0, 2, signal)
        signal = np.where(minute % 19 == 0, -2, signal)
        return pd.DataFrame({"signal": signal, "move": move.fillna(0.0)}, index=bars.index)
'''
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["cryptosim_bt.live.run", "cryptosim_bt.cli.commands", "cryptosim_bt.backtest.run", "ccxt.pro"]
)


def walk(bars: int, seed: int = 5, volatility: float = 0.001) -> pd.DataFrame:
    """Return one-minute bars of a random walk."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2025-01-01", periods=bars, freq="1min", tz="UTC")
    close = np.round(90_000.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, bars))), 1)
    table = pd.DataFrame({"open": np.concatenate([[90_000.0], close[:-1]])}, index=index)
    ends = np.column_stack([table["open"], close])
    table["high"] = np.round(ends.max(axis=1) * (1 + abs(rng.normal(0, 0.0004, bars))), 1)
    table["low"] = np.round(ends.min(axis=1) * (1 - abs(rng.normal(0, 0.0004, bars))), 1)
    table["close"], table["volume"] = close, 10.0
    return table


def _trade(directory: str, config: str, overrides: dict, environment: dict) -> None:
    from cryptosim_bt.backtest.needs import load_settings
    from cryptosim_bt.cli.logs import log_to_file
    from cryptosim_bt.cli.trading import trade

    os.chdir(directory)
    os.environ.update(environment)
    log_to_file(Path(directory) / "bot.log")
    logging.getLogger("cryptosim_bt").setLevel("INFO")
    trade(load_settings(config, overrides), yes_real_money=False)


class Bot:
    """Starts, ends and kills runs of one journal."""

    def __init__(self, folder: Path, venue: FakeVenue, **overrides: object) -> None:
        self.folder, self.venue = folder, venue
        (folder / "strategies").mkdir(exist_ok=True)
        (folder / "strategies" / "every_bar.py").write_text(STRATEGY)
        (folder / "config.yaml").write_bytes((SHIPPED_CONFIGS / "config.yaml").read_bytes())
        self.journal = folder / "journal.db"
        self.overrides = {
            "mode": "live", "exchange.rest_url": venue.rest_url, "exchange.ws_url": venue.ws_url,
            "exchange.time_scale": 1.0, "live.journal": str(self.journal),
            "data.timeframe": "1m", "strategy.name": "every_bar", "trading.use_sl": False,
            "trading.take_profit_pct": 0.003, "trading.order_cancel_timeout": 300,
            "position_set.position_set_size": 3, "risk.daily_loss_limit_pct": None,
            "live.max_signal_age_s": 100_000, "live.limits.stale_data_s": 100_000,
            "live.limits.orders_per_minute": 10_000, "live.limits.refusals_in_a_row": 10_000,
        } | overrides  # fmt: skip
        self.process = None

    def start(self) -> None:
        keys = self.venue.keys
        environment = {
            "CRYPTOSIM_API_KEY": keys.api_key, "CRYPTOSIM_API_SECRET": keys.secret,
            "CRYPTOSIM_API_PASSWORD": keys.passphrase,
        }  # fmt: skip
        config = str(self.folder / "config.yaml")
        self.process = _CONTEXT.Process(
            target=_trade, args=(str(self.folder), config, self.overrides, environment)
        )
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self, patience_s: float = 60.0) -> int:
        os.kill(self.process.pid, signal.SIGINT)
        self.process.join(patience_s)
        assert self.process.exitcode is not None, "the bot has not ended"
        return self.process.exitcode

    def status(self) -> dict:
        return status(self.journal, fill_ids=True)

    def wait_until(self, condition, patience_s: float = 60.0) -> None:
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < patience_s, "it has not come to that in time"
            assert self.process.is_alive(), "the bot is gone"
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "bot.log").read_text()


def differences(bot: Bot) -> list[str]:
    """Return all in which the bot's belief and the venue differ, once both stand still."""
    believed, exchange = bot.status(), bot.venue.exchange
    return [*_in_money(believed, exchange), *_in_orders(believed, exchange)]


def _in_money(believed: dict, exchange: FakeExchange) -> Iterator[str]:
    fills = [fill.trade_id for fill in exchange.matching.fills]
    if sorted(believed["fill_ids"]) != sorted(fills):
        yield f"fills: {len(believed['fill_ids'])} believed, {len(fills)} at the venue"
    for side, leg in believed["legs"].items():
        legs = exchange.ledger.positions.values()
        there = sum(each.contracts for each in legs if each.side == side)
        if abs(leg["contracts"] - there) > 1e-9:
            yield f"{side}: {leg['contracts']} believed, {there} there"
    cash = exchange.ledger.cash["BTC"]
    if abs(believed["balance"] - cash) > 1e-8:
        yield f"balance: {believed['balance']} believed, {cash} there"


def _in_orders(believed: dict, exchange: FakeExchange) -> Iterator[str]:
    orders = exchange.matching.orders
    names = [each.cl_ord_id for each in orders]
    if len(set(names)) != len(names):
        yield "an order was placed twice under one id"
    working = {each.cl_ord_id: each for each in exchange.matching.intake.pending()}
    known = {each["client_id"] for each in believed["open_orders"]}
    if known != set(working):
        yield f"orders that only one side knows: {known ^ set(working)}"
    for group in believed["groups"]:
        there = group["take_profit"]
        if there is None or there["contracts"] != group["contracts"]:
            yield f"group {group['name']} of {group['contracts']:g} has the exit {there}"
    exits = [each for each in working.values() if not each.opens]
    if len(exits) != len(believed["groups"]):
        yield f"{len(exits)} exits for {len(believed['groups'])} groups"
    # An entry may be placed again under its next attempt, but never filled beyond its size.
    filled: Counter[str] = Counter()
    for each in orders:
        if each.opens:
            filled[each.cl_ord_id.rpartition("a")[0]] += each.filled
    for each in orders:
        if each.opens and filled[each.cl_ord_id.rpartition("a")[0]] > each.contracts:
            yield f"entry {each.cl_ord_id} filled twice"
