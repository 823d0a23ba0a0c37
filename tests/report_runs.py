"""Finished runs for the tests of reports: the shipped configuration on the built-in sample."""

from __future__ import annotations

import logging
from pathlib import Path

from cryptosim_bt import SHIPPED_CONFIGS, Result, load_settings, run_backtest
from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.plugins.registry import discover

SHORT = "backtest.trading_period.end_date=2025-01-14"
LINEAR = ("exchange.trade_type=1", "trading.symbol=BTC/USDT:USDT", "backtest.initial_balance=5000")
TABLES_ONLY = "report.analyzers=[ledger, performance]"


def sample_settings(*overrides: str) -> Settings:
    return load_settings(SHIPPED_CONFIGS / "config.yaml", [SHORT, TABLES_ONLY, *overrides])


def sample_result(*overrides: str) -> Result:
    return run_backtest(sample_settings(*overrides), discover())[0]


def store(settings: Settings, directory: Path) -> Result:
    """Run settings and write what the `run` command writes; return the result."""
    quiet = logging.getLogger("cryptosim_bt")
    level, quiet.level = quiet.level, logging.CRITICAL
    try:
        result, analyzers = run_backtest(settings, discover([settings.directory]))
    finally:
        quiet.setLevel(level)
    directory.mkdir(parents=True)
    text = yaml_text(dict(result.settings))
    (directory / "config.yaml").write_text(text, encoding="utf-8")
    for analyzer in analyzers:
        analyzer.write(result, directory)
    return result
