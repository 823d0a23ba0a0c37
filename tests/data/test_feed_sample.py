"""The made-up market: always the same, plausible, and with something to do in January 2025."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.data.bars import check_bars, select_window
from cryptosim_bt.data.feed import DataRequest
from cryptosim_bt.errors import DataError
from cryptosim_bt.feeds.sample import SampleFeed

START = pd.Timestamp("2025-01-01", tz="Asia/Seoul").tz_convert("UTC")
END = pd.Timestamp("2025-02-01", tz="Asia/Seoul").tz_convert("UTC")


def load(timeframe: str = "1h") -> pd.DataFrame:
    return SampleFeed().load(DataRequest("BTC/USD:BTC", timeframe, START, END, warmup=720))


def january(bars: pd.DataFrame) -> np.ndarray:
    return (bars.index >= START) & (bars.index < END)


def test_sample_feed_covers_four_months_of_hours():
    bars = load()
    assert len(bars) == (30 + 31 + 31 + 28) * 24
    assert bars.index[0] == pd.Timestamp("2024-11-01", tz="UTC")
    assert bars.index[-1] == pd.Timestamp("2025-02-28 23:00", tz="UTC")
    check_bars(bars, "1h", "sample", "error")


def test_sample_feed_is_the_same_on_every_machine():
    ticks = np.rint(load().to_numpy() * 10).astype("<i8")
    # Prices and volumes times ten. Who changes the sample says so in the changelog.
    digest = hashlib.sha256(ticks.tobytes()).hexdigest()
    assert digest == "136201e084be036cffc18037e55fc0e3258a2fae629c49c6e73f316074b8c74f"


def test_sample_feed_prices_are_plausible_and_on_the_tick():
    bars = load()
    prices = bars[["open", "high", "low", "close"]]
    assert 60_000 < prices.min().min() < prices.max().max() < 110_000
    assert abs(bars["open"].iloc[0] - 70_000) < 100
    # Exactly the float nearest to a multiple of 0.1: no dust.
    assert prices.eq(prices.round(1)).all().all()
    assert bars["volume"].gt(0).all()


def test_sample_feed_volatility_comes_in_clusters_but_returns_do_not_repeat():
    returns = load()["close"].pct_change().dropna()
    assert 0.002 < returns.std() < 0.008  # an hour of BTC: about half a percent
    assert returns.abs().autocorr(1) > 0.2
    assert abs(returns.autocorr(1)) < 0.1


@pytest.mark.parametrize(
    ("timeframe", "hours"), [("2h", 2), ("4h", 4), ("6h", 6), ("12h", 12), ("1d", 24)]
)
def test_sample_feed_longer_timeframes_sum_up_the_hours(timeframe, hours):
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    summed = load().resample(f"{hours}h").agg(how)
    pd.testing.assert_frame_equal(load(timeframe), summed, check_freq=False, check_exact=True)


@pytest.mark.parametrize("timeframe", ["1m", "3m", "5m", "15m", "30m"])
def test_sample_feed_shorter_timeframes_are_refused(timeframe):
    with pytest.raises(DataError, match=f"sample has 1h bars, not {timeframe}"):
        load(timeframe)


def test_sample_feed_january_in_seoul_has_its_warmup():
    loaded, warmup = select_window(load(), START, END, 720, "1h", "error", "sample")
    assert (warmup, len(loaded)) == (720, 720 + 744)


def test_sample_feed_january_has_dips_in_a_rise_and_rallies_in_a_fall():  # R6, 24/720
    bars = load()
    close = bars["close"]
    short, long = close.rolling(24).mean(), close.rolling(720).mean()
    rising = long > long.shift()
    enter_long = (short > long) & rising & (close < close.shift())
    enter_short = (short < long) & ~rising & (close > close.shift())
    assert enter_long[january(bars)].sum() > 50
    assert enter_short[january(bars)].sum() > 50


@pytest.mark.parametrize("side", ["long", "short"])
def test_sample_feed_january_moves_two_percent_within_days(side):
    close = load()["close"][january(load())]
    move = close.shift(-72) / close - 1
    reached = move > 0.02 if side == "long" else move < -0.02
    assert reached.sum() > 50


def test_sample_feed_describe_says_synthetic():
    described = SampleFeed().describe(DataRequest("BTC/USD:BTC", "1h", START, END, warmup=720))
    assert (described.source, described.file, described.sha256) == ("sample", None, None)
    assert described.synthetic
