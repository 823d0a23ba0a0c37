"""The wire format of OKX v5: rows of strings, with the fields that recorded answers have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cryptosim_bt.accounting.arithmetic import sum_floats
from cryptosim_bt.accounting.instrument import Instrument
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.intake import MOST_CONTRACTS, MOST_CONTRACTS_MARKET
from cryptosim_bt.testing.ledger import Bill
from cryptosim_bt.testing.market import Candle, Market
from cryptosim_bt.testing.orders import Fill, Order, Position

Row = dict[str, Any]

_EMPTY_ORDER = dict.fromkeys(
    ("algoClOrdId", "algoId", "attachAlgoClOrdId", "cancelSourceReason", "pxType", "pxUsd", "pxVol",
     "quickMgnType", "slOrdPx", "slTriggerPx", "slTriggerPxType", "source", "stpId", "tgtCcy",
     "tpOrdPx", "tpTriggerPx", "tpTriggerPxType"), "")  # fmt: skip
_EMPTY_POSITION = dict.fromkeys(
    ("baseBal", "baseBorrowed", "baseInterest", "bizRefId", "bizRefType", "clSpotInUseAmt",
     "deltaBS", "deltaPA", "gammaBS", "gammaPA", "hedgedPos", "interest", "liab", "liabCcy",
     "maxSpotInUseAmt", "nonSettleAvgPx", "optVal", "pendingCloseOrdLiabVal", "posCcy", "quoteBal",
     "quoteBorrowed", "quoteInterest", "settledPnl", "spotInUseAmt", "spotInUseCcy", "thetaBS",
     "thetaPA", "vegaBS", "vegaPA"), "")  # fmt: skip
_EMPTY_INSTRUMENT = dict.fromkeys(
    ("alias", "auctionEndTime", "baseCcy", "contTdSwTime", "expTime", "maxMktAmt", "maxPlatOILmt",
     "openType", "optType", "posLmtAmt", "posLmtPct", "preMktSwTime", "quoteCcy", "stk"),
    "")  # fmt: skip
_EMPTY_DETAIL = dict.fromkeys(
    ("accAvgPx", "borrowFroz", "clSpotInUseAmt", "crossLiab", "isoLiab", "liab", "maxLoan",
     "maxSpotInUseAmt", "openAvgPx", "spotBal", "spotInUseAmt", "spotUpl", "spotUplRatio",
     "totalPnl", "totalPnlRatio", "uplLiab"), "")  # fmt: skip
_EMPTY_FILL = dict.fromkeys(
    ("fillPxVol", "fillFwdPx", "fillPxUsd", "fillMarkVol", "fillIdxPx"), "")  # fmt: skip


def text(value: float | None) -> str:
    """Return a number as OKX writes it: all its digits, no exponent; None is empty."""
    if value is None:
        return ""
    if value == 0.0:
        return "0"
    return format(Decimal(repr(float(value))), "f").removesuffix(".0")


def instrument_row(market: Market, code: int) -> Row:
    """Return a row of public/instruments."""
    instrument: Instrument = market.instrument
    inverse = instrument.kind == "inverse"
    most = text(MOST_CONTRACTS)
    return {
        **_EMPTY_INSTRUMENT, "category": "1", "ctMult": "1", "ctType": instrument.kind,
        "ctVal": text(instrument.contract_size),
        "ctValCcy": market.quote if inverse else market.base,
        "futureSettlement": False, "instFamily": market.family, "instId": market.inst_id,
        "instIdCode": code, "instType": "SWAP", "lever": "100", "listTime": "1535424203000",
        "lotSz": text(instrument.lot), "maxIcebergSz": most, "maxLmtAmt": "20000000",
        "maxLmtSz": most, "maxMktSz": text(MOST_CONTRACTS_MARKET),
        "maxStopSz": text(MOST_CONTRACTS_MARKET), "maxTriggerSz": most, "maxTwapSz": most,
        "minSz": text(instrument.min_contracts), "ruleType": "normal",
        "settleCcy": market.currency, "state": "live", "tickSz": text(instrument.tick),
        "tradeQuoteCcyList": [], "uly": market.family,
    }  # fmt: skip


def candle_row(market: Market, candle: Candle) -> list[str]:
    """Return a candle: time, prices, volume in contracts, coins and quote, whether finished."""
    instrument, price = market.instrument, candle.close
    contracts = instrument.volume_contracts(candle.volume, price, market.volume_unit)
    size = instrument.contract_size
    quote = contracts * size if instrument.kind == "inverse" else contracts * size * price
    prices = [text(each) for each in candle[1:5]]
    coins = candle.volume if market.volume_unit == "base" else quote / price
    volumes = [text(each) for each in (contracts, coins, quote)]
    return [str(candle.time_ms), *prices, *volumes, "1" if candle.finished else "0"]


def ticker_row(market: Market, now_ms: int) -> Row:
    """Return a ticker; bid a tick below the last price, ask at it."""
    last, day = market.price(now_ms), 86_400_000
    opens = now_ms - now_ms % 60_000 - day
    past = market.candle(opens, now_ms + 1 - opens, now_ms)
    high, low, first = (past.high, past.low, past.open) if past else (last, last, last)
    volume = past.volume if past else 0.0
    contracts = market.instrument.volume_contracts(volume, last, market.volume_unit)
    start = text(market.price(now_ms - now_ms % day))
    return {
        "instType": "SWAP", "instId": market.inst_id, "last": text(last), "lastSz": "1",
        "askPx": text(last), "askSz": "100", "bidPx": text(last - market.instrument.tick),
        "bidSz": "100", "open24h": text(first), "high24h": text(high), "low24h": text(low),
        "volCcy24h": text(volume), "vol24h": text(contracts), "sodUtc0": start, "sodUtc8": start,
        "ts": str(now_ms),
    }  # fmt: skip


def funding_row(market: Market, now_ms: int) -> Row:
    """Return the next funding."""
    due, rate, after = market.next_funding(now_ms)
    past = [each for each in market.funding if each[0] <= now_ms]
    return {
        "instType": "SWAP", "instId": market.inst_id, "method": "current_period",
        "fundingRate": text(rate), "fundingTime": str(due), "nextFundingRate": "",
        "nextFundingTime": str(after), "prevFundingTime": str(past[-1][0]) if past else "",
        "minFundingRate": "-0.00375", "maxFundingRate": "0.00375", "settState": "settled",
        "settFundingRate": text(past[-1][1]) if past else "", "interestRate": "0.0001",
        "premium": "0", "ts": str(now_ms),
    }  # fmt: skip


# ---------------------------------------------------------------------- the account
def position_row(exchange: FakeExchange, held: Position) -> Row:
    """Return a position at the mark and the last price of now."""
    now, market, contract = exchange.now_ms, held.market, held.market.contract
    mark, last, ledger = market.mark_price(now), market.price(now), exchange.ledger
    row: Row = {
        **_EMPTY_POSITION, "adl": "1", "ccy": market.currency, "instId": market.inst_id,
        "instType": "SWAP", "mgnMode": held.mode, "posId": held.pos_id, "posSide": held.pos_side,
        "lever": text(held.leverage), "cTime": str(held.created_ms), "uTime": str(held.updated_ms),
        "fee": text(-held.fee), "fundingFee": text(held.funding), "pnl": text(held.pnl),
        "liqPenalty": text(-held.penalty), "tradeId": held.trade_id, "closeOrderAlgo": [],
        "realizedPnl": text(held.pnl - held.fee + held.funding - held.penalty),
        "markPx": text(mark), "idxPx": text(mark), "usdPx": text(mark), "last": text(last),
    }  # fmt: skip
    if not held.contracts:
        zeros = dict.fromkeys(("pos", "availPos"), "0")
        figures = ("avgPx", "bePx", "imr", "margin", "mmr", "mgnRatio", "liqPx", "notionalUsd",
                   "upl", "uplLastPx", "uplRatio", "uplRatioLastPx")  # fmt: skip
        return {**row, **zeros, **dict.fromkeys(figures, "")}
    n, entry, side = held.contracts, held.average, held.side
    closing = sum_floats(
        each.left for each in exchange.matching.intake.pending()
        if not each.opens and (each.market, each.mode, each.pos_side)
        == (market, held.mode, held.pos_side)
    )  # fmt: skip
    taker = market.instrument.taker or 0.0
    mmr, cross = ledger.maintenance(held, mark), held.mode == "cross"
    behind = exchange.figures(market.currency)["equity"] if cross else held.margin + held.upl(mark)
    size = market.instrument.contract_size
    signed = -n if held.pos_side == "net" and side == "short" else n
    lever = held.leverage
    return {
        **row, "pos": text(signed), "avgPx": text(entry),
        "availPos": text(max(0.0, n - closing)),
        "bePx": text(contract.break_even(side, n, entry, taker, held.fee, -held.funding)),
        "imr": text(held.initial_margin(mark)) if cross else "",
        "margin": "" if cross else text(held.margin), "mmr": text(mmr),
        "mgnRatio": text(behind / (mmr + contract.fee(n, mark, taker))),
        "liqPx": text(ledger.liquidation_price(held, now)),
        "notionalUsd": text(n * size if market.instrument.kind == "inverse" else n * size * mark),
        "upl": text(held.upl(mark)), "uplLastPx": text(held.upl(last)),
        "uplRatio": text(contract.return_on_margin(held.upl(mark), n, entry, lever)),
        "uplRatioLastPx": text(contract.return_on_margin(held.upl(last), n, entry, lever)),
    }  # fmt: skip


def balance_row(exchange: FakeExchange, currencies: list[str] | None = None) -> Row:
    """Return the account's balance with a row of details for each currency."""
    now = str(exchange.now_ms)
    details = [_detail(exchange, each, now) for each in currencies or exchange.ledger.cash]
    empty = ("adjEq", "availEq", "borrowFroz", "imr", "mgnRatio", "mmr", "notionalUsd",
             "notionalUsdForBorrow", "notionalUsdForFutures", "notionalUsdForOption",
             "notionalUsdForSwap", "ordFroz", "upl")  # fmt: skip
    worth = text(sum_floats(float(each["eqUsd"]) for each in details))
    iso = text(sum_floats(float(each["isoEq"]) for each in details))
    return {**dict.fromkeys(empty, ""), "details": details, "isoEq": iso, "totalEq": worth,
            "uTime": now}  # fmt: skip


