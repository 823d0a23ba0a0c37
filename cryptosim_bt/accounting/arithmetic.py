"""Plain arithmetic of floats, the same to the last bit under every version of Python."""

from __future__ import annotations

from collections.abc import Iterable


def sum_floats(values: Iterable[float]) -> float:
    """Return numbers added from left to right, as ``0 + a + b + ...``; 0 where there is none.

    Python's own ``sum`` is that up to 3.11; from 3.12 on it carries the rounding errors of floats
    along, and a run's last digits would depend on the version.
    """
    result: float = 0
    for value in values:
        result += value
    return result
