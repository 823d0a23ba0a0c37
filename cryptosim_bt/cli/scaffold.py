"""Files that the commands write for a user to begin with."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from cryptosim_bt import SHIPPED_CONFIGS
from cryptosim_bt.errors import OutputError, PluginError

_STRATEGY = '''"""{name}: a strategy for CryptoSim. Change it and run it:

    python -m cryptosim_bt run config.yaml --set strategy.name={name}
"""

import numpy as np
import pandas as pd

from cryptosim_bt import SignalStrategy, register_strategy


@register_strategy("{name}")
class {cls}(SignalStrategy):
    """Buy a dip above a moving average, sell a rally below it."""

    # Parameters; a config changes them under `strategy: {name}:`.
    params = (("period", 200),)

    @classmethod
    def warmup(cls, params):
        # Bars needed before the first signal.
        return params.period

    @classmethod
    def generate_signals(cls, bars, params):
        # Once over the whole history: row i may look at rows <= i only.
        mean = bars["close"].rolling(params.period).mean()
        change = bars["close"].diff()
        signal = np.where((bars["close"] > mean) & (change < 0), 1, 0)  # 1: enter long
        signal = np.where((bars["close"] < mean) & (change > 0), -1, signal)  # -1: enter short
        # Every other column is drawn and written to bars.csv.
        return pd.DataFrame({{"mean": mean, "signal": signal}}, index=bars.index)
'''


def write_strategy(name: str, folder: Path) -> Path:
    """Write ``strategies/<name>.py`` below a folder, ready to run.

    Raises
    ------
    PluginError
        If the name is no Python name.
    OutputError
        If the file exists or cannot be written.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise PluginError(
            f"new-strategy {name}: allowed: small letters, digits and _, not beginning with a "
            "digit, for example my_strategy"
        )
    class_name = "".join(part.capitalize() for part in name.split("_")) or "Strategy"
    path = folder / "strategies" / f"{name}.py"
    return _write_new(path, _STRATEGY.format(name=name, cls=class_name))


def write_config(target: Path) -> Path:
    """Write the shipped config.yaml to a new file.

    Raises
    ------
    OutputError
        If the file exists or cannot be written.
    """
    return _write_new(target, (SHIPPED_CONFIGS / "config.yaml").read_text(encoding="utf-8"))


def _write_new(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise OutputError(f"{path}: exists already; choose another name or remove it") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    return path
