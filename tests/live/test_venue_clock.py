"""The venue's time from what it told, at any speed of it."""

from __future__ import annotations

import pytest

from cryptosim_bt.live.venue_clock import VenueClock


@pytest.mark.parametrize("scale", [1.0, 600.0])
def test_time_goes_on_from_what_was_told(scale):
    now = 100.0
    clock = VenueClock(scale, lambda: now)
    assert clock.now_ms() == 0
    assert clock.told(1_000_000, 99.0, 101.0) == 0.0  # said in the middle, at 100
    now = 103.0
    assert clock.now_ms() == 1_000_000 + 3_000 * scale
    assert clock.machine_s(3_000 * scale) == 3.0


def test_clock_that_is_off_is_told_beyond_the_way_of_the_answer():
    clock = VenueClock(1.0, lambda: 0.0)
    clock.told(10_000, 0.0, 0.0)
    assert clock.told(11_000, 0.5, 1.5) == 0.0
    assert clock.told(17_000, 1.0, 3.0) == 4_000.0  # 12 s expected, 1 s for the way
    assert clock.told(14_000, 2.0, 2.0) == 3_000.0  # measured against what was told last


def test_time_is_at_least_that_of_what_has_happened():
    clock = VenueClock(1e-9, lambda: 50.0)
    clock.at_least(5_000)  # not told yet: nothing to go on from
    assert clock.now_ms() == 0
    clock.told(1_000, 50.0, 50.0)
    clock.at_least(61_000)
    clock.at_least(60_000)
    assert clock.now_ms() == 61_000
