"""report.html in a real browser: Chromium, driven by selenium. Skipped where they are missing."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptosim_bt.page import write_page
from tests.page_cases import HOUR_SECONDS, page_result

# Chromium would otherwise ask its maker's servers for this and that.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1600,1000", "--force-device-scale-factor=1",
)  # fmt: skip
PANES = ["price", "rsi", "position", "account", "drawdown"]
RANGES = """return cryptosim.charts.panes.filter((pane) => !pane.bare).map((pane) =>
    [pane.name, pane.plot.scales.x.min, pane.plot.scales.x.max])"""


def missing(what: str) -> None:
    """Skip the test; fail where the reports' tests must run (make test-reports)."""
    reason = f"{what} is missing: make test-reports installs what it can and says what to install"
    if os.environ.get("CRYPTOSIM_REPORT_TESTS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
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
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_page(page_result(), path)


@pytest.fixture
def shown(browser: Any, page: Path) -> Any:
    """Return the browser with the page freshly opened."""
    open_page(browser, page)
    return browser


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


def ranges(browser: Any) -> list[tuple[str, float, float]]:
    """Return the range of time of each pane, which must be the same in all."""
    settle(browser)
    found = [tuple(each) for each in browser.execute_script(RANGES)]
    assert [name for name, _, _ in found] == PANES
    assert len({(low, high) for _, low, high in found}) == 1
    return found


def click(browser: Any, selector: str, number: int = 0) -> None:
    browser.find_elements("css selector", selector)[number].click()


def colours(browser: Any, pane: str) -> int:
    """Return how many different colours a pane's picture has."""
    count: int = browser.execute_script(
        """const canvas = document.querySelector(`[data-pane="${arguments[0]}"] .plot canvas`);
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size""",
        pane,
    )
    return count


def problems(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def requests(browser: Any) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events
            if event["method"] == "Network.requestWillBeSent"]  # fmt: skip


def test_page_loads_without_errors_and_without_network(browser: Any, page: Path) -> None:
    open_page(browser, page)
    ranges(browser)
    assert problems(browser) == []
    assert requests(browser) == [page.as_uri()]


@pytest.mark.parametrize(
    ("result", "panes"),
    [
        (page_result(trades=0), 5),
        (page_result(symbol="BTC/USDT:USDT", language="ko"), 5),
        (page_result(60, trades=2, indicators={"</script>": ("price", 1.0)}), 4),
        (page_result(60, trades=2, indicators={"close#": ("price", float("nan"))}), 4),
    ],
    ids=["no trades", "linear, Korean", "odd name", "blank indicator"],
)
def test_other_runs_load_without_errors(
    browser: Any, tmp_path: Path, result: Any, panes: int
) -> None:
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    assert problems(browser) == []
    assert len(browser.execute_script(RANGES)) == panes
    assert colours(browser, "price") > 3


def test_every_pane_has_a_picture(shown: Any) -> None:
    settle(shown)
    assert {name: colours(shown, name) > 3 for name in PANES} == dict.fromkeys(PANES, True)
    assert len(shown.get_screenshot_as_png()) > 50_000


def test_wheel_zooms_all_panes_around_the_pointer(shown: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    before = ranges(shown)[0]
    pane = shown.find_element("css selector", '[data-pane="account"] .u-over')
    ActionChains(shown).scroll_from_origin(ScrollOrigin.from_element(pane), 0, -240).perform()
    after = ranges(shown)[0]
    assert after[2] - after[1] < 0.9 * (before[2] - before[1])
    # The pointer stood in the middle.
    assert after[1] + after[2] == pytest.approx(before[1] + before[2], abs=HOUR_SECONDS * 4)


def test_dragging_moves_all_panes_and_double_click_shows_everything(shown: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    whole = ranges(shown)[0]
    shown.execute_script("cryptosim.charts.zoom(0.2)")
    before = ranges(shown)[0]
    pane = shown.find_element("css selector", '[data-pane="price"] .u-over')
    ActionChains(shown).move_to_element(pane).click_and_hold().move_by_offset(-150, 0).release(
    ).perform()  # fmt: skip
    after = ranges(shown)[0]
    assert after[1] > before[1] + HOUR_SECONDS
    assert after[2] - after[1] == pytest.approx(before[2] - before[1])
    ActionChains(shown).double_click(pane).perform()
    assert ranges(shown)[0][1:] == pytest.approx(whole[1:])


def test_click_on_a_trade_moves_the_chart_to_it(shown: Any) -> None:
    whole = ranges(shown)[0]
    trade = page_result().trades.iloc[5]
    click(shown, '#list .row.body[data-row="5"]')
    _, low, high = ranges(shown)[0]
    assert high - low < 0.5 * (whole[2] - whole[1])
    entry, leave = trade["entry_time"].timestamp(), trade["exit_time"].timestamp()
    assert low < entry < leave < high
    selected = shown.find_elements("css selector", '#list [aria-selected="true"]')
    assert [row.get_attribute("data-row") for row in selected] == ["5"]


def test_click_on_an_open_set_shows_it_to_the_end(shown: Any) -> None:
    result = page_result()
    click(shown, "#tab-sets")
    click(shown, "#list .row.body", -1)
    _, low, high = ranges(shown)[0]
    assert low < result.sets["born"].iloc[-1].timestamp()
    assert high > result.bars["time"].iloc[-1].timestamp()


def test_heading_sorts_the_trades(shown: Any) -> None:
    click(shown, '#list [data-column="net_pnl"]')
    rows = shown.find_elements("css selector", "#list .row.body")
    order = [int(row.get_attribute("data-row")) for row in rows]
    pnl = page_result().trades["net_pnl"]
    assert list(pnl.iloc[order]) == sorted(pnl)


def test_crosshair_reads_the_bar_in_every_pane(shown: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    result = page_result()
    start = result.bars["time"].iloc[300].timestamp()
    shown.execute_script(
        "cryptosim.charts.show(arguments[0], arguments[1])", start, start + 100 * HOUR_SECONDS
    )
    settle(shown)
    pane = shown.find_element("css selector", '[data-pane="price"] .u-over')
    ActionChains(shown).move_to_element(pane).perform()
    settle(shown)
    bar = result.bars.iloc[350]
    local = bar["time"].tz_convert("Asia/Seoul")
    assert shown.find_element("id", "moment").text == f"{local:%Y-%m-%d %H:%M}"
    candle = shown.find_element("css selector", '[data-layer="candles"]').text
    assert f"{bar['close']:,.1f}" in candle
    equity = shown.find_element("css selector", '[data-layer="equity"]').text
    assert f"{bar['equity']:.8f}" in equity
    lines = shown.execute_script(
        "return cryptosim.charts.panes.filter((pane) => !pane.bare)"
        ".map((pane) => Math.round(pane.plot.cursor.left))"
    )
    assert max(lines) - min(lines) <= 1
    assert lines[0] > 0


def test_language_and_theme_switch(shown: Any) -> None:
    assert shown.find_element("id", "tab-trades").text == "Trades (12)"
    click(shown, "#language")
    assert shown.find_element("id", "tab-trades").text == "거래내역 (12)"
    assert shown.execute_script("return document.documentElement.lang") == "ko"
    background = "return getComputedStyle(document.body).backgroundColor"
    before = shown.execute_script(background)
    click(shown, "#theme")
    assert shown.execute_script(background) != before
    click(shown, "#theme")
    click(shown, "#log")
    settle(shown)
    click(shown, "#fit")
    ranges(shown)
    assert problems(shown) == []


def test_layers_can_be_switched_off(shown: Any) -> None:
    settle(shown)
    before = colours(shown, "rsi")
    click(shown, '[data-pane="rsi"] [data-layer="indicator:rsi_14"]')
    settle(shown)
    assert colours(shown, "rsi") < before


def test_figures_are_those_of_the_summary(shown: Any) -> None:
    summary = page_result().summary
    click(shown, "#tab-summary")
    found = {each.get_attribute("data-figure"): each.text
             for each in shown.find_elements("css selector", "#list [data-figure]")}  # fmt: skip
    assert found["final_equity"] == f"{summary['final_equity']:.8f}"
    assert found["max_drawdown"] == f"{summary['max_drawdown']:.2%}"
    assert found["trades"] == "12"
    assert found["win_rate"] == f"{summary['win_rate']:.2%}"
    assert found["profit_factor"] == "–"
    lowest = shown.execute_script("return Math.min(...cryptosim.run.bars.values.drawdown)")
    assert -lowest == pytest.approx(summary["max_drawdown"], abs=1e-7)


def test_joined_bars_have_the_extremes_of_all(browser: Any, tmp_path: Path) -> None:
    result = page_result(20_000, trades=300)
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    slice_, low, high = browser.execute_script(
        """const { view, run } = cryptosim.charts, slice = view.candles;
        const of = (name) => new PageView.Extremes(run.bars.values[name]).of(slice);
        return [{ ...slice, x: null }, [...of("low").lows], [...of("high").highs]]"""
    )
    size = slice_["size"]
    assert size >= 64
    for number in (0, 1, slice_["count"] // 2, slice_["count"] - 1):
        rows = slice(slice_["start"] + number * size, slice_["start"] + (number + 1) * size)
        assert low[number] == result.bars["low"].iloc[rows].min()
        assert high[number] == result.bars["high"].iloc[rows].max()
