"""What scripts written for stock BackBroker ask of a broker beside orders and money.

What would silently give other figures than the script expects is refused with an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import backtrader as bt

from cryptosim_bt.accounting.contracts import LinearContract
from cryptosim_bt.accounting.instrument import Instrument, VolumeUnit
from cryptosim_bt.broker.commission import FuturesCommission
from cryptosim_bt.errors import DataError, InputError

# A linear market without grids: one contract is one coin.
PLAIN_INSTRUMENT = Instrument(
    symbol="BASE/QUOTE:QUOTE",
    kind="linear",
    contract_size=1.0,
    lot=0.0,
    tick=0.0,
    min_contracts=0.0,
    maintenance_margin_rate=0.0,
    liquidation_fee_rate=0.0,
)


def default_commission(instrument: Instrument | None) -> FuturesCommission:
    """Return the scheme of a broker that was given none: no fees, leverage 1."""
    contract = LinearContract(1.0) if instrument is None else instrument.contract()
    return FuturesCommission(contract=contract)  # type: ignore[call-arg]  # by its metaclass


class StockBrokerCalls:
    """BackBroker's switches and properties, as far as they make sense on an exchange."""

    p: Any
    check_margin = True

    @property
    def cash(self) -> float:
        """The available balance, like ``getcash()``."""
        return self.getcash()  # type: ignore[attr-defined]

    @property
    def positions(self) -> dict[bt.feed.DataBase, bt.Position]:
        """The net position of each data of the Cerebro."""
        datas = self.cerebro.datas  # type: ignore[attr-defined]
        return {data: self.getposition(data) for data in datas}  # type: ignore[attr-defined]

    def set_checksubmit(self, checksubmit: bool) -> None:
        """Choose whether an order's margin is checked before it is accepted (default), too."""
        self.check_margin = checksubmit

    def set_slippage_perc(
        self,
        perc: float,
        slip_open: bool = True,
        slip_limit: bool = True,
        slip_match: bool = True,
        slip_out: bool = False,
    ) -> None:
        """Set the slippage of market and stop orders, a fraction of price (`FillRules`).

        The other arguments are taken and not used: slippage is not capped at the bar's high and
        low (pessimistic), and limit orders have none.
        """
        self.p.fill_rules = replace(self.p.fill_rules, slippage=perc)

    def set_slippage_fixed(self, fixed: float, *_: Any, **__: Any) -> None:
        """Refuse: slippage is a fraction of price."""
        if fixed:
            raise InputError("broker.set_slippage_fixed: use set_slippage_perc(fraction of price)")

    def set_coc(self, coc: bool) -> None:
        """Refuse cheat-on-close."""
        if coc:
            raise InputError(
                "broker.set_coc: an order reaches an exchange after the close that it was made "
                "at; leave cheat-on-close off"
            )

    def set_coo(self, coo: bool) -> None:
        """Refuse cheat-on-open."""
        if coo:
            raise InputError(
                "broker.set_coo: an order made with a bar's open in hand cannot fill at that "
                "open; leave cheat_on_open off"
            )

    def set_filler(self, filler: Any) -> None:
        """Refuse volume fillers."""
        if filler is not None:
            raise InputError(
                "broker.set_filler: volume fillers are not available; give the broker "
                "fill_rules=FillRules(max_volume_share=...)"
            )


def check_run(data: bt.feed.DataBase, comminfo: bt.CommInfoBase, params: Any) -> None:
    """Refuse what the broker, with its params, cannot simulate.

    Raises
    ------
    InputError
        For a replayed data, a scheme that charges interest or knows no margin to isolate, and for
        fill rules that the bars cannot show.
    """
    if data.replaying:
        raise InputError("replaydata: the broker matches whole bars; use the finer data itself")
    if comminfo.p.interest:
        raise InputError(
            f"setcommission: interest was {comminfo.p.interest!r}; a futures position pays "
            "funding instead: give the broker funding=[(epoch ms, rate), ...]"
        )
    if params.margin_mode == "isolated" and comminfo.stocklike:
        raise InputError(
            "margin_mode was 'isolated' with a stock-like scheme, which buys for cash and has no "
            "margin; give a FuturesCommission, or setcommission(margin=...)"
        )
    rules, bars = params.fill_rules, params.matching_bars
    if rules.latency_ms and bars is None:
        raise InputError(
            f"fill_rules.latency_ms was {rules.latency_ms}, which whole bars cannot show; give "
            "the broker finer matching_bars and matching_ms"
        )
    if rules.max_volume_share is not None and bars is not None and not bars.has_volume:
        raise InputError(
            f"fill_rules.max_volume_share was {rules.max_volume_share} with matching_bars that "
            "have no volume; give MatchingBars their volume in contracts"
        )


def traded_contracts(
    data: bt.feed.DataBase, instrument: Instrument | None, unit: VolumeUnit
) -> float:
    """Return the volume of a data's current bar in contracts (R34).

    Raises
    ------
    DataError
        If it is negative or missing.
    """
    volume, close = data.lines.volume[0], data.lines.close[0]
    if not volume >= 0.0:
        raise DataError(
            f"volume of the bar {data.datetime.datetime(0)} was {volume}; allowed: 0 or more, "
            "since fill_rules.max_volume_share counts it"
        )
    return float((instrument or PLAIN_INSTRUMENT).volume_contracts(volume, close, unit))
