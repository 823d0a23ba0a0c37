"""Closed bars in their order, each once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosim_bt.live.bar_sequence import BarSequence

STEP = 60_000


def bar(number, close=1.0):
    return (number * STEP, 1.0, 2.0, 0.5, close, 10.0)


def popped(bars):
    found = []
    while (row := bars.pop()) is not None:
        found.append(row[0] // STEP)
    return found


def test_bars_come_in_order_once():
    bars = BarSequence(STEP, 5 * STEP)
    bars.add([bar(4), bar(5), bar(5), bar(6)])
    assert popped(bars) == [5, 6]
    bars.add([bar(6), bar(5)])
    assert popped(bars) == []


def test_gap_is_asked_for_before_what_comes_after_it():
    bars = BarSequence(STEP, 5 * STEP)
    bars.add([bar(8)])
    assert popped(bars) == []
    assert bars.missing(9 * STEP, 2_000) == (5 * STEP, 8 * STEP)
    bars.add([bar(5), bar(6)], asked_to_ms=8 * STEP)  # the venue never had 7
    assert popped(bars) == [5, 6, 8]
    assert bars.holes == [7 * STEP]


def test_overdue_bar_is_asked_for():
    bars = BarSequence(STEP, 5 * STEP)
    assert bars.missing(6 * STEP + 1_999, 2_000) is None
    assert bars.missing(7 * STEP + 2_000, 2_000) == (5 * STEP, 7 * STEP)
    bars.add([], asked_to_ms=7 * STEP)  # not there yet: it is waited for
    assert popped(bars) == []
    bars.add([bar(5)])
    assert popped(bars) == [5]


def test_correction_is_told():
    bars = BarSequence(STEP, 5 * STEP)
    bars.add([bar(5)])
    popped(bars)
    assert bars.add([bar(5)]) == []
    assert bars.add([bar(5, close=1.5)]) == [bar(5, close=1.5)]
    assert bars.add([bar(5, close=1.5)]) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(5, 20), max_size=60), st.randoms())
def test_whatever_the_stream_does_all_bars_come_once(pushed, rng):
    bars, found = BarSequence(STEP, 5 * STEP), []
    for number in pushed:
        bars.add([bar(number)])
        found += popped(bars)
        span = bars.missing(21 * STEP, 0)
        if span is not None and rng.random() < 0.5:
            first, end = span
            bars.add([bar(each) for each in range(first // STEP, end // STEP)], end)
            found += popped(bars)
    span = bars.missing(21 * STEP, 0)
    if span is not None:
        bars.add([bar(each) for each in range(span[0] // STEP, span[1] // STEP)], span[1])
    found += popped(bars)
    span = bars.missing(21 * STEP, 0)
    if span is not None:
        bars.add([bar(each) for each in range(span[0] // STEP, 21)], 21 * STEP)
    found += popped(bars)
    assert found == list(range(5, 21))
