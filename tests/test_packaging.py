"""What is installed, and under which names."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cryptosim_bt

ROOT = Path(__file__).resolve().parents[1]
# Folder at the top of the repository -> import name, as package_dir in setup.cfg has it.
CODE = {
    "cryptosim_bt": "cryptosim_bt",
    "strategies": "cryptosim_bt.strategies",
    "feeds": "cryptosim_bt.feeds",
    "analyzers": "cryptosim_bt.analyzers",
}
PLUGINS = ("strategies", "feeds", "analyzers")


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
    assert list(extras) == ["live", "test"]
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


@pytest.mark.parametrize("folder", PLUGINS)
def test_plugin_folder_of_a_checkout_is_found_without_any_install(folder: str) -> None:
    # -S: no site-packages, so no editable install can answer in our finder's place.
    name = f"cryptosim_bt.{folder}"
    origin = fresh(f"import importlib.util as u; print(u.find_spec({name!r}).origin)", "-S")
    assert origin == str(ROOT / folder / "__init__.py")


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
        ".git", ".venv*", "venv", "build", "dist", "logs", "*.egg-info", "__pycache__", ".*_cache",
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
