"""Chromium for tests, driven by selenium. Tests are skipped where either is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

# Chromium would otherwise ask its maker's servers for this and that.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1600,1000", "--force-device-scale-factor=1",
)  # fmt: skip


def missing(what: str) -> None:
    """Skip the test; fail where the reports' tests must run (make test-reports)."""
    reason = f"{what} is missing: make test-reports installs what it can and says what to install"
    if os.environ.get("CRYPTOSIM_REPORT_TESTS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def start(profile: Path) -> Any:
    """Return a browser that keeps what it notes in a folder of its own."""
    if importlib.util.find_spec("selenium") is None:
        missing("the Python package selenium")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if chromium is None:
        missing("the browser chromium")
    if driver is None:
        missing("chromedriver (Debian: chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def open_page(browser: Any, path: Path) -> None:
    # The browser's own first page is not what we ask about.
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    wait(browser, "return window.cryptosim !== undefined")


def wait(browser: Any, condition: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not browser.execute_script(condition):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for: {condition}; log: {browser.get_log('browser')}")
        time.sleep(0.02)


def settle(browser: Any) -> None:
    """Wait until what was asked for is drawn."""
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    )
