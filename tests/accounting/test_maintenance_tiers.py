"""Maintenance tiers: what they require, and liquidation solved again in another tier."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosim_bt.accounting.contracts import (
    InverseContract,
    Leg,
    LinearContract,
    LiquidationRegion,
    Side,
)
from cryptosim_bt.accounting.maintenance_tiers import (
    MaintenanceTiers,
    Tier,
    liquidation_region,
    read_tiers,
)
from cryptosim_bt.errors import ConfigError

SEARCH = settings(max_examples=300, derandomize=True, deadline=None, database=None)
INVERSE_100, LINEAR = InverseContract(100.0), LinearContract(1.0)
Contract = InverseContract | LinearContract

# OKX: by contracts of the leg, the tier's rate on the whole leg.
BY_CONTRACTS = MaintenanceTiers(
    "contracts", (Tier(0.0, 0.004), Tier(1000.0, 0.006), Tier(3000.0, 0.01))
)
# Binance: by notional, continuous. Two levels that carry the published 0.56 BTC of BTCUSD's level 4
# stand for those below it; the third is level 5: from 50 BTC, 5 % after 2.5 %.
BTCUSD = MaintenanceTiers.by_notional([(0.0, 0.011), (40.0, 0.025), (50.0, 0.05)])


# ---------------------------------------------------------------------- requirement
@pytest.mark.parametrize(
    ("contracts", "rate"),
    [(1.0, 0.004), (999.0, 0.004), (1000.0, 0.006), (2999.0, 0.006), (3000.0, 0.01), (9e9, 0.01)],
)
def test_requirement_by_contracts_takes_the_tiers_rate_for_the_whole_leg(
    contracts: float, rate: float
) -> None:
    # R31: by contracts, one tier's rate for the whole leg.
    expected = contracts * 100.0 / 50_000.0 * rate
    assert BY_CONTRACTS.requirement(INVERSE_100, contracts, 50_000.0) == pytest.approx(expected)


def test_single_rate_is_that_rate_at_every_size() -> None:
    tiers = MaintenanceTiers.single(0.004)
    for contracts in (1.0, 1e3, 1e9):
        notional = LINEAR.notional(contracts, 100.0)
        assert tiers.requirement(LINEAR, contracts, 100.0) == pytest.approx(notional * 0.004)


def test_deduction_of_btcusd_level_5_is_as_published() -> None:
    # Binance FAQ: level 5 = 50 BTC * (5 % - 2.5 %) + 0.56 BTC = 1.81 BTC.
    level_4, level_5 = BTCUSD.tiers[1], BTCUSD.tiers[2]
    assert level_4.deduction == pytest.approx(0.56)
    assert level_5.deduction == pytest.approx(1.81)
    # At the edge the same requirement from both sides: 50 * 2.5 % - 0.56 = 50 * 5 % - 1.81 = 0.69.
    price = 50_000.0
    contracts = 50.0 * price / 100.0
    assert BTCUSD.requirement(INVERSE_100, contracts, price) == pytest.approx(0.69)
    assert BTCUSD.requirement(INVERSE_100, contracts * (1 - 1e-12), price) == pytest.approx(0.69)


@SEARCH
@given(
    steps=st.lists(
        st.tuples(st.floats(1.0, 1e6), st.floats(0.001, 0.2)), min_size=1, max_size=6,
        unique_by=lambda step: round(step[0], 3),
    )
)  # fmt: skip
def test_requirement_by_notional_is_continuous_at_every_edge(
    steps: list[tuple[float, float]],
) -> None:
    # R31: deductions make it continuous.
    floors = sorted(floor for floor, _ in steps)
    rates = sorted(rate for _, rate in steps)
    tiers = MaintenanceTiers.by_notional([(0.0, 0.001), *zip(floors, rates, strict=True)])
    for tier in tiers.tiers[1:]:
        below = tiers.requirement(LINEAR, tier.floor * (1.0 - 1e-12), 1.0)
        at = tiers.requirement(LINEAR, tier.floor, 1.0)
        assert at == pytest.approx(below, rel=1e-9, abs=1e-9)
        assert at >= 0.0


# ---------------------------------------------------------------------- published examples
def test_s19_binance_coin_m_calculator() -> None:
    # 100,000 contracts of 100 USD at 45,000, wallet 101 BTC, level 8: 12.5 %, amount 11.605 BTC.
    tiers = MaintenanceTiers("notional", (Tier(0.0, 0.1, 6.605), Tier(200.0, 0.125, 11.605)))
    region = liquidation_region(
        INVERSE_100, [Leg("long", 100_000.0, 45_000.0)], 101.0, tiers, 0.0, 45_000.0
    )
    # (n*mmr + n) / ((WB + cum)/cs + n/avg)
    formula = (100_000.0 * 0.125 + 100_000.0) / ((101.0 + 11.605) / 100.0 + 100_000.0 / 45_000.0)
    assert region.lower == pytest.approx(formula, rel=1e-12)
    assert region.lower == pytest.approx(33_599.418605615832, rel=1e-12)


def test_s21_freqtrade_binance_usdt_m() -> None:
    # 3,683.979 at 1,456.84, wallet 1,535,443.01, 10 %, amount 135,365.
    # Both the entry (5.4 million) and the price found (4.1 million) lie in that level.
    tiers = MaintenanceTiers("notional", (Tier(0.0, 0.05), Tier(4e6, 0.10, 135_365.0)))
    region = liquidation_region(
        LINEAR, [Leg("long", 3683.979, 1456.84)], 1_535_443.01, tiers, 0.0, 1456.84
    )
    formula = (1_535_443.01 + 135_365.0 - 3683.979 * 1456.84) / (3683.979 * 0.10 - 3683.979)
    assert region.lower == pytest.approx(formula, rel=1e-12)
    assert region.lower == pytest.approx(1114.784963745872, rel=1e-10)


@pytest.mark.parametrize(("contracts", "rate"), [(999.0, 0.004), (1000.0, 0.006), (5000.0, 0.01)])
def test_liquidation_price_by_contracts_is_the_single_formula_with_the_legs_rate(
    contracts: float, rate: float
) -> None:
    side: Side
    for side in ("long", "short"):
        margin = contracts * 100.0 / 50_000.0 / 10.0
        region = liquidation_region(
            INVERSE_100, [Leg(side, contracts, 50_000.0)], margin, BY_CONTRACTS, 0.0005, 50_000.0
        )
        expected = INVERSE_100.liquidation_price(side, contracts, 50_000.0, margin, rate, 0.0005)
        assert (region.lower if side == "long" else region.upper) == expected


def test_both_legs_take_the_rates_of_their_own_sizes() -> None:
    legs = [Leg("long", 4000.0, 50_000.0), Leg("short", 500.0, 52_000.0)]
    region = liquidation_region(INVERSE_100, legs, 1.0, BY_CONTRACTS, 0.0005, 50_000.0)
    rates = [0.01, 0.004]
    # P = sum(V_i*(s_i + mmr_i + f)) / (B + sum(s_i*V_i/avg_i))
    above = 400_000.0 * (1 + 0.01 + 0.0005) + 50_000.0 * (-1 + 0.004 + 0.0005)
    below = 1.0 + 400_000.0 / 50_000.0 - 50_000.0 / 52_000.0
    assert region.lower == pytest.approx(above / below, rel=1e-12)
    expected = INVERSE_100.cross_liquidation_price(legs, 1.0, rates, 0.0005)
    assert region.lower == expected


@pytest.mark.parametrize("basis", ["contracts", "notional"])
def test_deduction_of_a_single_tier_counts_in_requirement_and_price_alike(basis: str) -> None:
    tiers = MaintenanceTiers(basis, (Tier(0.0, 0.01, 0.5),))  # type: ignore[arg-type]
    legs = [Leg("long", 100.0, 100.0)]
    region = liquidation_region(LINEAR, legs, 1000.0, tiers, 0.0005, 100.0)
    price = region.lower
    left = 1000.0 + LINEAR.pnl("long", 100.0, 100.0, price)
    needed = tiers.requirement(LINEAR, 100.0, price) + LINEAR.fee(100.0, price, 0.0005)
    assert left == pytest.approx(needed, abs=1e-9)


# ---------------------------------------------------------------------- solved again
def test_price_that_lands_in_a_higher_tier_is_solved_again_there() -> None:
    # R32.
    # An inverse long: the notional grows as the price falls, 9 BTC at 50,000, 12 BTC at 37,500.
    tiers = MaintenanceTiers.by_notional([(0.0, 0.004), (10.0, 0.05)])
    legs = [Leg("long", 4500.0, 50_000.0)]
    region = liquidation_region(INVERSE_100, legs, 3.0, tiers, 0.0005, 50_000.0)
    first_tier = INVERSE_100.liquidation_price("long", 4500.0, 50_000.0, 3.0, 0.004, 0.0005)
    assert first_tier is not None
    assert INVERSE_100.notional(4500.0, first_tier) > 10.0
    # deduction 10 * (5 % - 0.4 %)
    again = INVERSE_100.liquidation_price("long", 4500.0, 50_000.0, 3.0, 0.05, 0.0005, 0.46)
    assert region.lower == pytest.approx(again, rel=1e-12)
    assert region.lower > first_tier


def brute_force(
    contract: Contract,
    legs: list[Leg],
    margin: float,
    tiers: MaintenanceTiers,
    taker: float,
    price: float,
) -> LiquidationRegion:
    """Find where the condition first holds below and above a price, by stepping and halving.

    Between two edges of tiers equity less requirement is ``a + b / P`` or ``a + b * P``, so it
    crosses zero once at most: a step that ends at every edge cannot jump over a crossing.
    """

    def excess(at: float) -> float:
        return excess_at(contract, legs, margin, tiers, taker, at)

    if excess(price) <= 0.0:
        return LiquidationRegion(math.inf, math.inf)
    edges = [_edge(contract, tiers, leg, tier) for leg in legs for tier in tiers.tiers[1:]]
    below = sorted((edge for edge in edges if edge < price), reverse=True)
    lower = _first_crossing(excess, price, [*below, 1e-9])
    upper = _first_crossing(excess, price, [*sorted(edge for edge in edges if edge > price), 1e15])
    return LiquidationRegion(-math.inf if lower is None else lower, upper or math.inf)


def _edge(contract: Contract, tiers: MaintenanceTiers, leg: Leg, tier: Tier) -> float:
    """Return the price at which a leg enters a tier; by contracts no price does, any will do."""
    if tiers.basis == "contracts":
        return leg.entry
    value = leg.contracts * contract.contract_size
    return value / tier.floor if isinstance(contract, InverseContract) else tier.floor / value


def _first_crossing(
    excess: Callable[[float], float], start: float, stops: list[float]
) -> float | None:
    inside = start
    for outside in stops:
        if excess(outside) > 0.0:
            inside = outside
            continue
        while (middle := 0.5 * (inside + outside)) not in (inside, outside):
            inside, outside = (inside, middle) if excess(middle) <= 0.0 else (middle, outside)
        return outside
    return None


def excess_at(
    contract: Contract,
    legs: list[Leg],
    margin: float,
    tiers: MaintenanceTiers,
    taker: float,
    price: float,
) -> float:
    """Return equity less maintenance and closing fees: the condition of R23 as it is written."""
    return margin + sum(
        contract.pnl(leg.side, leg.contracts, leg.entry, price)
        - tiers.requirement(contract, leg.contracts, price)
        - contract.fee(leg.contracts, price, taker)
        for leg in legs
    )


sides = st.sampled_from(["long", "short"])
leg_values = st.tuples(sides, st.floats(1.0, 5000.0), st.floats(50.0, 200.0))


@st.composite
def tables(draw: st.DrawFn, unit: float, basis: str) -> MaintenanceTiers:
    """Draw one to five tiers with rising floors (of the size of ``unit``) and rates."""
    floors = draw(st.lists(st.floats(0.05, 20.0), min_size=0, max_size=4, unique=True))
    rates = draw(st.lists(st.floats(0.001, 0.15), min_size=len(floors) + 1,
                          max_size=len(floors) + 1))  # fmt: skip
    steps = list(zip([0.0, *sorted(each * unit for each in floors)], sorted(rates), strict=True))
    if basis == "notional":
        return MaintenanceTiers.by_notional(steps)
    return MaintenanceTiers("contracts", tuple(Tier(floor, rate) for floor, rate in steps))


@SEARCH
@given(
    contract=st.sampled_from([InverseContract(1.0), LinearContract(1.0)]),
    basis=st.sampled_from(["notional", "contracts"]),
    legs=st.lists(leg_values, min_size=1, max_size=2, unique_by=lambda leg: leg[0]),
    share=st.floats(0.005, 2.0),
    price=st.floats(50.0, 200.0),
    data=st.data(),
)
def test_liquidation_prices_are_those_of_a_scan_of_the_condition(
    contract: Contract,
    basis: str,
    legs: list[tuple[Side, float, float]],
    share: float,
    price: float,
    data: st.DataObject,
) -> None:
    # R32: the closed form against a search step by step.
    kept = [Leg(*leg) for leg in legs]
    values = [contract.notional(leg.contracts, leg.entry) for leg in kept]
    unit = max(values) if basis == "notional" else max(leg.contracts for leg in kept)
    tiers = data.draw(tables(unit, basis))
    margin = share * sum(values)
    found = liquidation_region(contract, kept, margin, tiers, 0.0005, price)
    expected = brute_force(contract, kept, margin, tiers, 0.0005, price)
    if expected.lower == math.inf:
        assert found.contains(price)
        return
    for ours, theirs in zip(found, expected, strict=True):
        if abs(theirs) < 1e-8 or abs(theirs) > 1e12:
            continue  # beyond what the scan looks at
        if math.isinf(theirs):
            assert math.isinf(ours) or not 1e-8 < ours < 1e12
        else:
            # The worse the condition (equity and requirement nearly parallel), the less a price
            # says: there the condition itself has to hold to 1e-9 of the account.
            assert ours == pytest.approx(theirs, rel=1e-9) or abs(
                excess_at(contract, kept, margin, tiers, 0.0005, ours)
            ) < 1e-9 * (margin + sum(contract.notional(leg.contracts, ours) for leg in kept))


# ---------------------------------------------------------------------- reading and refusing
@pytest.mark.parametrize(
    "tiers",
    [(), (Tier(1.0, 0.004),), (Tier(0.0, 0.004), Tier(5.0, 0.01), Tier(5.0, 0.02)),
     (Tier(0.0, 0.004), Tier(5.0, 0.01), Tier(2.0, 0.02)), (Tier(0.0, 1.0),),
     (Tier(0.0, -0.1),)],
)  # fmt: skip
def test_tiers_that_do_not_rise_from_zero_are_refused(tiers: tuple[Tier, ...]) -> None:
    with pytest.raises(ValueError, match=r"^tiers: "):
        MaintenanceTiers("contracts", tiers)


def write(folder: Path, text: str) -> Path:
    path = folder / "tiers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_file_by_contracts_is_read_as_it_stands(tmp_path: Path) -> None:
    text = "basis: contracts\ntiers:\n- {floor: 0, rate: 0.004}\n- {floor: 1000, rate: 0.006}\n"
    assert read_tiers(write(tmp_path, text)) == MaintenanceTiers(
        "contracts", (Tier(0.0, 0.004), Tier(1000.0, 0.006))
    )


def test_file_by_notional_without_deductions_is_made_continuous(tmp_path: Path) -> None:
    text = "basis: notional\ntiers:\n- {floor: 0, rate: 0.004}\n- {floor: 5, rate: 0.005}\n"
    assert read_tiers(write(tmp_path, text)).tiers[1].deduction == pytest.approx(5.0 * 0.001)


def test_file_by_notional_with_deductions_keeps_them(tmp_path: Path) -> None:
    text = (
        "basis: notional\ntiers:\n- {floor: 0, rate: 0.025, deduction: 0.56}\n"
        "- {floor: 50, rate: 0.05, deduction: 1.81}\n"
    )
    assert [tier.deduction for tier in read_tiers(write(tmp_path, text)).tiers] == [0.56, 1.81]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the file has None"),
        ("[]", "the file has []"),
        ("basis: contracts", "tiers was None"),
        ("basis: weight\ntiers:\n- {floor: 0, rate: 0.004}", "basis was 'weight'"),
        ("basis: contracts\ntiers: []", "tiers was []"),
        ("basis: contracts\ntiers: [1, 2]", "tier 1 was 1"),
        ("basis: contracts\ntiers:\n- {floor: 0}", "rate of tier 1 was None"),
        ("basis: contracts\ntiers:\n- {floor: 0, rate: a lot}", "rate of tier 1 was 'a lot'"),
        ("basis: contracts\ntiers:\n- {floor: 10, rate: 0.004}", "floors were [10.0]"),
        (
            "basis: notional\ntiers:\n- {floor: 0, rate: 0.004}\n- {floor: 0, rate: 0.005}",
            "floors were [0.0, 0.0]",
        ),
        ("basis: contracts\ntiers:\n- {floor: 0, rate: 4}", "rates were [4.0]"),
        ("basis: [contracts", "is no YAML from line 1 on"),
        ("basis: notional\ntiers:\n- {floor: 0, rate: .nan}", "rates were [nan]"),
        ("basis: notional\ntiers:\n- {floor: 0, rate: 0.004}\n- {floor: .nan, rate: 0.005}",
         "not finite"),
    ],
)
def test_file_that_is_no_tier_table_is_answered_with_key_file_and_form(
    text: str, found: str, tmp_path: Path
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_tiers(path)
    message = str(caught.value)
    assert message.startswith(f"instrument.tiers: {path}: no tiers: ")
    assert found in message
    assert "\n" not in message
    assert "allowed: basis: contracts|notional" in message


def test_missing_file_is_answered_the_same_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"instrument\.tiers: .*nowhere\.yaml: no tiers"):
        read_tiers(tmp_path / "nowhere.yaml")
