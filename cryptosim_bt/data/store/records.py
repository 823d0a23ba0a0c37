"""What venues say of their markets, kept with the dates on which they said it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptosim_bt.accounting.instrument import Instrument, kind_of
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.accounting.maintenance_tiers import Tier as Step
from cryptosim_bt.data.market import Market, Tier, Tiers
from cryptosim_bt.data.store.files import locked, read_json, write_json
from cryptosim_bt.data.store.series import Store
from cryptosim_bt.errors import StoreError


@dataclass(frozen=True, slots=True)
class DatedRecord:
    """A record as a file keeps it: what was said, first and last on which date (ISO-8601, UTC)."""

    first_seen: str
    last_seen: str
    value: dict[str, Any]


def keep_market(store: Store, venue: str, market: Market, now: str) -> None:
    """Keep what a venue says of a market; a change is a new record beside the older ones."""
    _keep(_path(store, venue, market.symbol, "instrument"), venue, asdict(market), now)


def keep_tiers(store: Store, venue: str, symbol: str, tiers: Tiers, now: str) -> None:
    """Keep the margin tiers of a market."""
    _keep(_path(store, venue, symbol, "tiers"), venue, asdict(tiers), now)


def kept_market(store: Store, venue: str, symbol: str) -> tuple[Market, DatedRecord] | None:
    """Return what a venue last said of a market, None where it was never asked."""
    path = _path(store, venue, symbol, "instrument")
    latest = _latest(path)
    if latest is None:
        return None
    try:
        return Market(**latest.value), latest
    except TypeError as error:
        raise StoreError(f"{path}: is of another form: {error}; download again") from error


def kept_tiers(store: Store, venue: str, symbol: str) -> tuple[Tiers, DatedRecord] | None:
    """Return the margin tiers that a venue last gave, None where there are none."""
    path = _path(store, venue, symbol, "tiers")
    latest = _latest(path)
    if latest is None:
        return None
    try:
        rows = tuple(Tier(**row) for row in latest.value["tiers"])
        return Tiers(latest.value["unit"], rows), latest
    except (TypeError, KeyError) as error:
        raise StoreError(f"{path}: is of another form: {error}; download again") from error


def kept_instrument(
    store: Store, venue: str, symbol: str, built_in: Instrument | None
) -> Instrument | None:
    """Return the instrument as a venue last described it, with the first tier's maintenance rate.

    Where the venue gave no tiers, that rate is the built-in one. `built_in` itself where the store
    has no record of the market, or no maintenance rate is known: none is made up.
    """
    market, tiers = kept_market(store, venue, symbol), kept_tiers(store, venue, symbol)
    if market is None or (tiers is None and built_in is None):
        return built_in
    said = market[0]
    if tiers is not None:
        maintenance = tiers[0].tiers[0].maintenance_margin_rate
    elif built_in is not None:
        maintenance = built_in.maintenance_margin_rate
    return Instrument(
        symbol=symbol,
        kind=kind_of(symbol),
        contract_size=said.contract_size,
        lot=said.lot,
        tick=said.tick,
        min_contracts=said.min_contracts,
        maintenance_margin_rate=maintenance,
        liquidation_fee_rate=maintenance,
        maker=said.maker,
        taker=said.taker,
    )


def kept_maintenance(store: Store, venue: str, symbol: str) -> MaintenanceTiers | None:
    """Return the maintenance margin by size as a venue last gave it.

    None where it gave none, or by notional of an inverse contract: in which currency those are
    counted differs from venue to venue.
    """
    kept = kept_tiers(store, venue, symbol)
    if kept is None or (kept[0].unit == "notional" and kind_of(symbol) == "inverse"):
        return None
    steps = [(tier.above, tier.maintenance_margin_rate) for tier in kept[0].tiers]
    try:
        if kept[0].unit == "notional":
            return MaintenanceTiers.by_notional(steps)
        return MaintenanceTiers("contracts", tuple(Step(*step) for step in steps))
    except ValueError as error:
        raise StoreError(
            f"margin tiers of {venue} {symbol}: {error}; give instrument.tiers or "
            "maintenance_margin_rate"
        ) from error


def _path(store: Store, venue: str, symbol: str, name: str) -> Path:
    return store.symbol_folder(venue, symbol) / f"{name}.json"


def _keep(path: Path, venue: str, value: dict[str, Any], now: str) -> None:
    value = json.loads(json.dumps(value))  # as it will be read back: lists for tuples
    with locked(path.parent):
        records = _records(path)
        first_seen = now
        if records and records[-1].value == value:
            first_seen = records.pop().first_seen
        records.append(DatedRecord(first_seen, now, value))
        write_json(path, {"venue": venue, "records": [asdict(record) for record in records]})


def _latest(path: Path) -> DatedRecord | None:
    records = _records(path)
    return records[-1] if records else None


def _records(path: Path) -> list[DatedRecord]:
    content = read_json(path)
    if content is None:
        return []
    try:
        return [DatedRecord(**record) for record in content["records"]]
    except (TypeError, KeyError) as error:
        raise StoreError(f"{path}: is of another form: {error}; remove it") from error
