"""A strategy that decides bar by bar with backtrader's own indicators."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from cryptosim_bt import SignalStrategy, register_strategy


@register_strategy("rsi_dip")
class RsiDip(SignalStrategy):
    """Buy oversold bars above a moving average, sell overbought ones below it.

    It shows the other road of a plugin: no table of signals, but `signal` at every bar and any
    backtrader indicator.

    Params:

      - ``rsi_period``: bars of the RSI
      - ``trend_period``: bars of the exponential mean that tells the trend
      - ``oversold``, ``overbought``: RSI levels, 0 to 100
    """

    params = (
        ("rsi_period", 14),
        ("trend_period", 200),
        ("oversold", 35.0),
        ("overbought", 65.0),
    )

    @classmethod
    def check_params(cls, params: Any) -> str | None:
        """Require levels in order."""
        if min(params.rsi_period, params.trend_period) < 2:
            return "rsi_period and trend_period: allowed: 2 or more bars"
        if not 0 < params.oversold < params.overbought < 100:
            return (
                f"oversold was {params.oversold}, overbought {params.overbought}; allowed: "
                "0 < oversold < overbought < 100"
            )
        return None

    @classmethod
    def warmup(cls, params: Any) -> int:
        """Return the bars after which both indicators have values."""
        return int(max(params.trend_period, params.rsi_period + 1))

    def __init__(self) -> None:
        super().__init__()
        self.rsi = bt.indicators.RSI_Safe(self.data.close, period=self.p.rsi_period)
        self.trend = bt.indicators.EMA(self.data.close, period=self.p.trend_period)

    def signal(self) -> int:
        """Return 1 on a dip in an up-trend, -1 on a rally in a down-trend."""
        close = self.data.close[0]
        if close > self.trend[0] and self.rsi[0] < self.p.oversold:
            return 1
        if close < self.trend[0] and self.rsi[0] > self.p.overbought:
            return -1
        return 0
