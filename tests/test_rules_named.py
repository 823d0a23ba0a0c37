"""Every rule of docs/rules.md is named by the code that keeps it, and by a test that proves it."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("cryptosim_bt", "strategies", "feeds")
# Reports restate rules and keep none; the oracle is a second implementation, not a test.
NEITHER = {ROOT / "cryptosim_bt/reports", ROOT / "tests/known/oracle.py", Path(__file__).resolve()}

RULES = tuple(
    int(number)
    for number in re.findall(
        r"^- \*\*R(\d+)\*\*", (ROOT / "docs/rules.md").read_text(encoding="utf-8"), re.MULTILINE
    )
)


@functools.cache
def named(*folders: str) -> frozenset[int]:
    """Return the rules that files below some folders name: ``R13``, or ``R27-R29`` for three."""
    found: set[int] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        if NEITHER.isdisjoint((path, *path.parents)):
            text = path.read_text(encoding="utf-8")
            for first, last in re.findall(r"\bR(\d+)(?:-R(\d+))?\b", text):
                found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def test_rules_are_numbered_without_a_hole() -> None:
    assert list(RULES) == list(range(1, len(RULES) + 1))


@pytest.mark.parametrize("rule", RULES, ids="R{}".format)
def test_rule_is_named_by_what_keeps_it_and_by_what_proves_it(rule: int) -> None:
    assert rule in named(*CODE), f"no code says that it keeps R{rule}"
    assert rule in named("tests"), f"no test says that it proves R{rule}"


def test_no_rule_is_named_that_does_not_exist() -> None:
    assert named(*CODE, "tests") <= set(RULES)
