"""The scalar kernels that no contract object or fill rule is tested through (R8, R14, R16, R19)."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosim_bt import InverseContract, LinearContract
from cryptosim_bt.accounting import arithmetic
from cryptosim_bt.accounting.arithmetic import INVERSE, LINEAR, round10

SOURCE = Path(arithmetic.__file__)
# Numbers and tuples of them: what a compiler of numeric code takes.
NUMERIC = {"float", "int", "bool", "tuple[float, float]", "tuple[float, float, float]"}
# Floats of any number of terms are added in Python only; a compiled loop adds them itself.
NOT_A_KERNEL = {"sum_floats"}


def test_kernels_can_be_compiled() -> None:
    functions = [
        each for each in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(each, ast.FunctionDef) and each.name not in NOT_A_KERNEL
    ]  # fmt: skip
    assert len(functions) > 20
    for function in functions:
        taken = function.args
        types = [each.annotation for each in taken.args] + [function.returns]
        assert {each and ast.unparse(each) for each in types} <= NUMERIC, function.name
        assert [taken.kwonlyargs, taken.defaults, taken.vararg, taken.kwarg] == [[], [], None, None]
        assert not any(
            isinstance(node, ast.Raise | ast.Try | ast.With | ast.Lambda | ast.GeneratorExp
                       | ast.List | ast.ListComp | ast.Dict | ast.JoinedStr)
            for node in ast.walk(function)
        ), function.name  # fmt: skip


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0.1 * 3, 0.3),  # 0.30000000000000004
        (-0.1 * 3, -0.3),
        (94155.80000000001, 94155.8),
        (1 / 3, 0.3333333333),
        (0.0, 0.0),
        (439769.71216000005, 439769.71216),
        # From 2**19 on, the next double is further away than a half of the tenth decimal.
        (1_000_000.1000000001, 1_000_000.1000000001),
        (1e15 + 0.5, 1e15 + 0.5),
        (1e300, 1e300),
    ],
)
def test_rounding_to_ten_decimals(value: float, rounded: float) -> None:
    assert round10(value) == rounded


@given(
    steps=st.integers(1, 2**40),
    tick=st.sampled_from([0.5, 0.1, 0.05, 0.025, 0.01, 0.001, 0.0001, 1e-6, 1e-8]),
)
def test_price_on_a_tick_is_rounded_as_by_decimal_text(steps: int, tick: float) -> None:
    price = steps * tick
    if price < 262_144.0 or price >= 524_288.0:  # between them Python's own leaves some dust
        assert round10(price) == round(price, 10)


@pytest.mark.parametrize(
    ("is_buy", "limit", "low", "high", "through", "tick", "fills"),
    [
        # A buy fills where the low comes down to its limit, a sell where the high comes up to it.
        (True, 100.0, 100.0, 110.0, False, 0.5, True),
        (True, 99.5, 100.0, 110.0, False, 0.5, False),
        (False, 110.0, 100.0, 110.0, False, 0.5, True),
        (False, 110.5, 100.0, 110.0, False, 0.5, False),
        # Through: a tick beyond.
        (True, 100.0, 100.0, 110.0, True, 0.5, False),
        (True, 100.5, 100.0, 110.0, True, 0.5, True),
        (False, 110.0, 100.0, 110.0, True, 0.5, False),
        (False, 109.5, 100.0, 110.0, True, 0.5, True),
        (True, 0.3, 0.2, 1.0, True, 0.1, True),  # 0.3 - 0.1 = 0.19999999999999998
        # Through without a tick: anything beyond.
        (True, 100.0, 100.0, 110.0, True, 0.0, False),
        (False, 109.9, 100.0, 110.0, True, 0.0, True),
    ],
)
def test_touch_of_a_limit(
    is_buy: bool, limit: float, low: float, high: float, through: bool, tick: float, fills: bool
) -> None:
    assert arithmetic.touched(is_buy, limit, low, high, through, tick) is fills


@pytest.mark.parametrize(
    ("is_buy", "slippage", "share_of_range", "tick", "price"),
    [
        (True, 0.001, 0.0, 0.5, 1001.0),  # 1000 + 1
        (False, 0.001, 0.0, 0.5, 999.0),
        (True, 0.0, 0.1, 0.5, 1002.0),  # 1000 + 0.1 * (1010 - 990)
        (False, 0.001, 0.1, 0.5, 997.0),  # 1000 - 1 - 2
        (True, 0.0001, 0.0, 0.5, 1000.5),  # 1000.1, up to the tick
        (False, 0.0001, 0.0, 0.5, 999.5),  # 999.9, down to the tick
        (True, 0.0001, 0.0, 0.0, 1000.1),
    ],
)
def test_slippage_goes_against_the_trader(
    is_buy: bool, slippage: float, share_of_range: float, tick: float, price: float
) -> None:
    moved = arithmetic.slipped(is_buy, 1000.0, 990.0, 1010.0, slippage, share_of_range, tick)
    assert moved == pytest.approx(price, rel=1e-12)


positive = st.floats(1e-3, 1e6, allow_nan=False)


@given(first=positive, price=positive, second=positive, other=positive)
def test_average_of_two_is_that_of_the_contract(
    first: float, price: float, second: float, other: float
) -> None:
    for formula, contract in ((INVERSE, InverseContract()), (LINEAR, LinearContract())):
        fills = [(first, price), (second, other)]
        two = arithmetic.average_of_two(formula, first, price, second, other)
        assert two == contract.average_entry(fills)


def test_break_even_without_a_price_is_infinite() -> None:
    # An inverse long whose costs are its whole entry value: V / entry = paid.
    assert arithmetic.break_even(INVERSE, 1, 100.0, 50.0, 0.0005, 2.0) == math.inf
