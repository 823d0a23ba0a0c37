"""`cryptosim_bt.run`, the door from Python: settings, plugins, errors, and what it leaves alone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import cryptosim_bt
from cryptosim_bt import SHIPPED_CONFIGS, ConfigError, PluginError, Result, load_settings
from cryptosim_bt.backtest.run import run_backtest
from cryptosim_bt.results.result import TABLES
from tests.helpers import without_analyzers

pytestmark = pytest.mark.usefixtures("quiet_framework")

CONFIG = SHIPPED_CONFIGS / "config.yaml"
WEEK = {"backtest.trading_period.end_date": "2025-01-08"}

LISTENER = '''
from cryptosim_bt import ReportAnalyzer, register_analyzer

@register_analyzer("listener")
class Listener(ReportAnalyzer):
    """Tell that it has run."""

    def stop(self):
        open("listened", "w").close()
'''


def run(overrides: dict[str, Any] | None = None, config: Path = CONFIG) -> Result:
    return cryptosim_bt.run(config, {**WEEK, **(overrides or {})})


def test_run_is_the_same_as_the_long_way() -> None:
    given = {"trading.leverage": 3, "trading.use_sl": True, "trading.stop_loss_pct": 0.05}
    words = [f"{key}={str(value).lower()}" for key, value in (WEEK | given).items()]
    settings = load_settings(CONFIG, words)
    long_way, _ = run_backtest(without_analyzers(settings), cryptosim_bt.discover())
    result = run(given)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(result, name), getattr(long_way, name))
    assert result.summary == long_way.summary
    whole = settings.resolved()  # the configured analyzers are in it
    whole["strategy"]["simple_ma"]["exit_on_cross"] = False  # a default that ran
    assert result.settings == whole


def test_values_of_python_are_taken_as_yaml_would_give_them(tmp_path: Path) -> None:
    lists = {"trading.sizing": {"method": "equity", "equity_share": np.float64(0.1)}}
    result = run({
        "trading.leverage": np.int64(7), "backtest.funding": {"rate": 0.0, "times": ("08:00",)},
        "backtest.trading_period.start_date": date(2025, 1, 2),
        "data.directory": tmp_path, "risk.daily_loss_limit_pct": None, **lists,
    })  # fmt: skip
    settings = result.settings
    assert settings["trading"]["leverage"] == 7.0
    assert settings["trading"]["sizing"]["equity_share"] == 0.1
    assert settings["backtest"]["funding"]["times"] == ["08:00"]
    assert settings["backtest"]["trading_period"]["start_date"] == "2025-01-02"
    assert settings["data"]["directory"] == str(tmp_path)
    assert settings["risk"]["daily_loss_limit_pct"] is None
    assert lists["trading.sizing"]["method"] == "equity"  # the caller's stays as it was


def test_nothing_is_written_and_no_analyzer_runs_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "analyzers").mkdir()
    (tmp_path / "analyzers" / "listener.py").write_text(LISTENER, encoding="utf-8")
    text = CONFIG.read_text(encoding="utf-8")
    assert "analyzers:" in text
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    run(config=tmp_path / "my.yaml")
    assert [path for path in sorted(tmp_path.rglob("*")) if path.suffix != ".pyc"
            and path.name != "__pycache__"] == before  # fmt: skip
    run({"report.analyzers": ["listener"]}, tmp_path / "my.yaml")
    assert (tmp_path / "listened").exists()


def test_strategy_beside_the_configuration_is_found(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "never.py").write_text(
        '"""Never."""\nfrom cryptosim_bt import SignalStrategy, register_strategy\n\n'
        '@register_strategy("never")\nclass Never(SignalStrategy):\n    """Never enter."""\n\n'
        "    @classmethod\n    def warmup(cls, params):\n        return 0\n\n"
        "    def signal(self):\n        return 0\n",
        encoding="utf-8",
    )
    (tmp_path / "my.yaml").write_text(CONFIG.read_text(encoding="utf-8"), encoding="utf-8")
    result = run({"strategy.name": "never"}, tmp_path / "my.yaml")
    assert (result.summary["fills"], result.summary["bars_traded"]) == (0, 7 * 24)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"trading.leverage": 0}, ConfigError, "overrides: trading.leverage: was 0; allowed: "),
        ({"trading.levrage": 3}, ConfigError, "overrides: trading.levrage: unknown key"),
        ({"trading.": 3}, ConfigError, "overrides: trading.: allowed: key.path, for example"),
        ({"timezone.name": "UTC"}, ConfigError, "overrides: timezone.name: timezone holds "),
        ({"trading": {"symbol": 3}}, ConfigError, "overrides: trading.symbol: was 3"),
        ({"strategy.name": "nosuch"}, PluginError, "overrides: strategy.name: "),
        ({"report.analyzers": ["nosuch"]}, PluginError, "overrides: report.analyzers: "),
    ],
)
def test_wrong_input_is_a_sentence_that_names_the_override(
    overrides: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        run(overrides)
    assert str(raised.value).startswith(message)
    assert issubclass(error, cryptosim_bt.InputError)


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        cryptosim_bt.run(str(tmp_path / "nowhere.yaml"))


def test_run_is_a_function_beside_the_package_of_runs() -> None:
    from cryptosim_bt.backtest import run as module

    assert cryptosim_bt.run is module.run
    assert callable(cryptosim_bt.run)


# ---------------------------------------------------------------------- in a notebook
def test_result_shows_itself_as_a_table_and_in_a_line() -> None:
    result = run({"report.language": "en", "strategy.name": "simple_ma"})
    shown = result._repr_html_()
    assert shown is not None
    assert shown.startswith("<table>")
    assert "<caption style=" in shown
    for row in ("leverage</th><td style=\"text-align:left\">5× (cross)</td>",
                "2025-01-01 00:00 – 2025-01-08 00:00 (Asia/Seoul)"):  # fmt: skip
        assert row in shown
    assert re.fullmatch(
        r"<Result: BTC/USD:BTC 1h, 168 bars, \d+ trades, total return -?\d+\.\d\d%>", repr(result)
    )
    # Words of a user's are no tags.
    named = replace(result, summary={**result.summary, "note": "<b>wider</b>"})
    assert "&lt;b&gt;wider&lt;/b&gt;" in (named._repr_html_() or "")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_result_draws_itself_without_a_file(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figure = run({"report.language": language}).plot()
    # Drawn later, outside of what drew it, as a notebook does: warnings are errors here.
    figure.savefig(tmp_path / "later.png", dpi=40)
    assert [path.name for path in tmp_path.iterdir()] == ["later.png"]
    assert (tmp_path / "later.png").read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes) >= 4  # price, contracts, account, sets
