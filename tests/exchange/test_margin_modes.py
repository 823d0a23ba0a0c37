"""Isolated beside cross margin: what stands behind a leg, and where and how it is liquidated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from cryptosim_bt import Result
from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.contracts import InverseContract, LinearContract, Side
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers
from cryptosim_bt.broker.commission import FuturesCommission
from tests.exchange_runs import assert_money_is_kept, exchange_run, happened, outcome
from tests.helpers import HOUR_MS, NEW_YEAR_MS, PLAIN, changed, hours

pytestmark = pytest.mark.usefixtures("quiet_framework")

Prices = tuple[float, float, float, float]
QUIET: Prices = (100.0, 100.0, 100.0, 100.0)
ISOLATED = {"trading": {"margin_mode": "isolated"}}
MMR, TAKER = 0.004, 0.0005
CONTRACTS = {"linear": LinearContract(1.0), "inverse": InverseContract(100.0)}


def rules_of(kind: str, **changes: Any) -> dict[str, Any]:
    """Return rules of a small account without ticks: 10 linear contracts, or 10 inverse, of 10."""
    # Inverse: 10 coins of 100 USD each at a price of 100 are 10 contracts of 100 USD.
    plain = changed(
        PLAIN, contract=kind, contract_size=CONTRACTS[kind].contract_size, tick=0.0, lot=0.0,
        position_size=10.0, leverage=10.0, use_tp=False, taker=TAKER,
        initial_balance=1000.0 if kind == "linear" else 10.0, maintenance_margin_rate=MMR,
        liquidation_fee_rate=0.0,
    )  # fmt: skip
    return changed(plain, **changes)


def run(
    prices: list[Prices],
    signals: Mapping[int, int],
    rules: Mapping[str, Any],
    changes: Mapping[str, Mapping[str, Any]] = ISOLATED,
) -> Result:
    result = outcome(exchange_run(hours(*prices), signals, rules, changes))
    assert_money_is_kept(result, rules["initial_balance"])
    return result


def account_of(
    kind: str, mode: str = "isolated", balance: float = 1000.0, leverage: float = 10.0
) -> Account:
    scheme = FuturesCommission(
        contract=CONTRACTS[kind], taker=TAKER, futures_leverage=leverage,
        tiers=MaintenanceTiers.single(MMR),
    )  # fmt: skip
    return Account(scheme, balance, mode)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- the margin of a leg
@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_isolated_margin_is_added_per_fill_at_its_price(kind: str) -> None:
    # R27: entry notional / leverage, at the fill's price.
    account, contract = account_of(kind), CONTRACTS[kind]
    account.open("long", 1, 10.0, 100.0, 0.0)
    account.open("long", 1, 5.0, 80.0, 0.0)
    account.open("short", 2, 4.0, 110.0, 0.0)
    assert account.legs["long"].margin == pytest.approx(
        contract.notional(10.0, 100.0) / 10.0 + contract.notional(5.0, 80.0) / 10.0, rel=1e-12
    )
    assert account.legs["short"].margin == pytest.approx(contract.notional(4.0, 110.0) / 10.0)


@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_isolated_margin_is_released_pro_rata(kind: str) -> None:
    account = account_of(kind)
    account.open("long", 1, 10.0, 100.0, 0.0)
    account.open("long", 1, 5.0, 80.0, 0.0)
    whole = account.legs["long"].margin
    account.close("long", 1, 6.0, 90.0, 0.0)
    assert account.legs["long"].margin == pytest.approx(whole * 9.0 / 15.0, rel=1e-12)
    account.close("long", 1, 9.0, 90.0, 0.0)
    assert account.legs["long"].margin == 0.0


def test_bars_show_isolated_margin_at_entry_and_cross_margin_at_the_close() -> None:
    prices = [QUIET, QUIET, (100.0, 104.0, 100.0, 104.0)]
    rules = rules_of("linear", taker=0.0)
    # 10 contracts entered at 100 with leverage 10; at the close of 104 they are worth 1,040.
    assert run(prices, {0: 1}, rules).bars["margin"].tolist() == [100.0, 100.0, 100.0]
    cross = run(prices, {0: 1}, rules, {})
    assert cross.bars["margin"].tolist() == pytest.approx([100.0, 100.0, 104.0])


def test_available_balance_of_isolated_margin_leaves_out_what_is_unrealised() -> None:
    # R29: balance less margins; open profit and loss do not count.
    account = account_of("linear")
    account.open("long", 1, 10.0, 100.0, 0.0)
    # Isolated: wallet 1,000 less margin 100. Cross: equity 1,000 + 10 * 20 less 1,200 / 10.
    assert account.free_balance(120.0) == pytest.approx(900.0)
    cross = account_of("linear", "cross")
    cross.open("long", 1, 10.0, 100.0, 0.0)
    assert cross.free_balance(120.0) == pytest.approx(1000.0 + 200.0 - 120.0)


def test_open_profit_pays_for_another_entry_in_cross_margin_only() -> None:
    # Wallet 150, margin 100: after a rise to 120 another 10 contracts need 120.
    prices = [QUIET, QUIET, (120.0,) * 4, (120.0,) * 4]
    rules = rules_of("linear", taker=0.0, initial_balance=150.0)
    isolated = run(prices, {0: 1, 2: 1}, rules)
    assert isolated.summary["entries_refused"] == {"margin": 1}
    cross = run(prices, {0: 1, 2: 1}, rules, {})
    assert cross.summary["entries_refused"] == {}
    assert cross.bars["long_contracts"].tolist()[-1] == 20.0


# ---------------------------------------------------------------------- liquidation of one leg
@pytest.mark.parametrize("kind", ["linear", "inverse"])
@pytest.mark.parametrize("side", ["long", "short"])
def test_isolated_leg_is_liquidated_at_its_own_price(kind: str, side: Side) -> None:
    # R30: margin + PnL at P = maintenance at P + the taker fee of closing at P.
    contract = CONTRACTS[kind]
    margin = contract.notional(10.0, 100.0) / 10.0
    price = contract.liquidation_price(side, 10.0, 100.0, margin, MMR, TAKER)
    assert price is not None
    end = (100.0, 100.0, 60.0, 60.0) if side == "long" else (100.0, 140.0, 100.0, 140.0)
    rules = rules_of(kind)
    result = run([QUIET, QUIET, end], {0: 1 if side == "long" else -1}, rules)
    fill = result.fills.iloc[-1]
    assert fill["role"] == "liquidation"
    assert fill["price"] == pytest.approx(price, rel=1e-12)
    # What is left at that price is the maintenance margin: no liquidation fee here.
    lost = contract.pnl(side, 10.0, 100.0, price) - contract.fee(10.0, price, TAKER)
    assert result.summary["final_balance"] == pytest.approx(rules["initial_balance"] + lost)
    assert margin + lost == pytest.approx(contract.notional(10.0, price) * MMR)
    # Cross margin has the whole wallet behind the same leg, and holds on.
    assert happened(run([QUIET, QUIET, end], {0: 1 if side == "long" else -1}, rules, {})) == [
        (1, "entry", 10.0, 100.0, "maker")
    ]


@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_bars_show_both_isolated_liquidation_prices(kind: str) -> None:
    # R33: the nearest prices below and above at which something is liquidated.
    contract, rules = CONTRACTS[kind], rules_of(kind)
    result = run([QUIET, QUIET, QUIET, QUIET], {0: 1, 1: -1}, rules)
    margin = contract.notional(10.0, 100.0) / 10.0
    last = result.bars.iloc[-1]
    for column, side in (("liquidation_below", "long"), ("liquidation_above", "short")):
        wanted = contract.liquidation_price(side, 10.0, 100.0, margin, MMR, TAKER)  # type: ignore[arg-type]
        assert last[column] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_both_legs_of_cross_margin_have_one_price(kind: str) -> None:
    contract = CONTRACTS[kind]
    rules = rules_of(kind, initial_balance=150.0 if kind == "linear" else 1.5, position_size=5.0)
    # Two long entries and a short one at 100: net 5 long.
    result = run([QUIET] * 5, {0: 1, 1: 1, 2: -1}, rules, {})
    legs = [("long", 10.0, 100.0), ("short", 5.0, 100.0)]
    wanted = contract.cross_liquidation_price(legs, rules["initial_balance"], MMR, TAKER)  # type: ignore[arg-type]
    assert result.bars["liquidation_below"].iloc[-1] == pytest.approx(wanted, rel=1e-12)


def test_liquidation_of_one_isolated_leg_leaves_the_other_and_its_orders() -> None:
    rules = rules_of("linear", use_tp=True, take_profit_pct=0.2, taker=0.0)
    # Long 10 and short 10 at 100, margin 100 each; the long ends at 900 / (1 - 0.4 %) / 10.
    prices = [QUIET, QUIET, QUIET, (100.0, 100.0, 88.0, 88.0), (88.0, 88.0, 79.0, 80.0)]
    result = run(prices, {0: 1, 1: -1}, rules)
    assert happened(result)[2:] == [
        (3, "liquidation", 10.0, round(90.0 / (1.0 - MMR), 9), "taker"),
        (4, "take_profit", 10.0, 80.0, "maker"),
    ]
    assert result.summary["liquidations"] == 1


def test_loss_of_an_isolated_leg_ends_at_its_margin_and_the_rest_is_shortfall() -> None:
    # The bar opens at 50: 10 contracts have lost 500 of a margin of 100; 400 are forgiven.
    prices = [QUIET, QUIET, QUIET, (50.0, 50.0, 50.0, 50.0)]
    fee = 10.0 * 50.0 * TAKER
    result = run(prices, {0: 1}, rules_of("linear"))
    assert happened(result)[-1] == (3, "liquidation", 10.0, 50.0, "taker")
    assert result.summary["final_balance"] == pytest.approx(900.0)
    assert result.summary["shortfall"] == pytest.approx(400.0 + fee)
    # In cross margin the wallet carries it.
    cross = run(prices, {0: 1}, rules_of("linear"), {})
    assert cross.bars["equity"].iloc[-1] == pytest.approx(500.0)
    assert cross.summary["shortfall"] == 0.0


def test_profit_of_the_other_isolated_leg_is_not_touched_by_a_shortfall() -> None:
    prices = [QUIET, QUIET, QUIET, (50.0, 50.0, 50.0, 50.0)]
    result = run(prices, {0: 1, 1: -1}, rules_of("linear", taker=0.0))
    # The long loses its 100, the short stands 500 in profit.
    assert result.summary["final_balance"] == pytest.approx(900.0)
    assert result.summary["final_equity"] == pytest.approx(1400.0)


def test_liquidation_fee_of_an_isolated_leg_is_capped_at_what_its_margin_has_left() -> None:
    rules = rules_of("linear", liquidation_fee_rate=0.5, taker=0.0)
    result = run([QUIET, QUIET, (100.0, 100.0, 80.0, 80.0)], {0: 1}, rules)
    # All of the margin goes, and nothing of the wallet.
    assert result.summary["final_balance"] == pytest.approx(900.0)
    assert result.summary["shortfall"] == 0.0


# ---------------------------------------------------------------------- the wallet
def test_fees_and_funding_go_to_the_wallet_and_not_to_the_margin() -> None:
    # R28.
    due = [(NEW_YEAR_MS + 2 * HOUR_MS, 0.001)]
    rules = rules_of("linear", maker=0.0002, funding=due)
    result = run([QUIET] * 4, {0: 1}, rules)
    assert result.bars["margin"].tolist()[-1] == 100.0
    assert result.summary["final_balance"] == pytest.approx(1000.0 - 0.2 - 1.0)


def test_close_with_a_loss_beyond_the_margin_is_paid_by_the_wallet() -> None:
    # A stop at 91 slips 6 % to 85.54: 144.6 are lost, of a margin of 100.
    rules = rules_of(
        "linear", taker=0.0, use_sl=True, stop_loss_pct=0.09, slippage=0.06,
    )  # fmt: skip
    result = run([QUIET, QUIET, (100.0, 100.0, 90.9, 95.0)], {0: 1}, rules)
    assert happened(result)[-1] == (2, "stop_loss", 10.0, 85.54, "taker")
    assert result.summary["final_balance"] == pytest.approx(1000.0 - 144.6)
    assert result.summary["shortfall"] == 0.0


def test_wallet_that_funding_has_emptied_takes_the_rest_from_the_margin() -> None:
    # R28: margins shrink to the balance, each by its share.
    # 100 of balance are all margin; three fundings of 10 leave 70 to stand behind the leg.
    due = [(NEW_YEAR_MS + 2 * HOUR_MS * row, 0.01) for row in (1, 2, 3)]
    rules = rules_of("linear", initial_balance=100.0, taker=0.0, funding=due)
    result = run([QUIET] * 7 + [(100.0, 100.0, 92.0, 92.0)], {0: 1}, rules)
    margins = result.bars["margin"].tolist()
    assert margins[1:7] == pytest.approx([100.0, 90.0, 90.0, 80.0, 80.0, 70.0])
    contract = CONTRACTS["linear"]
    wanted = contract.liquidation_price("long", 10.0, 100.0, 70.0, MMR, 0.0)
    assert result.fills["price"].iloc[-1] == pytest.approx(wanted, rel=1e-12)
    assert result.bars["equity"].min() >= 0.0


def test_wallet_behind_two_emptied_legs_is_shared_by_their_margins() -> None:
    account = account_of("linear", balance=300.0)
    account.open("long", 1, 10.0, 100.0, 0.0)
    account.open("short", 2, 20.0, 100.0, 0.0)
    account.fund("long", 100.0, 0.03)
    account.back_margins()
    # 270 are left of 100 + 200.
    assert account.legs["long"].margin == pytest.approx(90.0)
    assert account.legs["short"].margin == pytest.approx(180.0)


def test_leg_that_lives_on_open_profit_is_liquidated_when_funding_has_eaten_it() -> None:
    # Entered at 100 with all of 100 as margin; at 110 it has 100 of profit. Fundings of 5 % of
    # 1,100 take 55 each: balance 45, -10, -65, -120. The fourth leaves -120 + 100 < 0.
    due = [(NEW_YEAR_MS + HOUR_MS * row, 0.05) for row in (3, 4, 5, 6)]
    rules = rules_of("linear", initial_balance=100.0, taker=0.0, funding=due)
    high = (110.0, 110.0, 110.0, 110.0)
    result = run([QUIET, QUIET, (100.0, 110.0, 100.0, 110.0), *[high] * 5], {0: 1}, rules)
    assert result.bars["balance"].tolist()[3:6] == pytest.approx([45.0, -10.0, -65.0])
    assert result.bars["equity"].tolist()[3:6] == pytest.approx([145.0, 90.0, 35.0])
    assert happened(result)[-1][:2] == (6, "liquidation")
    assert result.summary["shortfall"] == pytest.approx(20.0)
    assert result.summary["final_equity"] == 0.0
    # Before that, the price at which -65 + 10 * (P - 100) = 10 * P * MMR.
    wanted = (1000.0 + 65.0) / (10.0 * (1.0 - MMR))
    assert result.bars["liquidation_below"].iloc[5] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("kind", "side"), [("inverse", "short"), ("linear", "long")])
def test_margin_of_the_whole_entry_value_has_no_price_after_a_partial_close(
    kind: str, side: Side
) -> None:
    account = account_of(kind, balance=1e6, leverage=1.0)
    for count in range(1, 100):
        account.open(side, 1, 100.0, 97.3, 0.0)
        account.close(side, 1, count / 7.0, 97.3, 0.0)
        assert account.liquidation_prices(97.3) == (-math.inf, math.inf)


def test_inverse_isolated_short_at_leverage_one_is_never_liquidated() -> None:
    rules = rules_of("inverse", leverage=1.0, initial_balance=20.0)
    result = run([QUIET, QUIET, (100.0, 1e6, 100.0, 1e6)], {0: -1}, rules)
    assert happened(result) == [(1, "entry", 10.0, 100.0, "maker")]
    assert result.bars["liquidation_above"].isna().all()
    # It cannot lose more than it is worth at entry: 10 coins.
    assert result.summary["final_equity"] > 10.0


# ---------------------------------------------------------------------- how near
def test_distance_to_liquidation_is_the_nearest_of_the_run() -> None:
    # R33: each bar's low and high against the prices at the close before.
    prices = [QUIET, QUIET, (100.0, 100.0, 95.0, 97.0), (97.0, 100.0, 97.0, 100.0)]
    result = run(prices, {0: 1}, rules_of("linear", taker=0.0))
    liquidation = 90.0 / (1.0 - MMR)
    assert result.summary["min_liquidation_distance"] == pytest.approx(1.0 - liquidation / 95.0)


def test_distance_is_zero_after_a_liquidation_and_none_without_a_position() -> None:
    end = (100.0, 100.0, 50.0, 50.0)
    rules = rules_of("linear")
    assert run([QUIET, QUIET, end], {0: 1}, rules).summary["min_liquidation_distance"] == 0.0
    assert run([QUIET, QUIET, end], {}, rules).summary["min_liquidation_distance"] is None


# ---------------------------------------------------------------------- tiers in a run
@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_run_with_tiers_liquidates_where_the_tier_of_the_leg_says(mode: str) -> None:
    # R31, R32.
    tiers = MaintenanceTiers.by_notional([(0.0, 0.004), (600.0, 0.05)])
    rules = rules_of("linear", initial_balance=110.0, taker=0.0)
    prepared = exchange_run(
        hours(QUIET, QUIET, (100.0, 100.0, 60.0, 60.0)), {0: 1}, rules,
        {"trading": {"margin_mode": mode}}, tiers=tiers,
    )  # fmt: skip
    result = outcome(prepared)
    margin = 110.0 if mode == "cross" else 100.0
    # At the price found 10 contracts are worth more than 600: 5 % less 600 * 4.6 %.
    wanted = CONTRACTS["linear"].liquidation_price(
        "long", 10.0, 100.0, margin, 0.05, 0.0, 600.0 * 0.046
    )
    assert wanted is not None
    assert wanted * 10.0 > 600.0
    assert result.fills["price"].iloc[-1] == pytest.approx(wanted, rel=1e-12)
    assert_money_is_kept(result, 110.0)
