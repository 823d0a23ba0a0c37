"""report.html in a real browser: Chromium, driven by selenium. Skipped where they are missing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cryptosim_bt.reports.page.page import write_page
from cryptosim_bt.results.performance import performance_of
from tests.chromium import open_page, settle
from tests.page_cases import HOUR_SECONDS, page_result

PANES = ["price", "volume", "rsi", "position", "account", "drawdown"]
RANGES = """return cryptosim.charts.panes.filter((pane) => !pane.bare).map((pane) =>
    [pane.name, pane.plot.scales.x.min, pane.plot.scales.x.max])"""


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_page(page_result(), path)


@pytest.fixture
def shown(browser: Any, page: Path) -> Any:
    """Return the browser with the page freshly opened."""
    open_page(browser, page)
    return browser


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


def pixels(browser: Any, pane: str, colour: str) -> int:
    """Return how many pixels of a pane's picture have just this colour of the style sheet."""
    count: int = browser.execute_script(
        """const canvas = document.querySelector(`[data-pane="${arguments[0]}"] .plot canvas`);
        const brush = document.createElement("canvas").getContext("2d");
        brush.fillStyle = getComputedStyle(document.documentElement)
          .getPropertyValue(`--${arguments[1]}`);
        brush.fillRect(0, 0, 1, 1);
        const wanted = new Uint32Array(brush.getImageData(0, 0, 1, 1).data.buffer)[0];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Uint32Array(data.buffer).filter((each) => each === wanted).length""",
        pane, colour,
    )  # fmt: skip
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
        (page_result(trades=0), 6),
        (page_result(symbol="BTC/USDT:USDT", language="ko"), 6),
        (page_result(60, trades=2, indicators={"</script>": ("price", 1.0)}), 6),
        (page_result(60, trades=2, indicators={"close#": ("price", float("nan"))}), 5),
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


@pytest.mark.parametrize(("name", "days"), [("span_day", 1), ("span_week", 7), ("span_month", 30)])
def test_spans_end_at_the_last_bar(browser: Any, tmp_path: Path, name: str, days: int) -> None:
    result = page_result(3 * 365 * 24, trades=30)
    open_page(browser, write_page(result, tmp_path / "report.html"))
    browser.execute_script("cryptosim.charts.zoom(0.01)")
    click(browser, f'[data-span="{name}"]')
    _, low, high = ranges(browser)[0]
    last = result.bars["time"].iloc[-1].timestamp()
    assert high == pytest.approx(last + HOUR_SECONDS)
    assert high - low == pytest.approx(days * 24 * HOUR_SECONDS)


@pytest.mark.parametrize(("share", "end"), [(-1e6, 0), (1e6, -1)])
def test_moving_ends_at_the_bars(browser: Any, tmp_path: Path, share: float, end: int) -> None:
    result = page_result(3 * 365 * 24, trades=30)
    open_page(browser, write_page(result, tmp_path / "report.html"))
    browser.execute_script("cryptosim.charts.span(86400)")
    ranges(browser)
    browser.execute_script(f"cryptosim.charts.pan({share})")
    edge = ranges(browser)[0][2 if end else 1]
    # Two bars of room, no day without any.
    assert abs(edge - result.bars["time"].iloc[end].timestamp()) <= 2 * HOUR_SECONDS


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


def test_click_on_an_order_shows_its_life_at_its_price(shown: Any) -> None:
    order = page_result().orders.iloc[2]
    assert order["status"] == "expired"
    click(shown, "#tab-orders")
    row = shown.find_element("css selector", '#list .row.body[data-row="2"]').text
    assert f"{order['price']:,.1f}" in row
    assert "its time had passed" in row
    click(shown, '#list .row.body[data-row="2"]')
    _, low, high = ranges(shown)[0]
    assert low < order["created"].timestamp() < order["ended"].timestamp() < high
    chosen = shown.execute_script("return cryptosim.charts.selection.current")
    assert chosen["from"] == chosen["to"] == pytest.approx(order["price"], abs=0.05)
    lowest, highest = shown.execute_script(
        "const { y } = cryptosim.charts.panes[0].plot.scales; return [y.min, y.max]"
    )
    assert lowest < order["price"] < highest


