"""docs/configuration*.md: every key, with its meaning in both languages, as the code has it."""

from __future__ import annotations

import re

import pytest

from tests.key_tables import PAGES, Key, default, keys, table, with_tables, words


def test_every_key_is_described_in_both_languages_and_no_other() -> None:
    known = {(key.section, key.name) for key in keys()}
    said = {(section, name) for section, names in words().items() for name in names}
    assert said == known
    for key in keys():
        texts = words()[key.section][key.name]
        assert len(texts) == (4 if default_is_none(key) else 2), f"{key.section}.{key.name}"
        assert all(texts[:2])
        assert re.search("[가-힣]", texts[1]), f"{key.section}.{key.name} has no Korean"


def default_is_none(key: Key) -> bool:
    return not key.field.is_required() and key.field.default is None


@pytest.mark.parametrize(("place", "language"), list(enumerate(PAGES)))
def test_page_has_the_table_of_every_section(place: int, language: str) -> None:
    text = PAGES[language].read_text(encoding="utf-8")
    assert text == with_tables(text, place), "run `python -m tests.key_tables`"
    marks = re.findall(r"<!-- keys: (\w+) -->", text)
    assert sorted(marks) == sorted({key.section for key in keys()})


@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("trading", "| `take_profit_pct` | Its distance from the average entry; 0.02 = 2 % | "
                    "number > 0, < 1 | `0.02` |"),
        ("data", "| `gaps` | Missing bars: refused, filled with flat bars, or kept as holes | "
                 "`error` `fill` `keep` | `error` |"),
        ("position_set", "| `max_long_set` | Open long sets at most; then entries of that side are "
                         "refused | whole number ≥ 0 | `3` |"),
    ],
)  # fmt: skip
def test_row_tells_meaning_range_and_default(section: str, row: str) -> None:
    assert row in table(section, 0).splitlines()


def test_default_that_is_none_is_said_in_words() -> None:
    (key,) = (key for key in keys() if key.name == "mark_path")
    assert default(key, words()["data"]["mark_path"], 0) == "the last price"
