"""``trading.position_mode``: one-way mode is not for signal strategies, and says so."""

from __future__ import annotations

import pytest

from cryptosim_bt import SHIPPED_CONFIGS, ConfigError, load_settings


def test_position_mode_net_is_refused_with_the_reason_and_the_cure():
    with pytest.raises(ConfigError, match=r"trading\.position_mode: was 'net'; .*FuturesBroker"):
        load_settings(SHIPPED_CONFIGS / "config.yaml", ["trading.position_mode=net"])
