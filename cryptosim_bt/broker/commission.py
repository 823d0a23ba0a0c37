"""The contracts of `contracts.py` as backtrader commission schemes.

`FuturesBroker` asks the data's scheme for every fee, margin and PnL, so a scheme of the user's own
takes effect: a subclass of `FuturesCommission`, or any backtrader ``CommInfoBase``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import backtrader as bt

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.contracts import (
    FirstCryptoSimContract,
    InverseContract,
    Leg,
    LinearContract,
    LiquidationRegion,
    Side,
    sign,
    weighted_average,
)
from cryptosim_bt.accounting.maintenance_tiers import MaintenanceTiers, liquidation_region
from cryptosim_bt.accounting.money import MoneyScheme
from cryptosim_bt.accounting.orders import Liquidity
from cryptosim_bt.errors import InputError


class FuturesCommission(bt.CommInfoBase):
    """Fees, margin and PnL of a linear or inverse perpetual.

    Override backtrader's hooks as in any scheme (``_getcommission``, ``get_margin``,
    ``profitandloss``); what is overridden is asked, the rest follows the contract.

    Params:

      - ``contract``: an ``InverseContract`` or ``LinearContract``
      - ``maker``, ``taker``: fee rates, fractions of notional
      - ``futures_leverage``: notional / initial margin
      - ``maintenance_margin_rate``: fraction of notional that a leg needs to be kept
      - ``tiers``: `MaintenanceTiers` in place of that one rate
      - ``liquidation_fee_rate``: fraction of notional taken at a liquidation
    """

    params = (
        ("contract", InverseContract()),
        ("maker", 0.0),
        ("taker", 0.0),
        ("futures_leverage", 1.0),
        ("maintenance_margin_rate", 0.0),
        ("tiers", None),
        ("liquidation_fee_rate", 0.0),
        ("stocklike", False),
        ("commtype", bt.CommInfoBase.COMM_PERC),
        ("percabs", True),
    )

    def __init__(self) -> None:
        super().__init__()
        self._contract: InverseContract | LinearContract = self.p.contract
        if self.p.commission not in (0.0, self.p.taker):
            raise InputError(
                f"FuturesCommission: commission was {self.p.commission!r}; give the rates of both "
                "kinds of fills, maker= and taker="
            )
        # What scripts read of any scheme: the fee of a market order, coins of a contract where
        # their number is fixed, notional / margin; a margin independent of price does not exist.
        self.p.commission, self.p.leverage = self.p.taker, self.p.futures_leverage
        self.p.margin = None
        if isinstance(self._contract, LinearContract):
            self.p.mult = self._contract.contract_size
        rate, tiers = self.p.maintenance_margin_rate, self.p.tiers
        if tiers is not None and rate:
            raise InputError(
                f"FuturesCommission: maintenance_margin_rate was {rate} beside tiers, which have "
                "rates of their own; give one of the two"
            )
        self._tiers: MaintenanceTiers = tiers or MaintenanceTiers.single(rate)
        # A hook that nobody overrode is answered by the contract at once.
        self._own_fee = type(self)._getcommission is FuturesCommission._getcommission
        self._own_pnl = type(self).profitandloss is FuturesCommission.profitandloss
        self._own_margin = type(self).get_margin is FuturesCommission.get_margin
        self._leverage: float = self.p.futures_leverage

    # ------------------------------------------------------------------ backtrader's hooks
    def get_margin(self, price: float) -> float:
        """Return the initial margin of one contract at a price."""
        return self._contract.initial_margin(1.0, price, self._leverage)

    def profitandloss(self, size: float, price: float, newprice: float) -> float:
        """Return the PnL of a signed size from ``price`` to ``newprice``."""
        if not size:
            return 0.0
        return self._contract.pnl("long" if size > 0 else "short", abs(size), price, newprice)

    def cashadjust(self, size: float, price: float, newprice: float) -> float:
        """Return the PnL of a signed size: futures settle it in cash."""
        return self.profitandloss(size, price, newprice)

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        """Return the taker fee; `fee` knows maker and taker apart."""
        return self._contract.fee(abs(size), price, self.p.taker)

    def getsize(self, price: float, cash: float) -> float:
        """Return the contracts that an amount of cash can open at a price."""
        return cash / self.get_margin(price)

    # ------------------------------------------------------------------ MoneyScheme
    @property
    def by_group(self) -> bool:
        """Whether PnL is summed over groups (``linear_pnl: cryptosim``)."""
        return isinstance(self._contract, FirstCryptoSimContract)

    def notional(self, contracts: float, price: float) -> float:
        """Return the value of contracts at a price."""
        return self._contract.notional(contracts, price)

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        """Return the PnL of a side's contracts, through `profitandloss`."""
        if self._own_pnl:
            return self._contract.pnl(side, contracts, entry, exit)
        return self.profitandloss(sign(side) * contracts, entry, exit)

    def average_entry(self, fills: Sequence[tuple[float, float]]) -> float:
        """Return the contract's average of pairs (contracts, price), at least one of them."""
        return weighted_average(self._contract, fills)

    def fee(self, contracts: float, price: float, liquidity: Liquidity) -> float:
        """Return the fee of a fill (R17); an overridden ``_getcommission`` decides alone."""
        if self._own_fee:
            rate = self.p.maker if liquidity is Liquidity.MAKER else self.p.taker
            return self._contract.fee(contracts, price, rate)
        return self.confirmexec(contracts, price)

    def initial_margin(self, contracts: float, price: float) -> float:
        """Return the initial margin of contracts, through `get_margin`."""
        if self._own_margin:
            return self._contract.initial_margin(contracts, price, self._leverage)
        return contracts * self.get_margin(price)

    def liquidation_fee(self, contracts: float, price: float) -> float:
        """Return what the exchange keeps of a liquidation, before it is capped (R23)."""
        return self._contract.notional(contracts, price) * self.p.liquidation_fee_rate

    def maintenance_margin(self, contracts: float, price: float) -> float:
        """Return what a leg needs to be kept, by its tier."""
        return self._tiers.requirement(self._contract, contracts, price)

    def liquidation_region(
        self, legs: Sequence[Leg], margin: float, price: float
    ) -> LiquidationRegion:
        """Return the prices of liquidation: closed form, or searched where PnL is overridden."""
        if self._own_pnl and self._own_fee:
            return liquidation_region(
                self._contract, legs, margin, self._tiers, self.p.taker, price
            )
        return search_region(self, legs, margin, price)


