"""Calls of stock BackBroker that scripts make, beside orders and money.

A call that would silently give other figures than the script expects raises an error.
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
    startingcash: float
    check_margin = True
    _shares = 1.0

    def _settings_change(self, call: str) -> None:
        """Handle a call that changes what an account is opened with."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the account
    def setcash(self, cash: float) -> None:
        """Set the initial balance, before the run or in a strategy before its first bar."""
        self.p.cash = self.startingcash = cash
        self._settings_change("setcash")

    set_cash = setcash

    def setcommission(self, *args: Any, **options: Any) -> None:
        """Make a backtrader scheme that of a data, before the first bar; see ``BrokerBase``."""
        super().setcommission(*args, **options)  # type: ignore[misc]  # of the broker beside us
        self._settings_change("setcommission")

    def addcommissioninfo(self, comminfo: bt.CommInfoBase, name: str | None = None) -> None:
        """Make a scheme that of a data, before the first bar."""
        super().addcommissioninfo(comminfo, name)  # type: ignore[misc]
        self._settings_change("addcommissioninfo")

    # ------------------------------------------------------------------ a fund
    def set_fundmode(self, fundmode: bool, fundstartval: float | None = None) -> None:
        """Choose whether analyzers use the value of a fund share, and its initial value."""
        self.p.fundmode = fundmode
        if fundstartval is not None:
            self.set_fundstartval(fundstartval)

    def get_fundmode(self) -> bool:
        """Return whether analyzers use the value of a fund share."""
        return bool(self.p.fundmode)

    def set_fundstartval(self, fundstartval: float) -> None:
        """Set the value of a share at the start, in settlement currency: of the next run."""
        self.p.fundstartval = fundstartval

    def get_fundshares(self) -> float:
        """Return how many shares there are: of the initial balance, and of what `add_cash` paid."""
        return self._shares

    def get_fundvalue(self) -> float:
        """Return the equity of a share."""
        return float(self.getvalue() / self._shares)  # type: ignore[attr-defined]

    fundmode = property(get_fundmode, set_fundmode)
    fundshares = property(get_fundshares)
    fundvalue = property(get_fundvalue)

    # ------------------------------------------------------------------ what is held and sent
    def get_value_lever(
        self, datas: list[bt.feed.DataBase] | None = None, mkt: bool = False
    ) -> float:
        """Return ``getvalue``, as BackBroker does."""
        return float(self.getvalue(datas))  # type: ignore[attr-defined]

    def orderstatus(self, order: bt.Order) -> int:
        """Return the status that an order has now, however old the copy of it."""
        working = self.get_orders_open()  # type: ignore[attr-defined]
        return next((each for each in working if each == order), order).status

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

    def set_int2pnl(self, int2pnl: bool) -> None:
        """Do nothing: a scheme that charges interest is refused."""

    def set_eosbar(self, eosbar: bool) -> None:
        """Do nothing, as BackBroker, which has the switch and ignores it."""

    seteosbar = set_eosbar

    def set_shortcash(self, shortcash: bool) -> None:
        """Refuse to let a stock-like short sale cost cash."""
        if not shortcash:
            raise InputError(
                "broker.set_shortcash: was False; a short position needs the margin of its scheme, "
                "and a stock-like scheme's short brings cash in: leave it True"
            )

    def get_leverage(self) -> float:
        """Refuse: each scheme has a leverage of its own."""
        raise InputError(
            "broker.get_leverage: ask the scheme, broker.getcommissioninfo(data).get_leverage()"
        )

    def add_order_history(self, orders: Any, notify: bool = False) -> None:
        """Refuse orders of the past."""
        raise InputError("add_order_history: orders of the past are not available; send them")

    def set_fund_history(self, fund: Any) -> None:
        """Refuse a value that does not come from orders."""
        raise InputError("set_fund_history: the account's value comes from its fills alone")

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
        self._settings_change("set_slippage_perc")

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
                "open; leave cheat_on_open off, or give Cerebro broker_coo=False: orders of "
                "next_open() then take part from the next bar"
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
        For a replayed data, a scheme that charges interest or has no margin to isolate, and for
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