def test_click_on_a_funding_payment_moves_the_chart_to_it(shown: Any) -> None:
    funding = page_result().funding
    click(shown, "#tab-funding")
    row = shown.find_element("css selector", '#list .row.body[data-row="12"]')
    assert f"{funding['payment'][12]:.8f}" in row.text
    assert "+0.0100%" in row.text
    row.click()
    _, low, high = ranges(shown)[0]
    assert (low + high) / 2 == pytest.approx(funding["time"][12].timestamp(), abs=1.0)


def test_only_the_rows_that_are_seen_are_made(browser: Any, tmp_path: Path) -> None:
    result = page_result(40_000, trades=34_000)
    assert len(result.orders) > 100_000
    open_page(browser, write_page(result, tmp_path / "report.html"))
    click(browser, "#tab-orders")
    click(browser, '#list [data-column="price"]')
    click(browser, '#list [data-column="price"]')
    rows = browser.find_elements("css selector", "#list .row.body")
    assert 20 < len(rows) < 100
    dearest = result.orders["price"].idxmax()
    assert rows[0].get_attribute("data-row") == str(dearest)
    browser.execute_script("const list = document.getElementById('list');"
                           "list.scrollTop = list.scrollHeight")  # fmt: skip
    settle(browser)
    last = browser.find_elements("css selector", "#list .row.body")[-1]
    cheapest = result.orders["price"][int(last.get_attribute("data-row"))]
    assert cheapest == result.orders["price"].min()
    last.click()
    assert ranges(browser)[0][1] <= browser.execute_script(
        "return cryptosim.charts.selection.current.start"
    )


def test_click_on_a_month_shows_it(shown: Any) -> None:
    click(shown, "#tab-figures")
    rows = shown.find_elements("css selector", "#list tr.month")
    times = page_result().bars["time"].dt.tz_convert("Asia/Seoul")
    months = sorted(set(times.dt.strftime("%Y-%m")))
    assert [row.get_attribute("data-month") for row in rows] == months
    shown.execute_script("arguments[0].click()", rows[1])
    _, low, high = ranges(shown)[0]
    inside = times[times.dt.strftime("%Y-%m") == months[1]]
    half = HOUR_SECONDS / 2
    assert low <= inside.iloc[0].timestamp() - half
    assert high >= inside.iloc[-1].timestamp() + half


def test_heading_sorts_the_trades(shown: Any) -> None:
    click(shown, '#list [data-column="net_pnl"]')
    rows = shown.find_elements("css selector", "#list .row.body")
    order = [int(row.get_attribute("data-row")) for row in rows]
    pnl = page_result().trades["net_pnl"]
    assert list(pnl.iloc[order]) == sorted(pnl)


def narrow(browser: Any, text: str) -> list[int]:
    """Filter the open list; return the rows that are left, in their order."""
    browser.execute_script(
        "const box = document.getElementById('filter'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'))", text,
    )  # fmt: skip
    return [int(row.get_attribute("data-row"))
            for row in browser.find_elements("css selector", "#list .row.body")]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", lambda trade: True),
        ("long", lambda trade: trade["side"] == "long"),
        ("S2 short", lambda trade: trade["group"] == "S2" and trade["side"] == "short"),
        ("PnL < 0", lambda trade: trade["net_pnl"] < 0),
        ("short PnL>=0", lambda trade: trade["net_pnl"] >= 0 and trade["side"] == "short"),
        ("exit reason = stop-loss", lambda trade: trade["exit_reason"] == "stop_loss"),
        ("side != long, trade <= 8", lambda trade: trade["side"] != "long" and trade["id"] <= 8),
        ("entry price > 15000", lambda trade: trade["entry_price"] > 15_000),
        ("nothing like it", lambda trade: False),
    ],
)
def test_filter_keeps_the_rows_that_pass(shown: Any, text: str, passes: Any) -> None:
    trades = page_result().trades
    wanted = [row for row, trade in trades.iterrows() if passes(trade)]
    assert narrow(shown, text) == wanted
    count = f"{len(wanted)} of 12" if len(wanted) < 12 else ""
    assert shown.find_element("id", "shown").text == count


