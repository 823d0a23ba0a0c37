"""The words of the reports: whole in both languages, and each id asked for as each is there."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML, MappingNode, Node, SequenceNode

from cryptosim_bt.accounting.orders import Liquidity, OrderEnd, Role
from cryptosim_bt.exchange.order_types import OrderType
from cryptosim_bt.reports import words
from cryptosim_bt.reports.words import LANGUAGES, Words, texts

FOLDER = Path(words.__file__).parent
FILES = sorted(FOLDER.glob("*.yaml"))
PRODUCT = FOLDER.parents[1]
# English speaks of the price, Korean names its currency.
OTHER_PLACES = {"workbook.figure.total_return_usd.note"}


def ids(path: str, node: MappingNode) -> Iterator[tuple[str, Node]]:
    for name, each in node.value:
        if isinstance(each, MappingNode):
            yield from ids(f"{path}.{name.value}", each)
        else:
            yield f"{path}.{name.value}", each


# ---------------------------------------------------------------------- texts
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_id_is_there_once_with_a_text_in_each_language(path: Path) -> None:
    found = list(ids(path.stem, YAML(typ="safe", pure=True).compose(path)))
    names = [name for name, _ in found]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    for name, node in found:
        assert isinstance(node, SequenceNode), name
        pair = [text.value for text in node.value]
        assert len(pair) == len(LANGUAGES), name
        assert all(pair), name
        assert texts()[name] == tuple(pair)


def places(text: str) -> set[tuple[str, str | None]]:
    return {(name, form) for _, name, form, _ in string.Formatter().parse(text) if name is not None}


def test_texts_have_the_same_places_for_values_in_each_language() -> None:
    odd = {name for name, (english, korean) in texts().items() if places(english) != places(korean)}
    assert odd == OTHER_PLACES


def test_explanation_belongs_to_a_column_or_figure() -> None:
    noted = {name.removesuffix(".note") for name in texts()
             if re.fullmatch(r"workbook\.(column|figure)\..*\.note", name)}  # fmt: skip
    assert noted - set(texts()) == set()


# A Korean particle goes by the syllable before it: the one after a vowel, after a consonant.
PARTICLES = {"로": "으로", "를": "을", "와": "과"}
# Words that end like a particle; ㄹ (number 8) counts as a vowel before 로.
NOUNS = {"경로", "결과", "초과"}


def test_korean_particles_agree_with_the_syllable_before_them() -> None:
    wrong = []
    for key, (_, korean) in texts().items():
        for word in set(re.findall(r"[가-힣]+", korean)) - NOUNS:
            for vowel, consonant in PARTICLES.items():
                ending = consonant if word.endswith(consonant) else vowel
                stem = word.removesuffix(ending)
                if stem in ("", word):
                    continue
                last = (ord(stem[-1]) - ord("가")) % 28
                after_vowel = last == 0 or (last == 8 and vowel == "로")
                if (ending == vowel) != after_vowel:
                    wrong.append((key, word))
    assert wrong == []


def test_words_of_a_language_fill_in_names_and_values() -> None:
    english, korean = (Words(language, currency="BTC", zone="UTC") for language in LANGUAGES)
    assert english("workbook.column.balance") == english.heading("balance") == "Balance (BTC)"
    assert korean.heading("balance") == "거래잔고(BTC)"
    assert english("picture.histogram", count=1234) == "Net PnL of 1,234 trades"
    assert korean.note("day") == "UTC 기준 날짜"
    assert korean.note("verdict") == ""
    assert korean.figure("sharpe")[0] == "샤프 지수"


def test_what_has_no_words_is_said_as_it_is() -> None:
    korean = Words("ko")
    assert korean.heading("sma_24") == "SMA_24"
    assert korean.figure("brand.new") == ("brand.new", "")
    # A refusal names numbers of its own.
    assert korean.shown("size was 0.5; allowed: above 0") == "size was 0.5; allowed: above 0"
    assert korean.shown("replaced: its group grew") == "수량 증가로 교체"


# ---------------------------------------------------------------------- ids that the code asks for
# Stands for what an f-string fills in.
HOLE = "\0"


@cache
def code() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PRODUCT.rglob("*.py")}


def literal(node: ast.AST) -> str:
    """Return the text of a literal, holes where it fills something in; empty of what is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(each) or HOLE for each in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def literals(*folders: str) -> set[str]:
    """Return the literals of all modules, or of those in a folder of some name."""
    trees = [tree for path, tree in code().items()
             if not folders or set(folders) & set(path.relative_to(PRODUCT).parts)]  # fmt: skip
    nodes = [node for tree in trees for node in ast.walk(tree)]
    parts = {each for node in nodes if isinstance(node, ast.JoinedStr) for each in node.values}
    return {literal(node) for node in nodes if node not in parts}


