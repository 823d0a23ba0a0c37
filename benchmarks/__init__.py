"""Benchmarks: `python -m benchmarks.NAME`; none of them runs in the tests."""
