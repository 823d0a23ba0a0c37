"""The folder of a run: claimed by one, replaced whole, nothing of others touched."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryptosim_bt.errors import OutputError
from cryptosim_bt.results.run_directory import RunDirectory, finished
from cryptosim_bt.results.run_files import (
    MANIFEST,
    check_whole,
    disk_is_full,
    read_manifest,
    write_manifest,
)
from tests.helpers import ROOT

OLD, NEW = ({"summary.json": text, "charts/a.png": text} for text in ("old", "new"))

# A run in a process of its own: claims, writes, and publishes; killed where KILL_AT says.
CHILD = """\
import os, signal, sys
from pathlib import Path
from cryptosim_bt.results import run_directory

calls = 0
def counted(name):
    kept = getattr(os, name)
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == int(os.environ.get("KILL_AT", "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        return kept(*arguments, **options)
    setattr(os, name, call)
for name in ("rename", "replace", "link", "unlink", "rmdir", "mkdir", "chmod"):
    counted(name)
if os.environ.get("NO_SWAP"):
    run_directory._EXCHANGE = 1 << 20  # a flag that no system knows
run = run_directory.RunDirectory(Path(sys.argv[1]), force=True)
(run.staging / "charts").mkdir()
for name in ("summary.json", "charts/a.png"):
    (run.staging / name).write_text(sys.argv[2])
print("claimed", flush=True)
if len(sys.argv) > 3:
    input()
calls = 0
run.publish()
"""


def child(target: Path, text: str, *more: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(target), text, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def publish(target: Path, files: dict[str, str], *, force: bool = False) -> None:
    run = RunDirectory(target, force=force)
    for name, text in files.items():
        (run.staging / name).parent.mkdir(exist_ok=True)
        (run.staging / name).write_text(text)
    run.publish()


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text()
            for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST}  # fmt: skip


def refusal(target: Path, *, force: bool = True, inputs: tuple[Path, ...] = ()) -> str:
    with pytest.raises(OutputError) as caught:
        RunDirectory(target, force=force, inputs=inputs)
    return str(caught.value)


# ---------------------------------------------------------------------- the claim
def test_two_runs_into_one_folder_never_meet(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path / "out")
    assert "another run is writing to it" in refusal(tmp_path / "out")
    (first.staging / "summary.json").write_text("first")
    first.publish()
    assert contents(tmp_path) == {"out/summary.json": "first"}


def test_runs_of_one_name_get_folders_of_their_own(tmp_path: Path) -> None:
    runs = [RunDirectory(tmp_path / "logs" / "a", numbered=True) for _ in range(3)]
    assert [run.target.name for run in runs] == ["a", "a_2", "a_3"]
    for run in reversed(runs):
        run.abandon()
    assert list(tmp_path.iterdir()) == []


def test_claim_ends_with_its_process_and_its_left_overs_are_cleared(tmp_path: Path) -> None:
    killed, alive = (child(tmp_path / name, "x", "wait") for name in ("dead", "alive"))
    for process in (killed, alive):
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
    killed.kill()
    killed.communicate()
    publish(tmp_path / "other", NEW)
    assert {path.name.split(".cryptosim")[0] for path in tmp_path.iterdir()} == {
        "other", "alive", ".alive"
    }  # fmt: skip
    assert alive.communicate("go on\n")[1] == ""
    assert contents(tmp_path / "alive") == {"summary.json": "x", "charts/a.png": "x"}
    publish(tmp_path / "dead", NEW)
    assert contents(tmp_path / "dead") == NEW


# ---------------------------------------------------------------------- what may be replaced
def test_force_replaces_what_the_earlier_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "out"
    publish(target, {**OLD, "gone/only_old.csv": "old"})
    (target / "charts" / "holiday.png").write_text("mine")
    (target / "mine").mkdir(mode=0o750)
    (target / "mine" / "notes").write_text("mine")
    (target / "link").symlink_to("nowhere")
    publish(target, NEW, force=True)
    mine = {"charts/holiday.png": "mine", "mine/notes": "mine"}
    assert contents(target) == {**NEW, **mine}
    assert (target / "mine").stat().st_mode & 0o777 == 0o750
    assert os.readlink(target / "link") == "nowhere"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_force_refuses_a_folder_that_holds_no_run(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("mine")
    assert "holds no run" in refusal(tmp_path)
    assert contents(tmp_path) == {"bars.csv": "mine"}


def test_force_refuses_a_file_of_the_run_that_was_changed(tmp_path: Path) -> None:
    publish(tmp_path / "out", OLD)
    (tmp_path / "out" / "summary.json").write_text("my notes")
    assert "summary.json was changed after its run" in refusal(tmp_path / "out")


def test_force_refuses_what_the_run_reads(tmp_path: Path) -> None:
    publish(tmp_path / "out", OLD)
    (tmp_path / "link.json").symlink_to(tmp_path / "out" / "summary.json")
    sentence = refusal(tmp_path / "out", inputs=(tmp_path / "link.json",))
    assert "holds link.json, which this run reads" in sentence


def test_file_of_the_user_in_the_way_is_kept_and_so_is_the_run(tmp_path: Path) -> None:
    publish(tmp_path / "out", {"summary.json": "old"})
    run = RunDirectory(tmp_path / "out", force=True)
    (run.staging / "report.html").write_text("new")
    (tmp_path / "out" / "report.html").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot be replaced: report\.html there .* in .*out_2"):
        run.publish()
    assert contents(tmp_path / "out") == {"summary.json": "old", "report.html": "mine"}
    assert contents(tmp_path / "out_2") == {"report.html": "new"}


def test_manifest_that_leads_elsewhere_lists_nothing(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({"files": {"../precious": f"1 {0:064}"}}))
    assert read_manifest(tmp_path) is None


def test_file_of_a_report_counts_as_the_runs(tmp_path: Path) -> None:
    publish(tmp_path / "out", OLD)
    (tmp_path / "out" / "plot.png").write_text("drawn later")
    write_manifest(tmp_path / "out", [tmp_path / "out" / "plot.png"])
    publish(tmp_path / "out", NEW, force=True)
    assert contents(tmp_path / "out") == NEW


# ---------------------------------------------------------------------- links, modes, mounts
def test_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for files in (OLD, NEW):
        publish(tmp_path / "link", files, force=True)
        assert (tmp_path / "link").is_symlink()
        assert contents(tmp_path / "real") == files


@pytest.mark.parametrize("mode", [0o700, 0o777, 0o2770])
def test_mode_of_a_folder_stays(tmp_path: Path, mode: int) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(mode)
    for files in (OLD, NEW):
        publish(tmp_path / "out", files, force=True)
        assert (tmp_path / "out").stat().st_mode & 0o7777 == mode
        assert contents(tmp_path / "out") == files
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_mount_is_written_to_and_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(target)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for files in (OLD, NEW):
            publish(target, files, force=True)
            assert contents(target) == files
        assert target.is_mount()
    finally:
        subprocess.run(["umount", str(target)], check=True)


# ---------------------------------------------------------------------- killed at any instant
@pytest.mark.parametrize("swap", [True, False], ids=["swapped", "file by file"])
def test_killed_at_any_instant_the_old_or_the_new_run_is_there_whole(
    tmp_path: Path, swap: bool
) -> None:
    target, at = tmp_path / "out", 0
    found: list[dict[str, str]] = []
    variables = {} if swap else {"NO_SWAP": "1"}
    while True:
        at += 1
        subprocess.run(["rm", "-rf", target], check=True)
        publish(target, OLD)
        (target / "notes.txt").write_text("mine")
        process = child(target, "new", KILL_AT=str(at), **variables)
        ended = process.communicate()
        held = contents(finished(target) if not swap else target)
        assert held.pop("notes.txt") == "mine"
        assert held in (OLD, NEW), f"killed at {at}"
        found.append(held)
        if process.returncode == 0:
            break
        assert process.returncode == -9, ended[1]
    assert at > 3
    assert {json.dumps(each) for each in found} == {json.dumps(OLD), json.dumps(NEW)}
    publish(target, OLD, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_full_disk_is_known_wherever_it_was_met() -> None:
    error = ValueError("the workbook cannot be closed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert disk_is_full(error)
    assert not disk_is_full(OSError(errno.EACCES, "Permission denied"))


# ---------------------------------------------------------------------- cut tables
@pytest.mark.parametrize(
    ("left", "listed", "why"),
    [("a\n1\n2", True, "5 bytes of 6"), ("a\n1\n2", False, "ends within a row"),
     ("a\n1\n", True, "4 bytes of 6"), ("a\n1\n", False, "1 rows of 2"),
     ("a\n1\n3\n", True, None), ("a\n1\n2\n", False, None)],
)  # fmt: skip
def test_cut_table_is_named(tmp_path: Path, left: str, listed: bool, why: str | None) -> None:
    path = tmp_path / "fills.csv"
    path.write_text("a\n1\n2\n")
    if listed:
        write_manifest(tmp_path, [path])
    path.write_text(left)
    counts = {"fills": (left.count("\n") - 1 + (not left.endswith("\n")), 2)}
    if why is None:
        check_whole(tmp_path, counts)
        return
    with pytest.raises(OutputError, match=rf"fills\.csv was cut: .*{why}"):
        check_whole(tmp_path, counts)
