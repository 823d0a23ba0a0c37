"""The sizer and the entry's limit (R7-R9)."""

from __future__ import annotations

import pytest

from cryptosim_bt.backtest.run import execute
from tests.helpers import PLAIN, changed, flat_hours, prepared_run


@pytest.mark.parametrize(
    ("signal", "close", "limit"),
    [(1, 100.3, 100.0), (-1, 100.3, 100.5), (1, 100.5, 100.5), (-1, 100.5, 100.5)],
)
def test_entry_limit_is_rounded_away_from_the_market(
    signal: int, close: float, limit: float
) -> None:
    rules = changed(PLAIN, tick=0.5, price_improvement=False)
    result, _ = execute(prepared_run(flat_hours(1, close), [signal], rules))
    assert result.orders["price"].tolist() == [limit]


@pytest.mark.parametrize(
    ("lot", "contracts"),
    # 1.0 coin at a limit of 250.0 (a close of 250.3, down) holds 250 USD: 2.5 contracts of 100.
    [(1.0, 2.0), (0.5, 2.5), (0.0, 2.5), (0.4, 2.4)],
)
def test_entry_of_a_run_has_the_sizers_contracts(lot: float, contracts: float) -> None:
    bars = flat_hours(3, 250.3)
    rules = changed(
        PLAIN, contract="inverse", contract_size=100.0, lot=lot, min_contracts=0.0,
        order_cancel_timeout=1.0, entry_fill="signal_close",
    )  # fmt: skip
    result, _ = execute(prepared_run(bars, [1, 0, 0], rules))
    assert result.fills["contracts"].tolist() == pytest.approx([contracts], abs=1e-10)
    assert result.fills["price"].tolist() == [250.0]
