"""What stands in the way of trading a configuration, asked of the venue before any order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.config.settings import Settings
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import CryptoSimError, InputError, VenueError
from cryptosim_bt.live.connection import Connection
from cryptosim_bt.live.credentials import Credentials, read_credentials
from cryptosim_bt.live.grounds import account_options, at_the_venue, journal_path
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.run import MakeParts
from cryptosim_bt.live.venue_account import VenueAccount, adapter_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``is_good`` None where there is nothing to judge."""

    name: str
    text: str
    is_good: bool | None = True


def examine(
    settings: Settings, make_parts: MakeParts, environment: Mapping[str, str] = os.environ
) -> list[Finding]:
    """Return what was found; with the first finding that is bad enough it ends."""
    found: list[Finding] = []
    connection: Connection | None = None
    try:
        credentials = read_credentials(settings.directory, environment)
        found.append(Finding("keys", "found"))
        options = account_options(settings)
        adapter = adapter_of(options.exchange)
        connection = Connection(
            lambda: VenueAccount(options, adapter, credentials), settings.instrument.currency
        )
        market = connection.open()
        settings = at_the_venue(settings, market)
        found.append(Finding("venue", f"{options.exchange}, {_kind(settings)}, answers"))
        found += _of_account(settings, connection)
        found += _of_market(settings, connection)
        parts = make_parts(settings)
        found.append(
            Finding("strategy", f"{settings.keys.strategy.name}, {parts.formulas.warmup} bars of "
                    "warm-up")
        )  # fmt: skip
        found.append(_of_journal(settings, credentials))
    except CryptoSimError as error:
        name = "venue" if isinstance(error, VenueError) else "configuration"
        found.append(Finding(name, str(error), is_good=False))
    finally:
        if connection is not None:
            connection.close()
    return found


def _kind(settings: Settings) -> str:
    return "demo trading" if settings.keys.exchange.trade_mode == "demo" else "REAL MONEY"


def _of_account(settings: Settings, connection: Connection) -> list[Finding]:
    account, reads = connection.account, connection.reads
    currency = settings.instrument.currency
    off_ms = connection.call(account.sync_clock)
    balance = connection.call(lambda: reads.balance(currency))
    legs = connection.call(reads.positions)
    orders = connection.call(reads.open_orders)
    hedged = connection.call(account.is_hedged)
    limit_ms = settings.keys.live.limits.clock_off_s * 1000
    held = ", ".join(f"{leg.side} {leg.contracts:g} at {leg.average:g}" for leg in legs)
    other_leverage = [leg for leg in legs if leg.leverage != settings.keys.trading.leverage]
    return [
        Finding("clock", f"the venue's, {off_ms:.0f} ms off between two questions",
                off_ms <= limit_ms),
        Finding("balance", f"{balance.cash:.8f} {currency}, {balance.available:.8f} available",
                balance.available > 0.0),
        Finding("position mode", "hedge" if hedged else "net; the run sets hedge mode, which the "
                "venue refuses while positions or orders are open", hedged or not (legs or orders)),
        Finding("positions", held or "none", None),
        Finding("open orders", f"{len(orders)}", None),
        Finding("leverage", f"{settings.keys.trading.leverage:g} is set at the start",
                not other_leverage),
    ]  # fmt: skip


def _of_market(settings: Settings, connection: Connection) -> list[Finding]:
    keys, instrument = settings.keys, settings.instrument
    step, reads = settings.timeframe_ms, connection.reads
    now_ms = connection.now_ms
    rows = connection.call(
        lambda: reads.candles(keys.data.timeframe, now_ms - 5 * step, now_ms)
    )
    if not rows:
        return [Finding("data", "the venue gave no closed bars", is_good=False)]
    price, age_s = rows[-1][4], (now_ms - rows[-1][0] - step) / 1000.0
    contracts = instrument.contracts_for(keys.trading.position_size, price)
    enough = contracts >= instrument.min_contracts
    return [
        Finding("data", f"last closed bar {iso_utc(rows[-1][0])}, {age_s:.0f} s ago",
                age_s <= step / 1000.0 + keys.live.limits.stale_data_s),
        Finding("contract", _contract_words(instrument, keys.trading.position_size, price),
                enough),
        Finding("smallest order", f"{instrument.min_contracts:g} contracts, in steps of "
                f"{instrument.lot:g}; prices in steps of {instrument.tick:g}", None),
        _worst(settings, connection, contracts, price),
    ]  # fmt: skip


def _contract_words(instrument: Instrument, amount: float, price: float) -> str:
    unit = "USD" if instrument.kind == "inverse" else instrument.base
    contracts = instrument.contracts_for(amount, price)
    return (
        f"1 contract = {instrument.contract_size:g} {unit}; {amount:g} {instrument.base} at "
        f"{price:,.10g} = {contracts:g} contracts"
    )


def _worst(
    settings: Settings, connection: Connection, contracts: float, price: float
) -> Finding:
    """Tell the margin if every set were full, at fixed sizes."""
    sets, instrument = settings.keys.position_set, settings.instrument
    size, contract = sets.position_set_size, instrument.contract()
    balance = connection.call(lambda: connection.reads.balance(instrument.currency))
    entries = {"long": sets.max_long_set, "short": sets.max_short_set}
    margin = 0.0
    for side in SIDES:
        full = contracts * size * (entries[side] + 1)  # the sets, and a Position about to be one
        margin += contract.initial_margin(full, price, settings.keys.trading.leverage)
    text = (
        f"{margin:.8f} {instrument.currency} if every set were full at this price, of "
        f"{balance.equity:.8f}"
    )
    return Finding("margin", text, margin <= balance.equity)


def _of_journal(settings: Settings, credentials: Credentials) -> Finding:
    path = journal_path(settings, credentials)
    if not path.is_file():
        return Finding("journal", f"{path}: will be made")
    journal: Any = None
    try:
        journal = Journal(path, reading=True)
        alarms = journal.alarms()
        text = f"{path}: {len(journal.orders())} orders working, {len(alarms)} alarms"
        return Finding("journal", text, not alarms)
    except InputError as error:
        return Finding("journal", str(error), is_good=False)
    finally:
        if journal is not None:
            journal.close()
