"""Runs of the exchange's later sections: settings beyond the oracle's words, finer bars, marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt import Result, SignalStrategy
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.backtest.matching_data import aligned_mark, volume_in_contracts
from cryptosim_bt.backtest.prepare import Prepared
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.config.document import Document
from cryptosim_bt.config.settings import Settings, settings_of
from cryptosim_bt.data.funding import FundingSchedule
from cryptosim_bt.exchange.fill_rules import EventOrder
from cryptosim_bt.exchange.matching_bars import MatchingBars
from tests.helpers import ROOT, Bar, GivenSignals, bar_table, prepared_run

Changes = Mapping[str, Mapping[str, Any]]


def widened(settings: Settings, changes: Changes) -> Settings:
    """Return settings with keys of the configuration changed; ``{"trading": {"leverage": 3}}``."""
    values = settings.resolved()
    _merge(values, changes)
    return settings_of(Document("test", values), ROOT)


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _merge(values.setdefault(key, {}), value)
        else:
            values[key] = value


def exchange_run(
    bars: Sequence[Bar],
    signals: Sequence[int] | Mapping[int, int],
    rules: Mapping[str, Any],
    changes: Changes | None = None,
    *,
    fine: Sequence[Bar] | None = None,
    fine_timeframe: str = "1m",
    mark: Sequence[Bar] | None = None,
    volumes: Sequence[float] | None = None,
    tiers: MaintenanceTiers | None = None,
    funding_series: FundingSchedule | None = None,
    strategy: type[SignalStrategy] = GivenSignals,
) -> Prepared:
    """Return a run with what the plain one has not: finer bars, marks, volumes, tiers.

    ``signals`` by row or one a bar; ``volumes`` in contracts, one a matching bar; ``mark`` has the
    times of the matching bars.
    """
    if isinstance(signals, Mapping):
        signals = [signals.get(row, 0) for row in range(len(bars))]
    given: dict[str, dict[str, Any]] = {"data": {}}
    _merge(given, changes or {})
    if fine is not None:
        given["data"] |= {"fill_timeframe": fine_timeframe, "fill_path": "fine.csv"}
    if mark is not None:
        given["data"]["mark_path"] = "mark.csv"
    if volumes is not None:
        given["data"]["volume_unit"] = "contracts"
    plain = prepared_run(bars, signals, rules, strategy=strategy)
    prepared = replace(plain, settings=widened(plain.settings, given))
    matching_table = bar_table(fine if fine is not None else bars)
    if volumes is not None:
        matching_table["volume"] = np.array(volumes, dtype=np.float64)
    if fine is not None or mark is not None or volumes is not None:
        marks = None if mark is None else aligned_mark(bar_table(mark), matching_table, "mark.csv")
        contracts = None
        if volumes is not None:
            contracts = volume_in_contracts(
                matching_table, prepared.settings.instrument, "contracts"
            )
        prepared = replace(prepared, matching=MatchingBars(matching_table, marks, contracts))
    if tiers is not None:
        prepared = replace(prepared, tiers=tiers)
    if funding_series is not None:
        due = zip(funding_series.times_ms.tolist(), funding_series.rates.tolist(), strict=True)
        prepared = replace(prepared, funding=list(due), funding_series=funding_series)
    return prepared


def outcome(prepared: Prepared, event_order: EventOrder = "rules") -> Result:
    """Return the result of a prepared run."""
    result, _ = execute(prepared, event_order=event_order)
    return result


def happened(result: Result) -> list[tuple[int, str, float, float, str]]:
    """Return each fill as (bar, role, contracts, price, liquidity), bars counted from 0."""
    opens = pd.DatetimeIndex(result.bars["time"])
    rows = opens.searchsorted(pd.DatetimeIndex(result.fills["time"]), side="right") - 1
    fills = result.fills
    return [
        (int(row), str(role), float(contracts), round(float(price), 9), str(liquidity))
        for row, role, contracts, price, liquidity in zip(
            rows, fills["role"], fills["contracts"], fills["price"], fills["liquidity"],
            strict=True,
        )
    ]  # fmt: skip


def assert_same_result(one: Result, other: Result) -> None:
    """Require the same bars, fills, trades, orders and sets, to the last digit."""
    for name in ("bars", "fills", "trades", "orders", "sets", "funding", "ambiguous"):
        pd.testing.assert_frame_equal(
            getattr(one, name), getattr(other, name), check_exact=True, obj=name
        )


def assert_money_is_kept(result: Result, initial: float) -> None:
    """Require that every movement of the balance has a name, and that nothing is owed."""
    table, fills, summary = result.bars, result.fills, result.summary
    dust = 1e-9 * initial * max(1, len(fills))
    moved = fills["realized_pnl"].sum() - fills["fee"].sum() - summary["funding_paid"]
    assert summary["final_balance"] == pytest.approx(
        initial + moved + summary["shortfall"], abs=dust
    )
    assert fills["shortfall"].sum() == pytest.approx(summary["shortfall"], abs=dust)
    assert -result.funding["payment"].sum() == pytest.approx(summary["funding_paid"], abs=dust)
    assert (table["balance"] + table["unrealized_pnl"] == table["equity"]).all()
    assert table["equity"].min() >= -dust
    assert table[["long_contracts", "short_contracts"]].min().min() >= 0.0
