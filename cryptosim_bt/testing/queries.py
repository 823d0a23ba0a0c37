"""What the read routes of the exchange for tests share: queries, filters, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from cryptosim_bt.testing.answers import Row
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.market import Market
from cryptosim_bt.testing.orders import Refused


class Asked(NamedTuple):
    """A request: what was sent with it (query, or body), and the exchange's time that it shows."""

    args: Any
    exp_ms: int | None
    shown_ms: int


Handler = Callable[[FakeExchange, Asked], list[Any]]


def market_of(exchange: FakeExchange, args: Row) -> Market:
    """Return the market of a query; 51001 where there is none."""
    return exchange.matching.intake.market(args.get("instId"))


def markets_of(exchange: FakeExchange, args: Row) -> list[Market]:
    """Return the markets of a query, all of them where it names none."""
    if args.get("instId"):
        return [market_of(exchange, {"instId": each}) for each in str(args["instId"]).split(",")]
    return list(exchange.markets.values())


def whole(args: Row, name: str) -> int | None:
    """Return a whole number of a query; 51000 where it is none."""
    given = str(args.get(name) or "")
    if given and not given.isdigit():
        raise Refused("51000", f"Parameter {name} error")
    return int(given) if given else None


def chosen(rows: list[Row], args: Row, keys: Iterable[str], time: str) -> list[Row]:
    """Return the rows that fit a query, from begin to end, both included."""
    begin, end = whole(args, "begin"), whole(args, "end")
    return [
        row for row in rows
        if all(row[key] in str(args[key]).split(",") for key in keys if args.get(key))
        and (begin is None or int(row[time]) >= begin) and (end is None or int(row[time]) <= end)
    ]  # fmt: skip


def page(rows: list[Row], key: str, args: Row, most: int) -> list[Row]:
    """Return the newest rows that are older than ``after`` and newer than ``before``."""
    after, before = whole(args, "after"), whole(args, "before")
    kept = [
        row for row in rows
        if (after is None or int(row[key]) < after) and (before is None or int(row[key]) > before)
    ]  # fmt: skip
    return kept[: min(whole(args, "limit") or 100, most)]