def test_filtered_and_sorted_rows_are_saved_as_csv(shown: Any) -> None:
    narrow(shown, "long")
    click(shown, '#list [data-column="net_pnl"]')
    trades = page_result().trades
    wanted = trades[trades["side"] == "long"].sort_values("net_pnl", kind="stable")
    text = shown.execute_script("return cryptosim.page.tabs.trades.csv()")
    assert text.startswith("\ufeffTrade,Side,Entry time")
    found = pd.read_csv(io.StringIO(text.removeprefix("\ufeff")))
    assert found["Trade"].tolist() == wanted["id"].tolist()
    assert found["PnL (BTC)"].tolist() == pytest.approx(wanted["net_pnl"].tolist())
    local = wanted["entry_time"].dt.tz_convert("Asia/Seoul").dt.strftime("%Y-%m-%d %H:%M")
    assert found["Entry time"].tolist() == local.tolist()
    click(shown, "#csv")
    # What was filtered stays so when the list is opened again, in the other language too.
    click(shown, "#language")
    click(shown, "#tab-sets")
    click(shown, "#tab-trades")
    assert shown.find_element("id", "shown").text == f"12건 중 {len(wanted)}건"
    assert len(narrow(shown, "포지션 = 롱")) == len(narrow(shown, "side=long")) == len(wanted)
    assert problems(shown) == []


@pytest.mark.parametrize("symbol", ["BTC/USD:BTC", "BTC/USDT:USDT"])
def test_head_weighs_the_account_against_holding(
    browser: Any, tmp_path: Path, symbol: str
) -> None:
    result = page_result(symbol=symbol)
    open_page(browser, write_page(result, tmp_path / "report.html"))
    found = {box.get_attribute("data-figure"): box.text
             for box in browser.find_elements("css selector", "#figures dd")}  # fmt: skip
    figures = performance_of(result)
    holding, excess = (figures["holding"][name] for name in ("total_return", "excess_return"))
    assert found["holding.total_return"] == f"{holding:+.2%}"
    assert found["holding.excess_return"] == f"{excess:+.2%}"
    assert found["exposure.average_gross"] == f"{figures['exposure']['average_gross']:,.2f}"
    assert {"total_return", "max_drawdown", "profit_factor"} <= set(found)


def test_print_shows_charts_and_every_row_and_no_switches(browser: Any, tmp_path: Path) -> None:
    result = page_result(3_000, trades=120)
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    for selector in (".switches", "#navigator", "#narrow", "aside nav"):
        assert not browser.find_element("css selector", selector).is_displayed()
    assert len(browser.find_elements("css selector", "#list .row.body")) == 120
    plots, chart = browser.execute_script(
        "return [[...document.querySelectorAll('#panes .u-wrap')]"
        ".map((each) => [each.clientWidth, each.clientHeight]),"
        " document.getElementById('chart').getBoundingClientRect().height]"
    )
    # All charts as wide as the page, and together on one: 190 mm are 718 pixels.
    assert len(plots) == len(PANES)
    assert {width for width, _ in plots} == {1040}
    assert min(height for _, height in plots) >= 54
    assert chart < 718
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    settle(browser)
    assert browser.find_element("css selector", ".switches").is_displayed()
    assert len(browser.find_elements("css selector", "#list .row.body")) < 100


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
    volume = shown.find_element("css selector", '[data-layer="volume"]').text
    assert volume == f"{bar['volume']:,.0f}"
    margin = shown.find_element("css selector", '[data-layer="margin"]').text
    assert f"{bar['margin']:.8f}" in margin
    equity = shown.find_element("css selector", '[data-layer="equity"]').text
    assert f"{bar['equity']:.8f}" in equity
    lines = shown.execute_script(
        "return cryptosim.charts.panes.filter((pane) => !pane.bare)"
        ".map((pane) => Math.round(pane.plot.cursor.left))"
    )
    assert max(lines) - min(lines) <= 1
    assert lines[0] > 0


