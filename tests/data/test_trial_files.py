"""One month of bars in every form in which people had it: the reference's run comes out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cryptosim_bt import load_settings
from cryptosim_bt.backtest.prepare import prepare
from cryptosim_bt.backtest.run import execute
from cryptosim_bt.errors import DataError
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.results.result import Result
from tests.helpers import DATA, without_analyzers

TRIALS = DATA.parent / "trials"
FURTHER = {
    "naive_kst.csv": ("data.timezone=Asia/Seoul",),
    "volume_eth_style.csv": ("backtest.fill.max_volume_share=0.1", "data.volume_unit=base"),
}

pytestmark = pytest.mark.skipif(
    not TRIALS.is_dir(), reason=f"no {TRIALS}: the trials stand beside the recorded market data"
)


def run(config: Path, *overrides: str) -> Result:
    settings = without_analyzers(load_settings(config, overrides))
    paths = [settings.directory / path for path in settings.keys.plugins]
    result, _ = execute(prepare(settings, discover([settings.directory], paths)))
    return result


@pytest.fixture(scope="module")
def reference() -> Result:
    """A run on the plain file: 157 fills, and 23.77 % on 10,000 USDT."""
    found = run(TRIALS / "cfg.yaml")
    assert found.summary["total_return"] == pytest.approx(0.2377, abs=5e-4)
    return found


@pytest.mark.parametrize("path", sorted(TRIALS.glob("files/*")), ids=lambda path: str(path.name))
def test_file_of_people_gives_the_fills_of_the_reference(path: Path, reference: Result) -> None:
    result = run(TRIALS / "cfg.yaml", f"data.path={path}", *FURTHER.get(path.name, ()))
    pd.testing.assert_frame_equal(result.fills, reference.fills)
    assert result.summary["total_return"] == reference.summary["total_return"]


def test_share_of_a_volume_that_is_not_there_is_refused(tmp_path: Path) -> None:
    rows = (TRIALS / "ref.csv").read_text(encoding="utf-8").splitlines()
    without = tmp_path / "bars.csv"
    without.write_text("\n".join(row.rpartition(",")[0] for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"max_volume_share: 0\.1 of the volume .* have none"):
        run(TRIALS / "cfg.yaml", f"data.path={without}", *FURTHER["volume_eth_style.csv"])


@pytest.mark.parametrize(
    ("name", "paid"),
    [
        ("f_8h.csv", 43.051815),
        ("f_8h_then_1h.csv", 43.07912275),
        ("f_okx_realized.csv", 43.051815),
        ("f_bybit.csv", 43.051815),
        ("f_binance_web_percent.csv", 43.051815),
    ],
)
def test_funding_file_of_people_is_paid(name: str, paid: float) -> None:
    # One long of 0.1 BTC, 15 days of three rates of 0.01 %: about 45 * 0.1 * 0.0001 * 95,671.
    overrides = ("trading.use_tp=false", "trading.position_size=0.1")
    result = run(
        TRIALS / "funding" / "cfg.yaml",
        f"backtest.funding.path={TRIALS / 'funding' / name}", *overrides,
    )  # fmt: skip
    assert result.summary["funding_paid"] == pytest.approx(paid, rel=1e-9)


@pytest.mark.parametrize("finer", [0, 2, 5, 7])
def test_prices_of_any_scale_give_the_same_run(
    tmp_path: Path, finer: int, reference: Result
) -> None:
    # The tick goes from 1e-11 to 1e-18; contracts grow as prices shrink, so money stays the same.
    rows = (TRIALS / "sats.csv").read_text(encoding="utf-8").splitlines()
    scaled = [rows[0]]
    for row in rows[1:]:
        moment, *prices, volume = row.split(",")
        scaled.append(",".join([moment, *(f"{price}e-{finer}" for price in prices), volume]))
    path = tmp_path / "bars.csv"
    path.write_text("\n".join(scaled), encoding="utf-8")
    result = run(
        TRIALS / "cfg.yaml", f"data.path={path}", "trading.symbol=SATS/USDT:USDT",
        f"instrument.tick=1e-{11 + finer}", f"instrument.contract_size=1e{7 + finer}",
        "instrument.lot=0.1", "instrument.maintenance_margin_rate=0.004",
        f"trading.position_size=3.57e{9 + finer}", "backtest.fees.maker=0.0002",
        "backtest.fees.taker=0.0005",
    )  # fmt: skip
    # Sizes on other lots: about the same fills.
    assert len(result.fills) == pytest.approx(len(reference.fills), abs=2)
    found = reference.summary["total_return"]
    assert result.summary["total_return"] == pytest.approx(found, rel=0.01)
