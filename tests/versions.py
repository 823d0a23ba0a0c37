"""The suite on the lowest and the newest Python and pandas that this machine can have.

``python -m tests.versions [ARGUMENT OF PYTEST ...]`` (`make test-versions`): two environments,
``.venv-lowest`` with the oldest Python found from 3.11 on and the oldest pandas and numpy that
setup.cfg allows, ``.venv-newest`` with the newest of all. Everything that is installed goes there.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOWEST = (3, 11)
BOUND = ("pandas", "numpy")


def interpreters() -> dict[tuple[int, int], str]:
    """Return the Pythons that are found on the path, with pyenv and with uv, by their version."""
    found: dict[tuple[int, int], str] = {}
    for command in [sys.executable, *_places()]:
        said = subprocess.run(
            [command, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if said.returncode == 0:
            major, minor = map(int, said.stdout.split())
            found.setdefault((major, minor), command)
    return {version: found[version] for version in sorted(found) if version >= LOWEST}


def _places() -> Iterator[str]:
    names = [f"python3.{minor}" for minor in range(LOWEST[1], 30)]
    yield from filter(None, map(shutil.which, names))
    for folder in (".pyenv/versions", ".local/share/uv/python"):
        yield from map(str, Path.home().glob(f"{folder}/*/bin/python3"))


def lower_bounds() -> list[str]:
    """Return pandas and numpy as setup.cfg allows them at the least, pinned."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = setup["options"]["install_requires"]
    found = [re.search(rf"^{name} >=([\d.]+)", needed, re.MULTILINE) for name in BOUND]
    return [f"{name}=={match[1]}" for name, match in zip(BOUND, found, strict=True) if match]


def suite(name: str, command: str, wanted: list[str], arguments: list[str]) -> int:
    """Install into an environment of its own, and run the tests there."""
    python = str(ROOT / f".venv-{name}" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for step in (
        [command, "-m", "venv", str(ROOT / f".venv-{name}")],
        [*pip, "setuptools>=64", "wheel"],
        [*pip, "--upgrade", "--no-build-isolation", "--editable", ".[test]", *wanted],
    ):
        subprocess.run(step, cwd=ROOT, check=True)
    versions = "import sys, pandas, numpy; print(sys.version.split()[0], " \
        "'pandas', pandas.__version__, 'numpy', numpy.__version__)"  # fmt: skip
    said = subprocess.run([python, "-c", versions], capture_output=True, text=True, check=True)
    print(f"{name}: Python {said.stdout.strip()}", flush=True)
    return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


def main(arguments: list[str]) -> int:
    """Run both; return 0 where all tests passed."""
    found = list(interpreters().values())
    lowest = suite("lowest", found[0], lower_bounds(), arguments)
    newest = suite("newest", found[-1], [*BOUND], arguments)
    print(f"lowest: {'failed' if lowest else 'passed'}; newest: {'failed' if newest else 'passed'}")
    return int(bool(lowest or newest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