def _detail(exchange: FakeExchange, currency: str, now: str) -> Row:
    found = exchange.figures(currency)
    usd = next(
        (each.mark_price(exchange.now_ms) for each in exchange.markets.values()
         if each.base == currency), 1.0
    )  # fmt: skip
    equity, available = text(found["equity"]), text(found["available"])
    zeros = ("disEq", "fixedBal", "interest", "rewardBal", "smtSyncEq", "spotCopyTradingEq",
             "spotIsoBal", "stgyEq", "twap")  # fmt: skip
    ratio = found["equity"] / found["mmr"] if found["mmr"] else None
    return {
        **_EMPTY_DETAIL, **dict.fromkeys(zeros, "0"), "ccy": currency, "availBal": available,
        "availEq": available, "cashBal": text(found["cash"]), "coinUsdPrice": text(usd),
        "colBorrAutoConversion": "0", "collateralEnabled": False, "collateralRestrict": False,
        "eq": equity, "eqUsd": text(found["equity"] * usd),
        "frozenBal": text(found["equity"] - found["available"]), "imr": text(found["imr"]),
        "isoEq": text(found["iso_equity"]), "isoUpl": text(found["iso_upl"]),
        "mgnRatio": text(ratio), "mmr": text(found["mmr"]), "notionalLever": "0",
        "ordFrozen": text(found["frozen"]), "uTime": now, "upl": text(found["upl"]),
    }  # fmt: skip


