"""backtrader's side of the exchange."""
