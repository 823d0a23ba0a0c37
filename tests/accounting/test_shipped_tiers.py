"""The lists of margin tiers that are shipped, and when a run goes by them (R31)."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from cryptosim_bt import ConfigError
from cryptosim_bt.accounting.instrument import known_instrument, known_symbols
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers, built_in_tiers, read_tiers
from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.config.document import Document
from cryptosim_bt.config.settings import Settings, settings_of
from cryptosim_bt.plugins.registry import discover
from tests.helpers import ROOT, without_analyzers

pytestmark = pytest.mark.usefixtures("quiet_framework")

LISTED = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
RUN = {
    "data": {"source": "sample", "timeframe": "1h"},
    "trading": {"symbol": "BTC/USDT:USDT"},
    "strategy": {"name": "simple_ma"},
    "backtest": {
        "trading_period": {"start_date": "2025-01-01", "end_date": "2025-02-01"},
        "initial_balance": 1000.0,
    },
}


def settings_with(**changes: dict[str, Any]) -> Settings:
    values = {name: {**section, **changes.get(name, {})} for name, section in RUN.items()}
    values |= {name: section for name, section in changes.items() if name not in values}
    return settings_of(Document("test", values), ROOT)


def prepared_tiers(settings: Settings) -> MaintenanceTiers:
    return prepare(without_analyzers(settings), discover()).tiers


def test_shipped_lists_are_those_of_known_markets_and_name_their_source() -> None:
    files = sorted((ROOT / "cryptosim_bt/accounting/okx_tiers").glob("*.yaml"))
    known = [known_instrument("okx", symbol) for symbol in known_symbols()]
    found = [built_in_tiers("okx", instrument) for instrument in known if instrument]
    assert sorted(path for path in found if path) == files
    assert [each.symbol for each in known if each and built_in_tiers("okx", each)] == LISTED
    for path in files:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        assert "api/v5/public/position-tiers" in document["source"]
        assert document["date"].year == 2026


@pytest.mark.parametrize("symbol", LISTED)
def test_shipped_list_is_whole_and_begins_with_the_markets_own_rate(symbol: str) -> None:
    instrument = known_instrument("okx", symbol)
    assert instrument is not None
    path = built_in_tiers("okx", instrument)
    assert path is not None
    table = read_tiers(path)
    assert table.basis == "contracts"
    assert table.tiers[0].rate == instrument.maintenance_margin_rate
    rates = [tier.rate for tier in table.tiers]
    assert rates == sorted(set(rates))
    # A tier begins one lot above a round number of contracts; the last needs half the notional.
    assert len(rates) == 99
    assert rates[-1] == 0.4875
    for tier in table.tiers[1:]:
        assert round((tier.floor - instrument.lot) % 1000.0, 6) in (0.0, 1000.0)


def test_first_tier_of_btc_usdt_ends_at_a_thousand_contracts() -> None:
    tiers = prepared_tiers(settings_with())
    for contracts, rate in ((1000.0, 0.004), (1000.01, 0.005), (5000.0, 0.005), (5000.01, 0.0075)):
        assert tiers.tier_of(contracts).rate == rate


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "built-in"),
        ({"instrument": {"tick": 0.5}}, "built-in"),
        ({"trading": {"symbol": "ETH/USDT:USDT"}}, "built-in"),
        ({"instrument": {"tiers": "built-in"}}, "built-in"),
        ({"trading": {"symbol": "BTC/USD:BTC"}}, None),
        # Who says one rate means it; and a list counts contracts of the venue's size.
        ({"instrument": {"maintenance_margin_rate": 0.004}}, None),
        ({"instrument": {"contract_size": 1.0}}, None),
        ({"data": {"source": "ccxt"}}, "venue"),
    ],
)
def test_market_with_a_list_has_it_where_nothing_is_said(
    changes: dict[str, dict[str, Any]], word: str | None
) -> None:
    settings = settings_with(**changes)
    assert settings.tiers == word
    again = settings_of(Document("test", settings.resolved()), ROOT)
    assert again.tiers == word


def test_one_rate_holds_for_every_size_where_there_is_no_list() -> None:
    tiers = prepared_tiers(settings_with(trading={"symbol": "BTC/USD:BTC"}))
    assert tiers == MaintenanceTiers.single(0.004)


def test_list_beside_a_rate_of_its_own_contradicts_itself() -> None:
    with pytest.raises(ConfigError, match=r"maintenance_margin_rate.*was 0\.01 beside tiers"):
        settings_with(instrument={"tiers": "built-in", "maintenance_margin_rate": 0.01})


def test_smallest_order_above_the_largest_is_refused() -> None:
    sentence = r"instrument\.max_contracts.*was 5; allowed: no less than the smallest order, 10 "
    with pytest.raises(ConfigError, match=sentence):
        settings_with(instrument={"min_contracts": 10.0, "max_contracts": 5.0})
    assert settings_with(instrument={"min_contracts": 5.0, "max_contracts": 5.0})


@pytest.mark.parametrize(
    "changes",
    [{"trading": {"symbol": "BTC/USD:BTC"}}, {"instrument": {"contract_size": 1.0}}],
)
def test_list_that_is_asked_for_and_not_there_is_answered_with_a_sentence(
    changes: dict[str, dict[str, Any]],
) -> None:
    asked = {**changes, "instrument": {**changes.get("instrument", {}), "tiers": "built-in"}}
    with pytest.raises(ConfigError, match=r"instrument\.tiers.*was 'built-in', but no list is"):
        settings_with(**asked)
