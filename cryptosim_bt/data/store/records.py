"""What venues say of their markets, kept with the dates on which they said it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from cryptosim_bt.accounting.instrument import Instrument, kind_of
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.accounting.maintenance_tiers import Tier as Step
from cryptosim_bt.data.market import Market, Tier, Tiers
from cryptosim_bt.data.store.files import locked, read_json, write_json
from cryptosim_bt.data.store.series import Store
from cryptosim_bt.errors import StoreError

_Said = TypeVar("_Said")


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
    return _kept(_path(store, venue, symbol, "instrument"), lambda value: Market(**value))


def kept_tiers(store: Store, venue: str, symbol: str) -> tuple[Tiers, DatedRecord] | None:
    """Return the margin tiers that a venue last gave, None where there are none."""
    return _kept(
        _path(store, venue, symbol, "tiers"),
        lambda value: Tiers(value["unit"], tuple(Tier(**row) for row in value["tiers"])),
    )


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
    first: Any = built_in if tiers is None else tiers[0].tiers[0]
    same = ("contract_size", "lot", "tick", "min_contracts", "maker", "taker")
    return Instrument(
        symbol=symbol,
        kind=kind_of(symbol),
        maintenance_margin_rate=first.maintenance_margin_rate,
        liquidation_fee_rate=first.maintenance_margin_rate,
        **{name: getattr(market[0], name) for name in same},
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


def _kept(path: Path, build: Callable[[dict[str, Any]], _Said]) -> tuple[_Said, DatedRecord] | None:
    records = _records(path)
    try:
        return (build(records[-1].value), records[-1]) if records else None
    except (TypeError, KeyError) as error:
        raise StoreError(f"{path}: is of another form: {error}; download again") from error


def _records(path: Path) -> list[DatedRecord]:
    content = read_json(path)
    try:
        return [DatedRecord(**record) for record in content["records"]] if content else []
    except (TypeError, KeyError) as error:
        raise StoreError(f"{path}: is of another form: {error}; remove it") from error
