"""An exchange for tests: OKX v5 on 127.0.0.1, for the real ccxt and ccxt.pro.

::

    import ccxt.async_support as ccxt
    from cryptosim_bt.testing import FakeVenue

    with FakeVenue({"BTC/USD:BTC": bars}, {"BTC": 1.0}, start_ms=start) as venue:
        okx = ccxt.okx(venue.ccxt_config())          # or ccxt.pro.okx: the same
        ...                                          # load_markets, create_order, watch_orders ...
        venue.advance_to(start + 60_000)             # fills, funding, liquidation, pushes
        venue.faults.add("lost_answer", when="POST /api/v5/trade")

``bars`` are bar tables (`cryptosim_bt.data.bars`); they may begin before ``start_ms``, so that
there is a history. The clock stands still unless ``time_scale`` lets it run (1 = as the wall's); a
client's ``expTime`` is compared with it. ``venue.rest_url`` and ``venue.ws_url`` are the addresses,
``venue.keys`` the credentials; the account is a demo one (header ``x-simulated-trading: 1``) unless
``keys=Keys(demo=False)``. What was asked is in ``venue.rest.requests`` and
``venue.streams.received``, what there is in ``venue.exchange`` (``ledger``, ``matching.orders``,
``matching.fills``); change it by ``venue.run(...)`` only. Faults: `faults`.

It needs aiohttp (the extra ``test`` or ``live``); nothing of it is loaded by a backtest.
"""

from cryptosim_bt.testing.access import Keys
from cryptosim_bt.testing.exchange import FakeExchange
from cryptosim_bt.testing.faults import Fault, Faults
from cryptosim_bt.testing.market import Market
from cryptosim_bt.testing.venue import FakeVenue

__all__ = ["FakeExchange", "FakeVenue", "Fault", "Faults", "Keys", "Market"]
