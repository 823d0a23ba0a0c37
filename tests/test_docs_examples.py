"""Every fenced block of the READMEs and of docs/ runs as it stands there.

A document is a story: its blocks run one after the other in one empty folder, beside the files that
its reader has by then (`FILES`). By the word behind the fence:

- ``python``: executed; one that begins with ``# strategies/name.py`` is saved there and run by a
  command of the document, or else by the configuration that ``new-config`` writes;
- ``sh``, and ``console`` with commands behind ``$``: our commands are really run; of those that ask
  a venue or trade, options and configuration are checked; of ``make`` and benchmarks there must be
  the target, the module, its options;
- ``yaml``: merged into a shipped configuration and checked as ``check`` does, once with what is
  commented out and once without; one that begins with ``# name.yaml`` is saved there so;
- ``ini``, a unit of systemd, and ``dockerfile``: their command is one of ours;
- ``toml``: an entry point of a group that is looked at;
- ``text``: nothing that runs.

A block of any other kind is an error.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import json
import logging
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from cryptosim_bt import SHIPPED_CONFIGS, load_settings
from cryptosim_bt.backtest.matching_data import data_request
from cryptosim_bt.cli.commands import commands
from cryptosim_bt.config.document import yaml_text
from cryptosim_bt.feeds.sample import SampleFeed
from cryptosim_bt.plugins.registry import Kind
from tests.helpers import ROOT

DOCUMENTS = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"\s*(```|~~~)")
# A run for its reports is tried elsewhere, and two weeks tell as much as a month here.
QUICK = ("report.analyzers=[ledger]", "backtest.trading_period.end_date=2025-01-14")

# A strategy of the web, as a reader would copy it into strategies/.
MY_CROSS = """
import backtrader as bt

class MyCross(bt.Strategy):
    params = (("fast", 10), ("slow", 30))

    def __init__(self):
        fast, slow = (bt.ind.SMA(period=each) for each in (self.p.fast, self.p.slow))
        self.cross = bt.ind.CrossOver(fast, slow)

    def next(self):
        if self.cross:
            self.close()
            (self.buy if self.cross > 0 else self.sell)(size=1)
"""
# What a document takes as given. Names that its python blocks use:
PRELUDES = {
    "order-types.md": MY_CROSS + """
import pandas as pd
bars = pd.read_csv("bars.csv.gz", parse_dates=["timestamp"], index_col="timestamp")
data = bt.feeds.PandasData(dataname=bars.tz_localize(None)[:300])
MyStrategy = MyCross
""",
    "metrics.md": """
