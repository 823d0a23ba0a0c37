"""Strategies: signals, sizes, limits, and the record of what a run did."""
