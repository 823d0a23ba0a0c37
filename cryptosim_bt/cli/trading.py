"""The commands about trading on paper and live."""

from __future__ import annotations

from cryptosim_bt.config.settings import Settings
from cryptosim_bt.errors import ConfigError


def trade(settings: Settings, *, yes_real_money: bool) -> None:
    """Trade until told to stop.

    Raises
    ------
    ConfigError
        If real money is asked for by the configuration alone.
    """
    exchange = settings.keys.exchange
    if settings.keys.mode == "live" and exchange.trade_mode == "real" and not yes_real_money:
        raise ConfigError(
            f"{settings.place('exchange', 'trade_mode')}: was 'real'; give --yes-real-money as "
            "well, or use demo"
        )
    raise ConfigError(
        f"{settings.place('mode')}: was {settings.keys.mode!r}, which is not available yet; "
        "allowed now: backtest"
    )
