"""A backtrader strategy like those of the web: nothing in it is ours."""

import backtrader as bt


class SmaCross(bt.Strategy):
    """Long above a moving-average cross, short below it, with a share of the account.

    Params:

      - ``fast``, ``slow``: bars of the two means
      - ``share``: share of the account that is put in as margin (0.2 = 20 %)
    """

    params = (("fast", 24), ("slow", 96), ("share", 0.2))

    def __init__(self):
        fast = bt.ind.SMA(period=self.p.fast)
        slow = bt.ind.SMA(period=self.p.slow)
        self.cross = bt.ind.CrossOver(fast, slow)

    def next(self):
        if self.cross > 0:
            self.order_target_percent(target=self.p.share)
        elif self.cross < 0:
            self.order_target_percent(target=-self.p.share)
