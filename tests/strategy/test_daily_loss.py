"""The daily loss limit by itself (R25)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cryptosim_bt.strategy.daily_loss import DailyLossLimit


def ms(local: str, zone: str) -> int:
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp() * 1000)


def hits(
    zone: str, bars: list[tuple[str, float]], limit: float | None = 0.05, initial: float = 100.0
) -> list[bool]:
    """Return whether entries are refused at the close of each bar (local open, equity)."""
    rule = DailyLossLimit(limit, ZoneInfo(zone), initial)
    result = []
    for local, equity in bars:
        rule.check(ms(local, zone), equity)
        result.append(rule.hit)
        rule.settle(equity)
    return result


def test_first_day_is_measured_against_the_initial_balance() -> None:
    day = [("2025-01-01T10:00", 95.01), ("2025-01-01T11:00", 95.0)]
    assert hits("Asia/Seoul", day) == [False, True]


def test_hit_lasts_through_a_recovery_until_local_midnight() -> None:
    bars = [
        ("2025-01-01T10:00", 90.0),
        ("2025-01-01T23:00", 120.0),
        ("2025-01-02T00:00", 119.0),
    ]
    assert hits("Asia/Seoul", bars) == [True, True, False]


def test_next_day_is_measured_against_the_last_close_of_the_day_before() -> None:
    # 5 % below 120 is 114, although that is above the initial balance.
    bars = [("2025-01-01T23:00", 120.0), ("2025-01-02T00:00", 114.0)]
    assert hits("Asia/Seoul", bars) == [False, True]


def test_day_without_bars_is_skipped() -> None:
    bars = [("2025-01-01T23:00", 100.0), ("2025-01-04T05:00", 95.0), ("2025-01-05T00:00", 95.0)]
    assert hits("Asia/Seoul", bars) == [False, True, False]


def test_nothing_is_below_zero() -> None:
    bars = [("2025-01-01T10:00", 0.0), ("2025-01-02T00:00", 0.0)]
    assert hits("Asia/Seoul", bars) == [True, False]


def test_no_limit_is_never_hit() -> None:
    assert hits("UTC", [("2025-01-01T10:00", 0.0)], limit=None) == [False]


@pytest.mark.parametrize(
    ("zone", "lost", "same_day", "next_day"),
    [
        # A day of 23 hours and one of 25 hours: midnight is the wall clock's.
        ("America/New_York", "2025-03-09T01:00", "2025-03-09T23:00", "2025-03-10T00:00"),
        ("America/New_York", "2025-11-02T00:00", "2025-11-02T23:00", "2025-11-03T00:00"),
        ("Asia/Seoul", "2025-01-01T00:00", "2025-01-01T23:00", "2025-01-02T00:00"),
    ],
)
def test_day_ends_at_the_wall_clocks_midnight(
    zone: str, lost: str, same_day: str, next_day: str
) -> None:
    bars = [(lost, 50.0), (same_day, 50.0), (next_day, 50.0)]
    assert hits(zone, bars) == [True, True, False]