# ---------------------------------------------------------------------- orders, fills, bills
def order_row(order: Order) -> Row:
    """Return an order as order details, pending orders and history give it."""
    last = order.fills[-1] if order.fills else None
    currency = order.market.currency
    return {
        **_EMPTY_ORDER, "accFillSz": text(order.filled), "attachAlgoOrds": [],
        "avgPx": text(order.average or None), "cTime": str(order.created_ms),
        "cancelSource": order.cancel_source, "category": order.category, "ccy": "",
        "clOrdId": order.cl_ord_id, "fee": text(-order.fee), "feeCcy": currency,
        "fillPx": text(last.price if last else None), "fillSz": text(last.contracts if last else 0),
        "fillTime": str(last.time_ms) if last else "", "instId": order.market.inst_id,
        "instType": "SWAP", "lever": text(order.leverage), "ordId": order.ord_id,
        "ordType": order.ord_type, "pnl": text(order.pnl), "posSide": order.pos_side,
        "px": text(order.price), "rebate": "0", "rebateCcy": currency,
        "reduceOnly": "true" if order.reduce_only else "false",
        "side": "buy" if order.is_buy else "sell", "state": order.state, "stpMode": "cancel_maker",
        "sz": text(order.contracts), "tag": order.tag, "tdMode": order.mode,
        "tradeId": last.trade_id if last else "", "uTime": str(order.updated_ms),
        "isTpLimit": "false", "linkedAlgoOrd": {"algoId": ""},
    }  # fmt: skip


