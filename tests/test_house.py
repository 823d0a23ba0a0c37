"""The house: rooms, floors, and who may import whom.

A room is a folder or module directly in ``cryptosim_bt/``. It imports only rooms of the floors
below its own; a module that stands in no room fails here.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptosim_bt.accounting.arithmetic import sum_floats

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cryptosim_bt"
# Folder at the top of the repository -> import name, as package_dir in setup.cfg has it.
PLUGINS = {name: f"cryptosim_bt.{name}" for name in ("strategies", "feeds", "analyzers")}

# From the ground up. Rooms of one floor do not import each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("_version", "errors"),
    ("accounting",),
    ("data", "exchange"),
    ("config", "results", "broker"),
    ("strategy",),
    ("plugins",),
    ("backtest", "live"),
    ("reports", "fast", "testing"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# The door: public names and the command's entry. No room below the commands goes through it.
DOOR = ("__init__", "__main__")

PURE_IMPORTS = {"__future__", "collections.abc", "dataclasses", "enum", "math", "typing"}
CCXT_MODULES = {"cryptosim_bt/data/venue.py", "cryptosim_bt/live/venue_account.py"}
MAX_LINES = 450
MAX_ENTRIES = 14 + 1  # the one is `testing`: the exchange for tests is shipped


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    """Return every name that a module imports, lazily or not, as an absolute dotted name."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rpartition(".")[2]
            name = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(name, ast.Constant):
                yield str(name.value)


def importers(paths: list[Path], *names: str) -> set[str]:
    """Give the modules among `paths` that import one of `names` or something inside it."""
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if any(found == name or found.startswith(f"{name}.")
               for found in imports(path) for name in names)
    }


def test_every_module_stands_in_a_room() -> None:
    rooms = {room_of(path) for path in modules("cryptosim_bt")}
    assert rooms - set(LEVEL) - set(DOOR) == set()


@pytest.mark.parametrize("path", modules("cryptosim_bt"), ids=lambda path: str(path.name))
def test_arrows_point_down(path: Path) -> None:
    room = room_of(path)
    if room in DOOR:
        return
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package != "cryptosim_bt":
            continue
        target = rest.partition(".")[0]
        if target in LEVEL:
            assert target == room or LEVEL[target] < LEVEL[room], f"{path}: imports {name}"
        else:
            assert room == "cli", f"{path}: imports {name} through the door"


def test_no_files_import_each_other_in_a_circle() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path
             for path in modules("cryptosim_bt") if path.stem not in DOOR}
    circles = graphlib.TopologicalSorter({
        name: {target for found in imports(path)
               for target in (found, found.rpartition(".")[0]) if target in names}
        for name, path in names.items()
    })  # fmt: skip
    circles.prepare()  # raises a CycleError that names the files


def test_the_page_for_newcomers_has_the_same_floors() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms: dict[int, set[str]] = {}
    for floor, names in re.findall(r"^\| (\d+) \| ([^|]+) \|", page, re.MULTILINE):
        rooms.setdefault(int(floor), set()).update(re.findall(r"`(\w+)/?`", names))
    assert rooms == {floor: set(names) for floor, names in enumerate(FLOORS, 1)}


def test_the_package_has_few_entries() -> None:
    rooms = {room_of(path) for path in modules("cryptosim_bt")}
    assert len({room for room in rooms if not room.startswith("_")}) <= MAX_ENTRIES


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
               for path in modules("cryptosim_bt", *PLUGINS, "benchmarks")}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


# --- what stands where ----------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["arithmetic", "contracts"])
def test_arithmetic_imports_nothing_but_plain_python(module: str) -> None:
    names = imports(PACKAGE / f"accounting/{module}.py")
    others = [name for name in names if not name.startswith("cryptosim_bt.accounting.arithmetic")]
    assert {name.rpartition(".")[0] or name for name in others} <= PURE_IMPORTS


def test_framework_imports_no_plugin() -> None:
    assert importers(modules("cryptosim_bt"), *PLUGINS.values()) == set()


def test_plugins_are_imported_by_full_name_only() -> None:
    assert importers(modules("cryptosim_bt", *PLUGINS, "tests", "benchmarks"), *PLUGINS) == set()


def test_ccxt_stands_in_two_modules() -> None:
    assert importers(modules("cryptosim_bt", *PLUGINS, "benchmarks"), "ccxt") <= CCXT_MODULES


@pytest.mark.parametrize("room", ["accounting", "exchange", "data", "config", "results"])
def test_backtrader_stays_out_of_the_lower_rooms(room: str) -> None:
    assert importers(modules(f"cryptosim_bt/{room}"), "backtrader") == set()


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("accounting.contracts", {"backtrader", "pandas", "numpy"}),
        ("accounting.position_book", {"backtrader"}),
        ("results.result", {"backtrader"}),
    ],
)
def test_lower_room_loads_no_upper_one(module: str, unwanted: set[str]) -> None:
    code = f"import sys, cryptosim_bt.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert unwanted.isdisjoint(done.stdout.split())


# --- the same figures under every Python ----------------------------------------------------------

# Whole numbers, which every version of Python adds alike; floats go through `sum_floats`.
SUMS_OF_WHOLE_NUMBERS = {
    "cryptosim_bt/backtest/gather.py": ["each[0] == name or each[0].startswith(f'{name}_#')"],
    "cryptosim_bt/data/store/series.py": [
        "info.rows",
        "len(grid(a, b, step))",
        "path.stat().st_size",
    ],
    "cryptosim_bt/data/store/spans.py": ["end - start"],  # milliseconds
    "cryptosim_bt/strategy/signal_strategy.py": ["self.book.count_sets(each)"],
    "cryptosim_bt/backtest/summary.py": ["life.status == 'expired'"],
    "cryptosim_bt/reports/workbook/book.py": ["shown_rows(sheet, row_limit)"],
}


def built_in_sums(path: Path) -> Iterator[str]:
    """Yield what a module adds with Python's own `sum`; "sum" where it does anything else."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    terms = {
        id(node.func): ast.unparse(getattr(node.args[0], "elt", node.args[0]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "sum":
            yield terms.get(id(node), "sum")
        elif isinstance(node, ast.Attribute) and node.attr in ("fsum", "sumprod"):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (each.name for each in node.names if each.name in ("sum", "fsum", "sumprod"))


def test_only_whole_numbers_are_added_with_pythons_own_sum() -> None:
    paths = modules("cryptosim_bt", *PLUGINS)
    found = {str(path.relative_to(ROOT)): sorted(built_in_sums(path)) for path in paths}
    assert {path: sums for path, sums in found.items() if sums} == SUMS_OF_WHOLE_NUMBERS


@pytest.mark.parametrize(
    "code",
    [
        "x = sum(prices)",
        "x = sum(n * p for n, p in fills)",
        "x = sum(fees, 0.0)",
        "x = map(sum, rows)",
        "import math; x = math.fsum(fees)",
        "from builtins import sum as added",
    ],
)
def test_sum_of_floats_is_seen(code: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(code, encoding="utf-8")
    assert len(list(built_in_sums(tmp_path / "module.py"))) == 1


def test_floats_are_added_from_left_to_right() -> None:
    # Compensated, as Python 3.12 adds, the first is 1.0 and the second 2.0.
    assert sum_floats([0.1] * 10) == 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 < 1.0
    assert sum_floats([1.0, 1e100, 1.0, -1e100]) == 0.0
    assert math.copysign(1.0, sum_floats([-0.0])) == 1.0  # 0 + -0.0
    assert sum_floats([]) == 0
