"""Fixtures of all tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def quiet_framework() -> Iterator[None]:
    """Keep the framework's warnings out of tests that run it hundreds of times."""
    logger = logging.getLogger("cryptosim_bt")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)
