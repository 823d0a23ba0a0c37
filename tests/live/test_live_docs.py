"""docs/live.md tells of every alarm that there is, in both languages."""

from __future__ import annotations

import re

import pytest

from cryptosim_bt.accounting.orders import Role
from tests.helpers import ROOT

# What stands between a call and its key, and the key up to what is put into it.
ALARM = re.compile(
    r"""(?:alarm|check|raise_alarm)\(\s*(?:now_ms,\s*)?f?"([a-z][a-z ]*?) ?(?:"|\{)"""
)
WITH_ROLE = {
    f"refused {role.value}" for role in Role if role not in (Role.LIQUIDATION, Role.CLOSE_AT_END)
}


def alarms() -> set[str]:
    """Return the beginnings of the keys of all alarms that the code can raise."""
    text = "".join(path.read_text("utf-8") for path in (ROOT / "cryptosim_bt/live").glob("*.py"))
    return set(ALARM.findall(text))


def test_alarms_are_found() -> None:
    known = {"legs", "money", "refused", "refused change", "failed", "foreign fill", "stale data"}
    assert known <= alarms()


@pytest.mark.parametrize("name", ["live.md", "live.ko.md"])
def test_every_alarm_is_explained(name: str) -> None:
    text = (ROOT / "docs" / name).read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {key for row in rows for key in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert named >= WITH_ROLE
    for alarm in alarms():
        assert any(key == alarm or key.startswith(f"{alarm} ") for key in named), alarm