def test_crosshair_on_joined_bars_reads_all_of_them(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    result = page_result(20_000, trades=300)
    bars = result.bars
    bars.loc[9_000:9_999, "volume"] = np.nan
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    size = browser.execute_script("return cryptosim.charts.view.candles.size")
    assert size >= 64
    for place, lacking in [(0.3, 0), (0.475, size)]:
        pane = browser.find_element("css selector", '[data-pane="price"] .u-over')
        offset = int((place - 0.5) * pane.size["width"])
        ActionChains(browser).move_to_element_with_offset(pane, offset, 0).perform()
        settle(browser)
        index = browser.execute_script("return cryptosim.charts.panes[0].plot.cursor.idx")
        start = browser.execute_script("return cryptosim.charts.view.candles.start") + index * size
        joined = bars.iloc[start : start + size]
        assert joined["volume"].isna().sum() == lacking
        candle = browser.find_element("css selector", '[data-layer="candles"]').text
        open_, high = joined["open"].iloc[0], joined["high"].max()
        low, close = joined["low"].min(), joined["close"].iloc[-1]
        assert candle == f"Open {open_:,.1f} High {high:,.1f} Low {low:,.1f} Close {close:,.1f}"
        volume = browser.find_element("css selector", '[data-layer="volume"]').text
        expected = "– (" if lacking else f"{joined['volume'].sum():,.0f}"
        assert volume.startswith(expected)


def test_without_a_pointer_the_last_joined_bars_are_read(browser: Any, tmp_path: Path) -> None:
    result = page_result(20_000, trades=300)
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    size = browser.execute_script("return cryptosim.charts.view.candles.size")
    start = browser.execute_script("return cryptosim.charts.view.candles.start")
    first = start + (len(result.bars) - 1 - start) // size * size
    joined = result.bars.iloc[first:]
    assert 1 < len(joined) <= size
    moment = browser.find_element("id", "moment").text
    local = joined["time"].dt.tz_convert("Asia/Seoul").dt.strftime("%Y-%m-%d %H:%M")
    assert moment.startswith(f"{local.iloc[0]} – {local.iloc[-1]} · ")
    open_, high = joined["open"].iloc[0], joined["high"].max()
    low, close = joined["low"].min(), joined["close"].iloc[-1]
    candle = browser.find_element("css selector", '[data-layer="candles"]').text
    assert candle == f"Open {open_:,.1f} High {high:,.1f} Low {low:,.1f} Close {close:,.1f}"
    volume = browser.find_element("css selector", '[data-layer="volume"]').text
    assert volume == f"{joined['volume'].sum():,.0f}"


@pytest.mark.parametrize(("side", "below"), [("long", True), ("short", False)])
def test_an_entry_stands_beside_its_price(shown: Any, side: str, below: bool) -> None:
    fills = page_result().fills
    entry = fills[(fills["role"] == "entry") & (fills["side"] == side)].iloc[0]
    # The mark over the candles, at its price and 13 pixels below and above: 2.4 radii of 5.5.
    seen = shown.execute_script(
        """const [kind, side, time, price] = arguments;
        const { charts } = cryptosim, [pane] = charts.panes;
        charts.show(time - 50 * 3600, time + 50 * 3600);
        charts.update();
        const kept = [kind, "crowd", "candles"];
        for (const { id } of pane.layers) if (!kept.includes(id)) charts.hidden.add(id);
        charts.update();
        const { plot } = pane, { ctx } = plot;
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
          const x = plot.valToPos(charts.onBar(time), "x", true);
          const y = plot.valToPos(price, "y", true);
          const brush = document.createElement("canvas").getContext("2d");
          brush.fillStyle = pane.colours[side];
          brush.fillRect(0, 0, 1, 1);
          const wanted = String(brush.getImageData(0, 0, 1, 1).data);
          done([0, 13, -13].map((down) =>
            String(ctx.getImageData(Math.round(x), Math.round(y + down), 1, 1).data) === wanted));
        })));""",
        f"entry_{side}", side, entry["time"].timestamp(), entry["price"],
    )  # fmt: skip
    assert seen == [False, below, not below]


AXES = """return Object.fromEntries(cryptosim.charts.panes.filter((pane) => !pane.bare)
    .map((pane) => [pane.name, pane.plot.axes[1]._values]))"""


def test_every_axis_has_two_values_or_more(shown: Any) -> None:
    settle(shown)
    labels = shown.execute_script(AXES)
    assert set(labels) == set(PANES)
    assert min(map(len, labels.values())) >= 2


def test_without_trades_the_drawdown_is_at_the_top(browser: Any, tmp_path: Path) -> None:
    open_page(browser, write_page(page_result(trades=0), tmp_path / "report.html"))
    settle(browser)
    assert browser.execute_script(AXES)["drawdown"] == ["-1.0%", "-0.5%", "0.0%"]


def test_run_without_volume_has_no_pane_for_it(browser: Any, tmp_path: Path) -> None:
    result = page_result(60, trades=2)
    result.bars["volume"] = np.nan
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    assert [name for name, _, _ in browser.execute_script(RANGES)] == [
        name for name in PANES if name != "volume"
    ]
    assert problems(browser) == []


def test_margin_and_funding_are_drawn_once_they_are_switched_on(shown: Any) -> None:
    settle(shown)
    lines = [("price", "funding", "funding_marks"), ("account", "margin", "margin")]
    for pane, colour, layer in lines:
        assert pixels(shown, pane, colour) == 0
        click(shown, f'[data-layer="{layer}"]')
        settle(shown)
        assert pixels(shown, pane, colour) > 20


def test_two_fingers_zoom_and_one_moves(shown: Any) -> None:
    before = ranges(shown)[0]
    touch = """const over = document.querySelector('[data-pane="price"] .u-over');
    const { left, top, width } = over.getBoundingClientRect();
    const send = (name, id, share) => (name === "pointerdown" ? over : window).dispatchEvent(
      new PointerEvent(name, { pointerId: id, pointerType: "touch", bubbles: true,
        clientX: left + share * width, clientY: top + 20 }));
    for (const [name, id, share] of arguments[0]) send(name, id, share);"""
    down, move, up = "pointerdown", "pointermove", "pointerup"
    shown.execute_script(touch, [[down, 1, 0.4], [down, 2, 0.6], [move, 1, 0.3], [move, 2, 0.7],
                                 [up, 1, 0.3], [up, 2, 0.7]])  # fmt: skip
    zoomed = ranges(shown)[0]
    # Twice as far apart: half the time, and the middle stays.
    assert zoomed[2] - zoomed[1] == pytest.approx((before[2] - before[1]) / 2)
    assert zoomed[1] + zoomed[2] == pytest.approx(before[1] + before[2], abs=HOUR_SECONDS)
    shown.execute_script(touch, [[down, 3, 0.5], [move, 3, 0.6], [up, 3, 0.6]])
    moved = ranges(shown)[0]
    assert zoomed[1] - moved[1] == pytest.approx((zoomed[2] - zoomed[1]) / 10, rel=0.02)


def test_phone_scrolls_the_page_and_not_the_panes(shown: Any) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        settle(shown)
        wide, heights = shown.execute_script(
            "return [document.documentElement.scrollWidth,"
            " [...document.querySelectorAll('#panes .plot')].map((plot) => plot.clientHeight)]"
        )
        assert wide <= 390
        assert min(heights) >= 80
        # A tap on a row brings the chart back into sight.
        row = shown.find_element("css selector", '#list .row.body[data-row="2"]')
        shown.execute_script("arguments[0].scrollIntoView(); arguments[0].click()", row)
        settle(shown)
        top = "return document.querySelector('[data-pane=price] .plot').getBoundingClientRect().top"
        assert 0 <= shown.execute_script(top) < 600
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


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


AXIS = """cryptosim.charts.log = arguments[0]; cryptosim.page.build();
    const [{ lowest, highest, plot }] = cryptosim.charts.panes;
    return [lowest, highest, plot.axes[1]._values]"""


@pytest.mark.parametrize("log", [False, True])
def test_signal_does_not_flatten_the_candles(browser: Any, tmp_path: Path, log: bool) -> None:
    signal = np.arange(744) % 2
    result = page_result(indicators={"flag": ("price", signal), "rank": ("price", signal + 50.0)})
    open_page(browser, write_page(result, tmp_path / "report.html"))
    low, high, _ = browser.execute_script(AXIS, log)
    bars = result.bars
    assert bars["low"].min() * 0.9 < low < high < bars["high"].max() * 1.1
    assert [name for name, _, _ in browser.execute_script(RANGES)][2:4] == ["flag", "rank"]


def test_log_axis_with_an_indicator_that_is_zero_at_times(browser: Any, tmp_path: Path) -> None:
    result = page_result()
    stop = result.bars["close"].where(result.bars.index % 3 > 0, 0.0)
    result = page_result(indicators={"stop": ("price", stop.to_numpy())})
    open_page(browser, write_page(result, tmp_path / "report.html"))
    low, high, labels = browser.execute_script(AXIS, True)
    settle(browser)
    assert 0 < low < result.bars["low"].min() < result.bars["high"].max() < high
    # As far below as half the candles' own range.
    span = result.bars["high"].max() / result.bars["low"].min()
    assert low > result.bars["low"].min() / span
    assert colours(browser, "price") > 3
    assert [text for text in labels if "NaN" in text] == []
    assert problems(browser) == []


@pytest.mark.parametrize(("ratio", "log"), [(4.5, False), (50.0, True)])
def test_price_that_became_many_times_itself_has_a_log_axis(
    browser: Any, tmp_path: Path, ratio: float, log: bool
) -> None:
    result = page_result()
    bars = result.bars
    for name in ("open", "high", "low", "close"):
        bars[name] = 1000.0 * np.geomspace(1.0, ratio, len(bars))
    open_page(browser, write_page(result, tmp_path / "report.html"))
    assert browser.execute_script("return cryptosim.charts.log") == log
    assert shown_as_pressed(browser, "log") == log
    labels = browser.execute_script(AXES)["price"]
    if log:
        assert labels == ["1,000", "2,000", "5,000", "10,000", "20,000", "50,000"]
    click(browser, "#log")
    assert browser.execute_script("return cryptosim.charts.log") != log


def shown_as_pressed(browser: Any, switch: str) -> bool:
    pressed = browser.find_element("id", switch).get_attribute("aria-pressed")
    return bool(pressed == "true")


def test_small_prices_have_the_decimals_of_their_tick(browser: Any, tmp_path: Path) -> None:
    result = page_result()
    for name in ("open", "high", "low", "close", "sma_24", "long_average"):
        result.bars[name] *= 1e-15
    result.settings["instrument"]["tick"] = 1e-12
    open_page(browser, write_page(result, tmp_path / "report.html"))
    settle(browser)
    last = result.bars.iloc[-1]
    text = browser.find_element("css selector", '[data-layer="indicator:sma_24"] b').text
    assert text == f"{last['sma_24']:.12f}"
    for log in (False, True):
        _, _, labels = browser.execute_script(AXIS, log)
        shown = [float(text) for text in labels if text]
        assert len(set(shown)) == len(shown) > 0
        assert min(shown) > 0


def test_liquidation_is_a_faint_line(shown: Any) -> None:
    click(shown, "#fit")
    settle(shown)
    # A faint line has no pixel of the full colour, but it is there.
    assert pixels(shown, "price", "liquidation") == 0
    before = colours(shown, "price")
    click(shown, '[data-layer="liquidation_below"]')
    settle(shown)
    assert colours(shown, "price") < before


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
