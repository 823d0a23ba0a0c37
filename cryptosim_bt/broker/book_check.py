"""R21 in a simulation: the exchange's account and the strategy's own book must agree."""

from __future__ import annotations

from cryptosim_bt.accounting.account import Account
from cryptosim_bt.accounting.position_book import PositionBook
from cryptosim_bt.accounting.round_trips import RoundTrips
from cryptosim_bt.data.timeframe import iso_utc
from cryptosim_bt.errors import BooksDisagree

# The books agree to this share of the account.
BOOKS_TOLERANCE = 1e-9


class BookCheck:
    """Compares the two books at the close of bars in which one of them may have changed.

    Where the contracts of each leg are the sum over its groups, a move of the price changes both
    equities by the same amount: while neither book changes, they go on agreeing.
    """

    def __init__(
        self, account: Account, book: PositionBook | RoundTrips, initial_balance: float
    ) -> None:
        self._account = account
        self._book = book
        self._initial = initial_balance
        self._version = -1

    def at_close(self, mark: float, bar_ms: int) -> None:
        """Compare, if the account has changed since the last time (R21).

        Raises
        ------
        BooksDisagree
            If equity or the contracts of a leg differ.
        """
        account, book = self._account, self._book
        if account.version == self._version:
            return
        self._version = account.version
        equity, own = account.equity(mark), book.equity(mark)
        if abs(equity - own) > BOOKS_TOLERANCE * max(self._initial, abs(equity)):
            raise BooksDisagree(
                f"bar {iso_utc(bar_ms)}: the exchange's account has equity {equity!r}, the "
                f"strategy's book {own!r}"
            )
        for side, leg in account.legs.items():
            contracts = book.contracts(side)
            if abs(leg.contracts - contracts) > BOOKS_TOLERANCE * max(1.0, contracts):
                raise BooksDisagree(
                    f"bar {iso_utc(bar_ms)}: the {side} leg has {leg.contracts!r} contracts, the "
                    f"strategy's book {contracts!r}"
                )
