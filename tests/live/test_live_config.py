"""The keys of paper and live trading, and what is refused before any order."""

from __future__ import annotations

import pytest

from cryptosim_bt import SHIPPED_CONFIGS
from cryptosim_bt.config.settings import load_keys
from cryptosim_bt.errors import ConfigError

CONFIG = SHIPPED_CONFIGS / "config.yaml"
REAL = "exchange.trade_mode=real"


def keys(*overrides):
    return load_keys(CONFIG, overrides)


def test_every_mode_reads_the_one_configuration():
    for mode in ("backtest", "paper", "live"):
        found = keys(f"mode={mode}")
        assert found.mode == mode
        assert found.exchange.trade_mode == "demo"
        assert found.live.on_stop == "keep"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("exchange.rest_url=http://127.0.0.1:8000", "rest_url"),
        ("exchange.ws_url=ws://127.0.0.1:8000/ws/v5", "ws_url"),
        ("exchange.time_scale=60", "time_scale"),
        ("exchange.rest_url=https://okx.com.example.org", "rest_url"),
        ("exchange.rest_url=https://notokx.com", "rest_url"),
        ("exchange.rest_url=http://www.okx.com", "rest_url"),
        ("exchange.rest_url=https://www.okx.com@example.org", "rest_url"),
        ("exchange.ws_url=ws://ws.okx.com:8443/ws/v5", "ws_url"),
    ],
)
def test_real_money_meets_the_venues_own_hosts_only(given, said):
    keys(given)  # demo
    with pytest.raises(ConfigError, match=f"{said}: was .* with trade_mode: real; allowed"):
        keys(given, REAL)


@pytest.mark.parametrize(
    "given",
    ["exchange.rest_url=https://eea.okx.com", "exchange.ws_url=wss://wseea.okx.com:8443/ws/v5",
     "exchange.time_scale=1"],
)  # fmt: skip
def test_real_money_may_name_a_region(given):
    assert keys(given, REAL).exchange.trade_mode == "real"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("exchange.time_scale=0", "above 0"),
        ("exchange.ws_url=http://x", "allowed: ws://HOST"),
        ("live.on_stop=close", "'keep', 'cancel' or 'flatten'"),
        ("live.max_signal_age_s=0", "above 0"),
        ("live.limits.margin_ratio=1", "below 1"),
        ("live.jurnal=x", "did you mean journal"),
    ],
)
def test_wrong_values_name_the_key(given, said):
    with pytest.raises(ConfigError, match=said):
        keys(given)


def test_stop_loss_that_cannot_be_placed_is_refused_live():
    stop = ("trading.use_sl=true", "trading.stop_loss_pct=0.1")
    keys(*stop, "mode=paper")
    with pytest.raises(ConfigError, match=r"trading\.use_sl: was true with a stop-loss"):
        keys(*stop, "mode=live")
    keys(*stop[:1], "mode=live", "trading.stop_loss_pct=1")
