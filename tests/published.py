"""The contracts of published examples, and how an answer is held against a published figure."""

from decimal import Decimal

import pytest

from cryptosim_bt.accounting.contracts import InverseContract, LinearContract

INVERSE_1 = InverseContract(contract_size=1.0)
INVERSE_10 = InverseContract(contract_size=10.0)  # OKX ETH-USD
INVERSE_100 = InverseContract(contract_size=100.0)  # OKX BTC-USD, Binance BTCUSD
LINEAR_MILLI = LinearContract(contract_size=0.001)  # OKX LTC-USDT as recorded
LINEAR_CENTI = LinearContract(contract_size=0.01)  # OKX BTC-USDT
LINEAR_1 = LinearContract(contract_size=1.0)


def row(source_and_title, *values):
    return pytest.param(*values, id=source_and_title)


def assert_matches(actual, published, recomputed):
    """Hold a result against the published digits and against our 40-digit recomputation."""
    assert actual == pytest.approx(float(recomputed), rel=1e-9, abs=0.0)
    half_of_last_digit = 0.5 * 10.0 ** Decimal(published).as_tuple().exponent
    float_resolution = 1e-12 * abs(float(published))
    assert abs(actual - float(published)) <= half_of_last_digit + float_resolution
