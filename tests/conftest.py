"""Fixtures of all tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests import chromium


@pytest.fixture(scope="module")
def quiet_framework() -> Iterator[None]:
    """Keep the framework's warnings out of tests that run it hundreds of times."""
    logger = logging.getLogger("cryptosim_bt")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return Chromium, one for a module; its tests are skipped where there is none."""
    found = chromium.start(tmp_path_factory.mktemp("chromium"))
    yield found
    found.quit()