class PlainScheme:
    """Adapts any other backtrader scheme to `MoneyScheme`, as of a linear market.

    Its ``profitandloss``, ``getcommission`` and margin are asked for every figure. Notional is
    ``contracts * mult * price``. ``maintenance_margin_rate`` is the venue's; it is no part of a
    backtrader scheme.
    """

    by_group = False

    def __init__(self, comminfo: bt.CommInfoBase, maintenance_margin_rate: float = 0.0) -> None:
        self._comminfo = comminfo
        self._maintenance_margin_rate = maintenance_margin_rate
        self._linear = LinearContract(comminfo.p.mult)
        # A scheme that overrides neither has a closed form for its liquidation.
        self._closed_form = (
            type(comminfo).profitandloss is bt.CommInfoBase.profitandloss
            and type(comminfo)._getcommission is bt.CommInfoBase._getcommission
        )

    def notional(self, contracts: float, price: float) -> float:
        return self._linear.notional(contracts, price)

    def pnl(self, side: Side, contracts: float, entry: float, exit: float) -> float:
        return float(self._comminfo.profitandloss(sign(side) * contracts, entry, exit))

    def average_entry(self, fills: Sequence[tuple[float, float]]) -> float:
        return weighted_average(self._linear, fills)

    def fee(self, contracts: float, price: float, liquidity: Liquidity) -> float:
        return float(self._comminfo.confirmexec(contracts, price))

    def initial_margin(self, contracts: float, price: float) -> float:
        cost = float(self._comminfo.getoperationcost(contracts, price))
        return cost / self._comminfo.get_leverage()

    def liquidation_fee(self, contracts: float, price: float) -> float:
        return self.notional(contracts, price) * self._maintenance_margin_rate

    def maintenance_margin(self, contracts: float, price: float) -> float:
        return self.notional(contracts, price) * self._maintenance_margin_rate

    def liquidation_region(
        self, legs: Sequence[Leg], margin: float, price: float
    ) -> LiquidationRegion:
        if not self._closed_form:
            return search_region(self, legs, margin, price)
        fixed, taker = 0.0, 0.0
        if self._comminfo._commtype == bt.CommInfoBase.COMM_PERC:
            # backtrader's percentage is of price, without the multiplier.
            taker = self._comminfo.p.commission / self._comminfo.p.mult
        else:
            fixed = self._comminfo.p.commission * sum_floats(leg.contracts for leg in legs)
        rate = self._maintenance_margin_rate
        return self._linear.liquidation_region(legs, margin - fixed, rate, taker)


def scheme_of(comminfo: bt.CommInfoBase, maintenance_margin_rate: float = 0.0) -> MoneyScheme:
    """Return a backtrader scheme as a `MoneyScheme`, wrapped where needed."""
    if isinstance(comminfo, FuturesCommission):
        return comminfo
    return PlainScheme(comminfo, maintenance_margin_rate)


# A search looks this many times below and above the price, in steps of 1 %.
_SEARCH_SPAN = 1000.0
_SEARCH_STEP = 1.01


def search_region(
    scheme: MoneyScheme, legs: Sequence[Leg], margin: float, price: float
) -> LiquidationRegion:
    """Return the prices of liquidation of a scheme without a closed form.

    Walks from ``price`` outwards in steps of 1 % to a thousandth and a thousandfold, and bisects
    the first step in which equity falls to the requirement.
    """

    def excess(at: float) -> float:
        total = margin
        for leg in legs:
            if leg.contracts:
                total += scheme.pnl(leg.side, leg.contracts, leg.entry, at)
                total -= scheme.maintenance_margin(leg.contracts, at)
                total -= scheme.fee(leg.contracts, at, Liquidity.TAKER)
        return total

    if not any(leg.contracts for leg in legs):
        return LiquidationRegion(-math.inf, math.inf)
    if excess(price) <= 0.0:
        return LiquidationRegion(math.inf, math.inf)
    lower = _first_crossing(excess, price, 1.0 / _SEARCH_STEP)
    upper = _first_crossing(excess, price, _SEARCH_STEP)
    return LiquidationRegion(
        -math.inf if lower is None else lower, math.inf if upper is None else upper
    )


def _first_crossing(
    excess: Callable[[float], float], start: float, step: float
) -> float | None:
    inside = start
    while start / _SEARCH_SPAN < inside < start * _SEARCH_SPAN:
        outside = inside * step
        if excess(outside) <= 0.0:
            while abs(outside - inside) > 1e-12 * start:
                middle = 0.5 * (inside + outside)
                if excess(middle) <= 0.0:
                    outside = middle
                else:
                    inside = middle
            return outside
        inside = outside
    return None
