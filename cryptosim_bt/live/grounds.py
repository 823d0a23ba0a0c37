"""What a run of a configuration is on: its journal, its account, its market."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.config.settings import Settings, data_directory
from cryptosim_bt.config.simulation import SimulationSettings
from cryptosim_bt.data.market import Market
from cryptosim_bt.live.credentials import Credentials
from cryptosim_bt.live.venue_account import AccountOptions


def journal_path(settings: Settings, credentials: Credentials | None) -> Path:
    """Return where a configuration's journal stands: `live.journal`, or the folder of data.

    The account is in its name by a digest of its key; without keys the one journal that there is
    of the market and strategy is taken.
    """
    keys = settings.keys
    if keys.live.journal is not None:
        return Path(keys.live.journal)
    folder = data_directory(keys.data.directory) / "live"
    market = keys.trading.symbol.replace("/", "-").replace(":", "-")
    trade_mode = keys.exchange.trade_mode if keys.mode == "live" else "paper"
    first, last = f"{keys.exchange.name}-{trade_mode}-", f"-{market}-{keys.strategy.name}.db"
    if credentials is None and keys.mode == "live":
        found = sorted(folder.glob(f"{first}*{last}"))
        if len(found) == 1:
            return found[0]
    return folder / f"{first}{account_name(credentials)}{last}"


def account_name(credentials: Credentials | None) -> str:
    """Return what a journal calls an account: nothing of the key can be read from it."""
    if credentials is None:
        return "none"
    return hashlib.sha256(credentials.key.encode()).hexdigest()[:10]


def account_options(settings: Settings) -> AccountOptions:
    """Return which account a configuration trades on."""
    keys = settings.keys
    return AccountOptions(
        exchange=keys.exchange.name,
        symbol=keys.trading.symbol,
        margin_mode=keys.trading.margin_mode,
        is_demo=keys.exchange.trade_mode == "demo",
        rest_url=keys.exchange.rest_url,
        ws_url=keys.exchange.ws_url,
        time_scale=keys.exchange.time_scale,
    )


def at_the_venue(settings: Settings, market: Market) -> Settings:
    """Return the settings with the market's facts as the venue has them today."""
    instrument: Instrument = replace(
        settings.instrument, contract_size=market.contract_size, lot=market.lot, tick=market.tick,
        min_contracts=market.min_contracts,
    )  # fmt: skip
    return replace(settings, instrument=instrument)


def commission_of(simulation: SimulationSettings) -> FuturesCommission:
    """Return the market's commission scheme."""
    return FuturesCommission(
        contract=simulation.contract, maker=simulation.maker, taker=simulation.taker,
        futures_leverage=simulation.leverage, tiers=simulation.tiers,
        liquidation_fee_rate=simulation.instrument.liquidation_fee_rate,
    )  # fmt: skip
