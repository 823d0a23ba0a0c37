"""Properties of trades from flat to flat: money is kept, splitting a fill changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosim_bt import FuturesCommission, InverseContract, LinearContract
from cryptosim_bt.accounting.orders import Execution, Liquidity, Role
from cryptosim_bt.accounting.round_trips import RoundTrips

CONTRACTS = [LinearContract(0.01), InverseContract(100.0)]
# Steps of a leg's size, each at a price: up enters, down exits.
STEPS = st.lists(
    st.tuples(st.integers(-40, 40), st.floats(50.0, 200.0)), min_size=1, max_size=30
)  # fmt: skip


def fill(time_ms: int, side: str, contracts: float, price: float, *, opens: bool) -> Execution:
    role = Role.ENTRY if opens else Role.EXIT
    fee = 0.001 * contracts
    return Execution(
        time_ms, 1, role, side, 0, price, contracts, fee, Liquidity.TAKER, 0.0
    )  # type: ignore[arg-type]


def leg_of(steps: list[tuple[int, float]], side: str) -> list[Execution]:
    """The fills of a leg that moves by steps and never beyond flat; flat at the end."""
    held, fills = 0, []
    for time_ms, (step, price) in enumerate([*steps, (-10_000, 100.0)]):
        size = max(step, -held)
        held += size
        if size:
            fills.append(fill(time_ms, side, float(abs(size)), price, opens=size > 0))
    return fills


def book_of(fills: list[Execution], contract: LinearContract | InverseContract) -> RoundTrips:
    book = RoundTrips(FuturesCommission(contract=contract), 1_000.0)
    for each in fills:
        book.apply_fill(each, "market")
    return book


@pytest.mark.parametrize("contract", CONTRACTS, ids=["linear", "inverse"])
@given(steps=STEPS, side=st.sampled_from(["long", "short"]))
def test_trades_of_a_flat_leg_are_all_that_moved_the_balance(contract, steps, side):
    book = book_of(leg_of(steps, side), contract)
    earned = sum(trade.net_pnl for trade in book.trades)
    assert book.balance - 1_000.0 == pytest.approx(earned, abs=1e-9 * 1_000.0)
    assert book.equity(123.0) == book.balance
    for trade in book.trades:
        # All that was entered was closed: the averages alone tell the PnL.
        told = contract.pnl(side, trade.contracts, trade.entry_price, trade.exit_price)
        assert trade.gross_pnl == pytest.approx(told, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("contract", CONTRACTS, ids=["linear", "inverse"])
@given(steps=STEPS, share=st.floats(0.1, 0.9))
def test_fill_in_two_parts_is_the_same_trade(contract, steps, share):
    fills = leg_of(steps, "long")
    parts = [
        fill(each.time_ms, "long", each.contracts * part, each.price,
             opens=each.role is Role.ENTRY)
        for each in fills for part in (share, 1.0 - share)
    ]  # fmt: skip
    whole, split = book_of(fills, contract).trades, book_of(parts, contract).trades
    assert len(whole) == len(split)
    for one, two in zip(whole, split, strict=True):
        assert (one.entry_time_ms, one.exit_time_ms) == (two.entry_time_ms, two.exit_time_ms)
        for name in ("contracts", "entry_price", "exit_price", "gross_pnl", "fees", "net_pnl"):
            assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-9, abs=1e-9)
