"""What is installed, under which names, and who may import whom."""

from __future__ import annotations

import ast
import configparser
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import cryptosim_bt
from cryptosim_bt.arithmetic import sum_floats

ROOT = Path(__file__).resolve().parents[2]
# Folder at the top of the repository -> import name, as package_dir in setup.cfg has it.
CODE = {
    "cryptosim_bt": "cryptosim_bt",
    "strategies": "cryptosim_bt.strategies",
    "feeds": "cryptosim_bt.feeds",
    "analyzers": "cryptosim_bt.analyzers",
}
PLUGINS = ("strategies", "feeds", "analyzers")
PURE_IMPORTS = {"__future__", "collections.abc", "dataclasses", "enum", "math", "typing"}
MAX_LINES = 500


def options() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def dotted_package(path: Path) -> str:
    """Give the import name of the package that a module of ours belongs to."""
    folder, *inner = path.parent.relative_to(ROOT).parts
    return ".".join([CODE.get(folder, folder), *inner])


def imports(path: Path) -> Iterator[str]:
    """Yield every name that a module imports, lazily or not, as an absolute dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = dotted_package(path).split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, *filter(None, [base])])
            yield base
            # `from cryptosim_bt import feeds` imports cryptosim_bt.feeds
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rpartition(".")[2]
            name = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(name, ast.Constant):
                yield str(name.value)


def importers(paths: list[Path], *names: str) -> list[str]:
    """Give the modules among `paths` that import one of `names` or something inside it."""
    return [
        str(path.relative_to(ROOT))
        for path in paths
        if any(found == name or found.startswith(f"{name}.")
               for found in imports(path) for name in names)
    ]


def fresh(code: str, *flags: str) -> str:
    """Run code in a new interpreter in the checkout; give what it prints."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- the package list -----------------------------------------------------------------------------


def test_package_list_equals_the_tree() -> None:
    listed = options()["options"]["packages"].split()
    in_tree = {dotted_package(path) for path in modules(*CODE)}
    assert sorted(listed) == sorted(in_tree | {"cryptosim_bt.shipped_configs"})


def test_every_package_has_an_init_module() -> None:
    folders = {path.parent for path in modules(*CODE)}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_config_folder_holds_yaml_only() -> None:
    files = [path for path in (ROOT / "config").rglob("*") if "__pycache__" not in path.parts]
    assert [path.name for path in files if path.suffix != ".yaml"] == []
    assert (cryptosim_bt.SHIPPED_CONFIGS / "config.yaml").is_file()


def test_version_stands_in_one_place() -> None:
    assert options()["metadata"]["version"] == "attr: cryptosim_bt._version.__version__"
    literal = re.compile(rf"""["']{re.escape(cryptosim_bt.__version__)}["']""")
    holders = [path.name for path in modules(*CODE) if literal.search(path.read_text("utf-8"))]
    assert holders == ["_version.py"]


def test_extra_test_brings_what_drives_the_browser() -> None:
    """`make test` installs that extra alone; without selenium it would skip the page's tests."""
    extras = options()["options.extras_require"]
    assert list(extras) == ["test"]
    assert "selenium" in extras["test"]


# --- the public names -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", cryptosim_bt.__all__)
def test_public_name_is_importable(name: str) -> None:
    assert getattr(cryptosim_bt, name) is not None
    assert name in dir(cryptosim_bt)


def test_public_names_are_listed_alike_three_times() -> None:
    """The table that loads them, `__all__`, and the imports that type checkers see."""
    tree = ast.parse((ROOT / "cryptosim_bt/__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.name: node.module
        for block in tree.body if isinstance(block, ast.If)
        for node in block.body if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module or "").startswith("cryptosim_bt.")
    }
    home = {name: f"cryptosim_bt.{module}" for name, module in cryptosim_bt._HOME.items()}
    assert typed == home
    assert set(cryptosim_bt.__all__) == set(home) | {"__version__", "SHIPPED_CONFIGS"}


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = cryptosim_bt.NoSuchName


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("contracts", {"backtrader", "pandas", "numpy"}),
        ("positions", {"backtrader"}),
        ("result", {"backtrader"}),
    ],
)
def test_lower_layer_loads_no_upper_one(module: str, unwanted: set[str]) -> None:
    loaded = fresh(f"import sys, cryptosim_bt.{module}; print(*sys.modules)").split()
    assert unwanted.isdisjoint(loaded)