from cryptosim_bt import load_settings
from cryptosim_bt.backtest.run import cerebro_for
from cryptosim_bt.plugins.registry import discover
from cryptosim_bt.backtest.prepare import prepare
settings = load_settings("config/config.yaml", ["report.analyzers=[performance]"])
strategy = cerebro_for(prepare(settings, discover())).run()[0]
""",
}
# What asks an account, or the journal of a run that trades.
TRADING = ("doctor", "status", "stop", "flatten", "monitor")
# The configuration that a document's fragments are for.
BASES = {"order-types.md": "net_mode.yaml"}


class Block(NamedTuple):
    """A fenced block: the word behind its fence, its text, where it stands."""

    kind: str
    text: str
    place: str


def blocks_of(name: str, text: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    found: list[Block] = []
    opened: tuple[str, int] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not FENCE.match(line):
            continue
        if opened is None:
            opened = (line.strip().lstrip("`~").strip(), number)
        else:
            kind, first = opened
            found.append(Block(kind, "\n".join(lines[first : number - 1]), f"{name}:{first}"))
            opened = None
    assert opened is None, f"{name}: a block is not closed"
    return found


class Reader:
    """Who follows a document block by block, in the working directory."""

    def __init__(self, document: str) -> None:
        self.document = document
        self.done = 0
        self.commands_run: list[str] = []
        self.templates: list[Path] = []

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        kinds: dict[str, Callable[[Block], None]] = {
            "python": self.run_python, "sh": self.run_sh, "console": self.run_console,
            "yaml": self.run_yaml, "toml": self.run_toml, "text": lambda _: None,
            "ini": self.run_ini, "dockerfile": self.run_dockerfile,
        }  # fmt: skip
        assert block.kind in kinds, f"{block.place}: {block.kind!r} is none of {sorted(kinds)}"
        try:
            kinds[block.kind](block)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error
        self.done += 1

    def finish(self) -> None:
        """Run the plugins that no command of the document has run."""
        for path in self.templates:
            names = (path.stem, path.stem.title().replace("_", ""))
            if not any(name in line for line in self.commands_run for name in names):
                key = {"strategies": "strategy.name={}", "analyzers": "report.analyzers=[{}]"}
                override = key[path.parent.name].format(path.stem)
                self.command(["run", "config.yaml", "--set", override])

    # ------------------------------------------------------------------ kinds of blocks
    def run_python(self, block: Block) -> None:
        saved = re.match(r"# (\S+\.py)\n", block.text)
        if saved:
            path = Path(saved[1])
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            if path.parent.name in ("strategies", "feeds", "analyzers"):
                self.templates.append(path)
                return
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(PRELUDES.get(self.document, ""), names)
        exec(compile(block.text, block.place, "exec"), names)

    def run_sh(self, block: Block) -> None:
        for line in block.text.splitlines():
            self.line(line)

    def run_console(self, block: Block) -> None:
        lines = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
        assert lines, "no command behind $"
        for line in lines:
            self.line(line)

    def run_yaml(self, block: Block) -> None:
        path = SHIPPED_CONFIGS / BASES.get(self.document, "config.yaml")
        reader = YAML(typ="safe", pure=True)
        base = reader.load(path)
        everything = re.sub(r"^( *)# (\w+: )", r"\1\2", block.text, flags=re.MULTILINE)
        for text in (block.text, everything):
            merged = yaml_text(merge(base, reader.load(text)))
            Path("fragment.yaml").write_text(merged, encoding="utf-8")
            commands(["check", "fragment.yaml"], standalone_mode=False)
            saved = re.match(r"# (\S+\.yaml)\n", text)
            if saved and text == block.text:
                Path(saved[1]).write_text(merged, encoding="utf-8")

    def run_ini(self, block: Block) -> None:
        unit = configparser.ConfigParser(interpolation=None)
        unit.read_string(block.text)
        self.line(re.sub(r"^\S*/(?=python )", "", unit["Service"]["ExecStart"]))

    def run_dockerfile(self, block: Block) -> None:
        given = dict(line.split(maxsplit=1) for line in block.text.splitlines())
        self.line(shlex.join([*json.loads(given["ENTRYPOINT"]), *json.loads(given["CMD"])]))

    def run_toml(self, block: Block) -> None:
        (groups,) = tomllib.loads(block.text)["project"].values()
        assert set(groups) <= {f"cryptosim_bt.{kind.value}" for kind in Kind}
        for points in groups.values():
            for name, value in points.items():
                assert importlib.metadata.EntryPoint(name, value, "").module

    # ------------------------------------------------------------------ lines of a shell
    def line(self, line: str) -> None:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words[:2] == ["python", "-m"]:
            words = words[2:]
            if words[0].startswith("benchmarks."):
                module_takes(words)
                return
            assert words[0] == "cryptosim_bt", f"no module of ours: {words[0]}"
        program, *arguments = words
        if program == "make":
            make_knows(arguments)
        elif program == "cp":
            shutil.copy(*arguments)
        else:
            assert program in ("cryptosim-bt", "cryptosim_bt"), f"no command of ours: {program}"
            self.command(arguments)

    def command(self, arguments: list[str]) -> None:
        """Run a command of ours; only check one that asks a venue or trades."""
        name, *rest = arguments
        assert name in commands.commands, f"no such command: {name}"
        command = commands.commands[name]
        given = command.make_context(name, list(rest)).params
        overrides = list(given.get("overrides") or ())
        venue = name == "download" or name in TRADING or "data.source=ccxt" in overrides
        if given.get("mode"):
            overrides.append(f"mode={given['mode']}")
        if given.get("config") is not None:
            settings = load_settings(given["config"], overrides)
            venue = venue or settings.keys.data.source == "ccxt"
            venue = venue or (name == "run" and settings.keys.mode != "backtest")
        if venue:
            return
        self.commands_run.append(shlex.join(arguments))
        if name == "run":
            set_keys = {each.partition("=")[0] for each in overrides}
            quick = [each for each in QUICK if each.partition("=")[0] not in set_keys]
            rest += [part for each in quick for part in ("--set", each)]
        commands([name, *rest], standalone_mode=False)


def merge(base: Any, fragment: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(fragment, dict)):
        return fragment
    return {**base, **{key: merge(base.get(key), each) for key, each in fragment.items()}}


def make_knows(arguments: list[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for each in arguments:
        name, is_variable, _ = each.partition("=")
        known = rf"^{name} \?=" if is_variable else rf"^{name}:"
        assert re.search(known, text, re.MULTILINE), f"make knows no {name}"


def module_takes(words: list[str]) -> None:
    spec = importlib.util.find_spec(words[0])
    assert spec is not None, f"no module {words[0]}"
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    for option in (word for word in words[1:] if word.startswith("-")):
        assert f'add_argument("{option}"' in source, f"{words[0]} takes no {option}"


# ---------------------------------------------------------------------- the reader's folder
@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a reader has: a checkout's folders, bars and candles of their own, a strategy."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "config", folder / "config")
    for name in ("strategies", "feeds", "analyzers"):
        (folder / name).mkdir()
    settings = load_settings(folder / "config" / "config.yaml")
    bars = SampleFeed().load(data_request(settings, "1h", warmup=800))
    bars.rename_axis("timestamp").to_csv(folder / "bars.csv.gz")
    rows = zip(bars.index.as_unit("ms").asi8.tolist(), *bars.to_numpy().T.tolist(), strict=True)
    (folder / "candles.json").write_text(json.dumps(list(rows)[::-1]), encoding="utf-8")
    (folder / "my_cross.py").write_text(MY_CROSS, encoding="utf-8")
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in a copy of the reader's folder; put back what commands set up for their logs."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    logger = logging.getLogger("cryptosim_bt")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield tmp_path
    logger.level, logger.propagate, logger.handlers = before


# ---------------------------------------------------------------------- tests
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_of_a_document_runs(path: Path, folder: Path) -> None:
    text = path.read_text(encoding="utf-8")
    blocks = blocks_of(path.name, text)
    reader = Reader(path.name)
    if "new-config\n" not in text:  # the reader was told to have one
        commands(["new-config"], standalone_mode=False)
    for block in blocks:
        reader.follow(block)
    reader.finish()
    # None was left out: a block has two fences.
    assert reader.done == len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) / 2


def test_documents_and_their_blocks_are_found() -> None:
    names = [path.name for path in DOCUMENTS]
    assert {"README.md", "README.ko.md", "order-types.md", "writing-plugins.md"} <= set(names)
    assert set(PRELUDES) | set(BASES) <= set(names)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("", "make run", "'' is none of"),
        ("bash", "make run", "'bash' is none of"),
        ("python", "FuturesCommission()", "NameError"),
        ("sh", "make everything", "make knows no everything"),
        ("sh", "make run CONFG=x", "make knows no CONFG"),
        ("sh", "cryptosim-bt runn config/config.yaml", "no such command: runn"),
        ("sh", "cryptosim-bt run config/config.yaml --offlin", "No such option"),
        ("sh", "cryptosim-bt run config/none.yaml", "none.yaml"),
        ("sh", "cryptosim-bt run config/config.yaml --set trading.levrage=3", "levrage"),
        ("sh", "cryptosim-bt run config/config.yaml --set strategy.name=Nobody", "Nobody"),
        ("sh", "cryptosim-bt download BTC/USD:BTC --form 2024-01-01", "No such option"),
        ("sh", "cp none.py strategies/", "none.py"),
        ("sh", "pip install something", "no command of ours: pip"),
        ("sh", "python -m benchmarks.none", "no module benchmarks.none"),
        ("sh", "python -m benchmarks.inside_the_bar --begin 2019", "takes no --begin"),
        ("console", "python -m cryptosim_bt run config.yaml", "no command behind"),
        ("yaml", "trading:\n  levrage: 3", "levrage"),
        ("yaml", "trading:\n  leverage: 3\n  # margin_mode: both", "margin_mode"),
        ("ini", "[Service]\nExecStart=/x/python -m cryptosim_bt rnu x", "no such command"),
        ("dockerfile", 'ENTRYPOINT ["cryptosim-bt"]\nCMD ["run"]', "Missing parameter"),
        ("toml", '[project.entry-points."cryptosim_bt.strategy"]\nx = "y.z"', "AssertionError"),
    ],
)
def test_block_that_is_wrong_is_seen(kind: str, text: str, why: str, folder: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        Reader("README.md").follow(Block(kind, text, "README.md:1"))
    assert why in str(caught.value)


def test_block_that_is_never_closed_is_seen() -> None:
    with pytest.raises(AssertionError, match="not closed"):
        blocks_of("README.md", "```python\nx = 1\n")
