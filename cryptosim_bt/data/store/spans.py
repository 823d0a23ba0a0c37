"""Spans of time: sorted, disjoint, half-open ``(start, end)`` in ms. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
Spans = tuple[Span, ...]


def union(spans: Iterable[Span]) -> Spans:
    """Join spans that overlap or touch; empty ones vanish."""
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def subtract(spans: Iterable[Span], removed: Iterable[Span]) -> Spans:
    """Return the parts of `spans` that no span of `removed` covers."""
    left: list[Span] = []
    gone = union(removed)
    for start, end in union(spans):
        at = start
        for cut_start, cut_end in gone:
            if cut_end <= at or cut_start >= end:
                continue
            if cut_start > at:
                left.append((at, cut_start))
            at = max(at, cut_end)
        if at < end:
            left.append((at, end))
    return tuple(left)


def clip(spans: Iterable[Span], start: int, end: int) -> Spans:
    """Return the parts of spans inside ``[start, end)``."""
    return union((max(a, start), min(b, end)) for a, b in spans)


def length(spans: Sequence[Span]) -> int:
    """Return the time that disjoint spans cover."""
    return sum(end - start for start, end in spans)