def fits(text: str, literal: str) -> re.Match[str] | None:
    return re.fullmatch("(.+)".join(map(re.escape, literal.split(HOLE))), text)


def as_id(value: str) -> str:
    return re.sub(rf"[^\w{HOLE}]+", "_", value)


def asked_for() -> set[str]:
    """Return the literals that are ids, or would be with their holes filled."""
    areas = "|".join(path.stem for path in FILES)
    return {each for each in literals() if re.fullmatch(rf"(?:{areas})\.[\w.{HOLE}]+", each)
            and not each.endswith((".html", ".css", ".js"))}  # fmt: skip


def test_every_id_that_the_code_asks_for_is_there() -> None:
    assert {each for each in asked_for() if not any(fits(key, each) for key in texts())} == set()


def test_every_id_is_asked_for() -> None:
    """What fills a hole of an id must be named by the code too: of columns, by the workbook."""
    everywhere, in_workbook = literals(), literals("workbook")
    values = {f"value.{as_id(each)}" for each in (*everywhere, *reasons()) if HOLE not in each}
    open_ids = {each for each in asked_for() if HOLE in each}
    open_ids |= {f"value.{as_id(each)}" for each in reasons() if HOLE in each}
    open_names = {each for each in everywhere if HOLE in each
                  and re.fullmatch(rf"[\w.{HOLE}]*\w{{3}}[\w.{HOLE}]*", each)}  # fmt: skip

    def is_filled(text: str, opens: set[str], names: set[str]) -> bool:
        found = filter(None, (fits(text, each) for each in opens))
        return any(all(is_named(part, names) for part in each.groups()) for each in found)

    def is_named(name: str, names: set[str]) -> bool:
        return name in names or is_filled(name, open_names & names, everywhere)

    def is_asked_for(key: str) -> bool:
        names = in_workbook if key.startswith("workbook.column.") else everywhere
        return key in everywhere | values or is_filled(key, open_ids, names)

    keys = {re.sub(r"^(workbook\.(?:column|figure)\..*)\.note$", r"\1", key) for key in texts()}
    # test_page.py holds the page's against its scripts.
    ours = sorted(key for key in keys if not key.startswith("page."))
    assert [key for key in ours if not is_asked_for(key)] == []


# ---------------------------------------------------------------------- values of the tables
@pytest.mark.parametrize("values", [Role, Liquidity, OrderEnd, OrderType])
def test_every_value_of_the_tables_has_words(values: type[StrEnum]) -> None:
    assert [each for each in values if f"value.{each.value}" not in texts()] == []


def reasons() -> Iterator[str]:
    """Yield the sentences that are given to whatever takes a ``reason``."""
    nodes = [node for tree in code().values() for node in ast.walk(tree)]
    takers = {node.name for node in nodes if isinstance(node, ast.FunctionDef)
              and "reason" in [each.arg for each in node.args.args]}  # fmt: skip
    constants = {ast.unparse(node.targets[0]): node.value
                 for node in nodes if isinstance(node, ast.Assign)}  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in takers:
            for each in (*node.args, *(keyword.value for keyword in node.keywords)):
                text = literal(constants.get(ast.unparse(each), each))
                if " " in text:
                    yield text


def test_every_reason_why_an_order_ended_has_words() -> None:
    found = {f"value.{as_id(each)}" for each in reasons()}
    assert len(found) >= 10
    assert {each for each in found if not any(fits(key, each) for key in texts())} == set()
    closing = [role.value for role in Role if role not in (Role.ENTRY, Role.EXIT)]
    assert [each for each in closing if f"value.{each}_closed_its_group" not in texts()] == []
