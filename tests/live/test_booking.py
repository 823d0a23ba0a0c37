"""From what the venue booked to events: whose contracts, whose funding, which limits."""

from __future__ import annotations

import pytest

from cryptosim_bt.accounting.contracts import InverseContract, LinearContract
from cryptosim_bt.accounting.orders import Role
from cryptosim_bt.config.keys import LimitsSection
from cryptosim_bt.live.adapter import VenueBill, VenueFill
from cryptosim_bt.live.booking import (
    ContractMath,
    LegAverages,
    funding_event,
    in_order,
    others_fill,
)
from cryptosim_bt.live.journal import Journal
from cryptosim_bt.live.safety import Safety, asked_to_stop, kill_switch


def fill(contracts=9.0, side="long", opens=False, by_itself="", trade_id="7", time_ms=5):
    return VenueFill(trade_id, "6", "", side, opens, 90_000.0, contracts, 9e-6, 0.9e-5, False,
                     time_ms, by_itself)  # fmt: skip


def bill(contracts, change, time_ms=5):
    return VenueBill("8", contracts, 90_000.0, change, 1.0, time_ms)


@pytest.mark.parametrize(
    ("held", "foreign", "contracts", "change", "side", "payment"),
    [
        ((9, 0), (0, 0), 9, -1e-6, "long", -1e-6),
        ((0, 9), (0, 0), 9, 1e-6, "short", 1e-6),
        ((9, 4), (0, 0), 4, -1e-6, "short", -1e-6),  # by its size, whatever the sign
        ((9, 9), (0, 0), 9, -1e-6, "long", -1e-6),  # both of one size: by the sign
        ((9, 9), (0, 0), 9, 1e-6, "short", 1e-6),
        ((9, 0), (3, 0), 12, -1.2e-6, "long", -0.9e-6),  # a quarter of it is somebody else's
        ((0, 9), (0, 0), 5, -1e-6, "short", -1e-6),  # grew meanwhile: the leg that there is
    ],
)
def test_funding_goes_to_its_leg(held, foreign, contracts, change, side, payment):
    sides = ("long", "short")
    event = funding_event(
        bill(contracts, change), dict(zip(sides, held, strict=True)),
        dict(zip(sides, foreign, strict=True)),
    )  # fmt: skip
    assert event.funding.side == side
    assert event.funding.payment == pytest.approx(payment, abs=1e-15)


def test_what_others_opened_they_close_first():
    foreign = {"long": 0.0, "short": 0.0}
    assert others_fill(fill(4.0, opens=True), foreign) is None
    event = others_fill(fill(9.0), foreign)
    assert foreign["long"] == 0.0
    assert (event.contracts, event.role) == (5.0, Role.EXIT)
    assert (event.fee, event.realized_pnl) == pytest.approx((9e-6 * 5 / 9, 0.9e-5 * 5 / 9))
    event = others_fill(fill(2.0, by_itself="liquidation"), foreign)
    assert (event.contracts, event.role) == (2.0, Role.LIQUIDATION)


HARMONIC = 9.0 / (6.0 / 90_000 + 3.0 / 60_000)


@pytest.mark.parametrize(
    ("contract", "average", "pnl"),
    [
        (InverseContract(100.0), HARMONIC, 100.0 * 6 * (1 / HARMONIC - 1 / 90_000)),
        (LinearContract(0.001), 80_000.0, 0.001 * 6 * (90_000 - 80_000)),
        (LinearContract(0.01), 80_000.0, 0.01 * 6 * (90_000 - 80_000)),
    ],
)
def test_pnl_of_a_fill_is_against_the_legs_average(contract, average, pnl):
    legs = LegAverages(ContractMath(contract))
    legs.note("long", 6.0, 90_000.0, opens=True)
    legs.note("long", 3.0, 60_000.0, opens=True)
    assert legs.average("long") == pytest.approx(average, rel=1e-14)
    assert legs.note("long", 6.0, 90_000.0, opens=False) == pytest.approx(pnl, abs=1e-12)
    assert legs.average("long") == pytest.approx(average, rel=1e-14)  # a part: it stays
    legs.note("long", 3.0, 90_000.0, opens=False)
    assert legs.average("long") == 0.0


def test_known_fills_are_left_out_and_funding_comes_after_the_fills_of_its_time():
    fills = (fill(trade_id="1", time_ms=1), fill(trade_id="2", time_ms=5))
    found = list(in_order(fills, (bill(9, 1e-6, time_ms=5),), lambda name: name != "1"))
    assert found == [fills[1], bill(9, 1e-6, time_ms=5)]


# ---------------------------------------------------------------------- limits
@pytest.fixture
def safety(tmp_path):
    journal = Journal(tmp_path / "journal.db")
    yield Safety(LimitsSection(max_contracts=20.0, orders_per_minute=3), journal)
    journal.close()


def keys(safety):
    return [alarm["key"] for alarm in safety._journal.alarms()]


def test_limit_holds_entries_up_until_it_is_over(safety):
    assert safety.may_enter
    safety.now_ms = 300_000
    safety.check_data(0, 60_000)  # due at 60 s, 240 s ago
    assert (safety.may_enter, keys(safety)) == (False, ["stale data"])
    safety.check_data(240_000, 60_000)
    assert (safety.may_enter, keys(safety)) == (True, [])


def test_alarm_that_holds_nothing_up(safety):
    safety.alarm("money", "the venue has +0.1 more than the book")
    assert (safety.may_enter, keys(safety)) == (True, ["money"])


def test_orders_in_a_minute_and_refusals_in_a_row(safety):
    for second in range(4):
        safety.now_ms = second * 1_000
        safety.order_placed()
    safety.check_orders(refusals=0)
    assert keys(safety) == ["orders per minute"]
    safety.now_ms = 61_000
    safety.check_orders(refusals=4)
    assert safety.may_enter
    safety.check_orders(refusals=5)
    assert keys(safety) == ["refusals"]


def test_clock_margin_and_size(safety):
    safety.check_clock(5_001.0)
    safety.check_margin(0.9, 1.0)
    assert keys(safety) == ["clock", "margin"]
    safety.check_clock(4_999.0)
    safety.check_margin(0.0, 0.0)  # nothing held
    assert safety.may_enter
    assert (safety.too_large(20.0), safety.too_large(20.5)) == (False, True)


WORDS = [("stop", "stop"), ("flatten\n", "flatten"), ("", "stop")]


@pytest.mark.parametrize(("text", "word"), WORDS)
def test_kill_switch_is_a_file(tmp_path, text, word):
    journal = tmp_path / "journal.db"
    assert asked_to_stop(journal) is None
    kill_switch(journal).write_text(text)
    assert asked_to_stop(journal) == word