@pytest.mark.parametrize("folder", PLUGINS)
def test_plugin_folder_of_a_checkout_is_found_without_any_install(folder: str) -> None:
    # -S: no site-packages, so no editable install can answer in our finder's place.
    name = f"cryptosim_bt.{folder}"
    origin = fresh(f"import importlib.util as u; print(u.find_spec({name!r}).origin)", "-S")
    assert origin == str(ROOT / folder / "__init__.py")


# --- who may import whom --------------------------------------------------------------------------


def test_contracts_imports_nothing_but_plain_python() -> None:
    tree = ast.parse((ROOT / "cryptosim_bt/contracts.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    assert found <= PURE_IMPORTS


def test_framework_imports_no_plugin() -> None:
    assert importers(modules("cryptosim_bt"), *(CODE[folder] for folder in PLUGINS)) == []


def test_plugins_are_imported_by_full_name_only() -> None:
    assert importers(modules(*CODE, "tests", "benchmarks"), *PLUGINS) == []


def test_ccxt_is_imported_by_venue_only() -> None:
    assert set(importers(modules(*CODE, "benchmarks"), "ccxt")) <= {"cryptosim_bt/venue.py"}


@pytest.mark.parametrize("module", ["result.py", "positions.py", "contracts.py"])
def test_pure_module_imports_no_backtrader(module: str) -> None:
    assert importers([ROOT / "cryptosim_bt" / module], "backtrader") == []


def test_no_module_is_too_long() -> None:
    paths = modules(*CODE, "benchmarks")
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
               for path in paths}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


# --- the same figures under every Python ----------------------------------------------------------

# Whole numbers, which every version of Python adds alike; floats go through `sum_floats`.
SUMS_OF_WHOLE_NUMBERS = {
    "cryptosim_bt/gather.py": ["each[0] == name or each[0].startswith(f'{name}_#')"],
    "cryptosim_bt/store/series.py": [
        "info.rows",
        "len(grid(a, b, step))",
        "path.stat().st_size",
    ],
    "cryptosim_bt/store/spans.py": ["end - start"],  # milliseconds
    "cryptosim_bt/strategy.py": ["self.book.count_sets(each)"],
    "cryptosim_bt/summary.py": ["life.status == 'expired'"],
    "cryptosim_bt/workbook/book.py": ["shown_rows(sheet, row_limit)"],
    "cryptosim_bt/workbook/proof_sheets.py": ["block.count"],
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
    found = {str(path.relative_to(ROOT)): sorted(built_in_sums(path)) for path in modules(*CODE)}
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


# --- the wheel ------------------------------------------------------------------------------------


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Run a command that must succeed; `path` alone joins the import path. Give its output."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("PYTHON", "CRYPTOSIM", "COV_"))}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy: a build leaves build/ and egg-info in the source tree."""
    source = tmp_path_factory.mktemp("wheel") / "source"
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "venv", "build", "dist", "logs", "*.egg-info", "__pycache__", ".*_cache",
        ".hypothesis",
    )
    shutil.copytree(ROOT, source, ignore=ignore)
    out = source.parent / "dist"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out),
        cwd=source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Install the wheel alone; what it requires comes from the running environment."""
    target = wheel.parent.parent / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-index", "--no-deps", "--target", str(target), str(wheel), cwd=wheel.parent)
    return target


def test_wheel_has_one_top_level_name_and_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    expected = {
        f"{name.replace('.', '/')}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, name in {**CODE, "config": "cryptosim_bt.shipped_configs"}.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours == expected
    assert {name.partition("/")[0] for name in ours} == {"cryptosim_bt"}


def test_installed_wheel_runs_a_new_strategy_in_an_empty_folder(
    installed: Path, tmp_path: Path
) -> None:
    def command(*arguments: str) -> str:
        return run(sys.executable, "-m", "cryptosim_bt", *arguments, cwd=tmp_path, path=installed)

    where = "import cryptosim_bt as c; print(c.__file__); print(c.SHIPPED_CONFIGS)"
    answer = run(sys.executable, "-c", where, cwd=tmp_path, path=installed).split()
    inside = installed / "cryptosim_bt"
    assert answer == [str(inside / "__init__.py"), str(inside / "shipped_configs")]
    assert (installed / "bin" / "cryptosim-bt").is_file()

    assert "simple_ma" in command("list")
    command("new-config")
    assert (tmp_path / "config.yaml").is_file()
    command("new-strategy", "my_strategy")
    assert list(tmp_path.rglob("my_strategy.py"))
    command("run", "config.yaml", "--set", "strategy.name=my_strategy")
    assert [path for path in (tmp_path / "logs").rglob("*") if path.is_file()]
