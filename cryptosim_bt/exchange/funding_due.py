"""Funding that falls due, bar by bar (R22)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptosim_bt.accounting.contracts import SIDES
from cryptosim_bt.accounting.orders import FundingPayment
from cryptosim_bt.exchange.exchange_state import ExchangeState


class FundingDue:
    """Charges the legs at the times of funding: ``rates`` are (epoch ms, rate) in order of time.

    Attributes
    ----------
    exposure
        Long notional minus short notional at each time, as it was charged (R48).
    late
        Number of funding times in gaps of the bars, charged after the gap.
    next_ms
        The next time; infinite after the last.
    """

    def __init__(self, state: ExchangeState, rates: Sequence[tuple[int, float]]) -> None:
        self._state = state
        # Times in reverse, so that the next one is popped off the end.
        self._rates = list(reversed(rates))
        self.exposure: dict[int, float] = {}
        self.late = 0
        self.next_ms = self._next_ms()

    def charge(self, mark_open: float) -> None:
        """Let the legs held before the bar's fills pay, at the (mark's) open.

        Funding due in a gap of the bars is charged here too: nothing fills in a gap, so the legs
        are those held then.
        """
        state, account = self._state, self._state.account
        end_ms = state.time_ms + state.bar_ms
        while self._rates and self._rates[-1][0] < end_ms:
            due_ms, rate = self._rates.pop()
            if account.flat:
                continue
            notional = account.scheme.notional
            long, short = (notional(account.legs[side].contracts, mark_open) for side in SIDES)
            self.exposure[due_ms] = long - short
            if rate == 0.0:
                continue
            self.late += due_ms < state.time_ms
            self._pay(due_ms, rate, mark_open)
            account.back_margins()
            state.quiet = None
        self.next_ms = self._next_ms()

    def _pay(self, due_ms: int, rate: float, mark_open: float) -> None:
        account = self._state.account
        for leg in account.legs.values():
            if leg.contracts:
                payment = account.fund(leg.side, mark_open, rate)
                self._state.listener.funded(
                    FundingPayment(
                        time_ms=self._state.time_ms,
                        due_ms=due_ms,
                        side=leg.side,
                        rate=rate,
                        price=mark_open,
                        contracts=leg.contracts,
                        payment=payment,
                        balance=account.balance,
                    )
                )

    def _next_ms(self) -> float:
        return self._rates[-1][0] if self._rates else float("inf")
