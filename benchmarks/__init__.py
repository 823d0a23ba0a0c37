"""Benchmarks: `make bench`. Ratios within one run; nothing here asserts a time."""