def order_push(order: Order, fill: Fill | None) -> Row:
    """Return an order as the orders channel pushes it; the fill's fields only with a fill."""
    row = {**order_row(order), "ccy": order.market.currency, "code": "0", "msg": "",
           "amendResult": "", "amendSource": "", "reqId": "", **order.amendment}  # fmt: skip
    fields = ("fillPx", "fillTime", "tradeId", "execType", "fillFeeCcy", "fillMarkPx",
              "fillNotionalUsd")  # fmt: skip
    zeros = dict.fromkeys(("fillSz", "fillFee", "fillPnl"), "0")
    row.update(dict.fromkeys(fields, "") | zeros)
    if fill is not None:
        row.update(
            fillPx=text(fill.price), fillSz=text(fill.contracts), fillTime=str(fill.time_ms),
            tradeId=fill.trade_id, execType="M" if fill.maker else "T", fillFee=text(-fill.fee),
            fillFeeCcy=order.market.currency, fillPnl=text(fill.pnl), fillMarkPx=text(fill.price),
        )  # fmt: skip
    return row


def fill_row(fill: Fill) -> Row:
    """Return a fill of trade/fills and fills-history."""
    order = fill.order
    return {
        **_EMPTY_FILL, "side": "buy" if order.is_buy else "sell", "fillSz": text(fill.contracts),
        "fillPx": text(fill.price), "fee": text(-fill.fee), "fillPnl": text(fill.pnl),
        "ordId": order.ord_id, "instType": "SWAP", "instId": order.market.inst_id,
        "clOrdId": order.cl_ord_id, "posSide": order.pos_side, "billId": fill.bill_id,
        "tag": order.tag, "fillTime": str(fill.time_ms), "execType": "M" if fill.maker else "T",
        "tradeId": fill.trade_id, "feeCcy": order.market.currency, "ts": str(fill.time_ms),
        "fillMarkPx": text(fill.price), "subType": "", "feeRate": text(_rate(fill)),
    }  # fmt: skip


def _rate(fill: Fill) -> float:
    instrument = fill.order.market.instrument
    return -((instrument.maker if fill.maker else instrument.taker) or 0.0)


def bill_row(bill: Bill) -> Row:
    """Return a bill: 1 transfer, 2 trade, 5 liquidation, 8 funding, 9 ADL."""
    held, fill = bill.position, bill.fill
    order = fill.order if fill else None
    return {
        **_EMPTY_FILL, "bal": text(bill.balance), "balChg": text(bill.change),
        "billId": bill.bill_id, "ccy": bill.currency, "clOrdId": order.cl_ord_id if order else "",
        "execType": ("M" if fill.maker else "T") if fill else "", "fee": text(-bill.fee),
        "fillMarkPx": "", "fillTime": str(bill.time_ms), "from": "",
        "instId": held.market.inst_id if held else "", "instType": "SWAP" if held else "",
        "interest": "0", "mgnMode": held.mode if held else "", "notes": "",
        "ordId": order.ord_id if order else "", "pnl": text(bill.pnl), "posBal": "0",
        "posBalChg": "0", "px": text(bill.price or None), "subType": bill.sub_kind,
        "sz": text(bill.contracts), "tag": order.tag if order else "", "to": "",
        "tradeId": fill.trade_id if fill else "", "ts": str(bill.time_ms), "type": bill.kind,
    }  # fmt: skip
