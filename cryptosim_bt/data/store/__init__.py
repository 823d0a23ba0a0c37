"""Market data kept on disk: bars, mark prices, funding rates, instruments and margin tiers.

::

    <data.directory>/<venue>/<symbol>/1m/2024-01.parquet        bars of a month
                                      1m-mark/2024-01.parquet   the same of the mark price
                                      funding/2024.parquet      funding rates of a year
                                      instrument.json           what the venue said, and when
                                      tiers.json

A file holds rows and, in its own metadata, the spans of time of which everything is known. Both are
replaced together by one rename, so no crash can part them. A bar missing from a known span is a
hole of the venue; a time outside every known span was never asked.
"""

from cryptosim_bt.data.store.series import Series, SeriesSummary, Store

__all__ = ["Series", "SeriesSummary", "Store"]
