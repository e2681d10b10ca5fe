"""There is never half a package: locks, swaps, interruptions, and disks that refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random
from shlex import quote

import pytest

from labeler.errors import PackageError
from labeler.export import package as package_module
from labeler.export.exporter import export
from labeler.export.manifest import MANIFEST_PATH
from labeler.export.package import Staging, alone, exchange, read_manifest
from labeler.export.proof import verify_package
from labeler.store import Store
from tests.export import KEY, exported, files_of, judged, open_store, study_of, tell
from tests.stories import told


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return tell(open_store(tmp_path), judged(1), judged(2))


def one_line(refused: pytest.ExceptionInfo[PackageError]) -> str:
    assert "\n" not in str(refused.value)
    return str(refused.value)


# ── what may be written over ──


def test_a_folder_with_files_and_no_manifest_is_refused_and_left_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(PackageError) as refused:
        exported(store, study_of(), tmp_path / "out")
    assert "holds files but no _export/manifest.json" in one_line(refused)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_is_taken(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    exported(store, study_of(), tmp_path / "out")
    assert read_manifest(tmp_path / "out")


def test_a_file_in_the_place_of_the_package_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(PackageError, match="not a folder"):
        exported(store, study_of(), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", '{"format": 99}', "[]"])
def test_a_package_with_an_unusable_manifest_is_refused(store: Store, tmp_path: Path, content: str) -> None:
    exported(store, study_of(), tmp_path / "out")
    (tmp_path / "out" / MANIFEST_PATH).write_text(content)
    before = files_of(tmp_path / "out")
    with pytest.raises(PackageError) as refused:
        exported(store, study_of(), tmp_path / "out")
    assert one_line(refused)
    assert files_of(tmp_path / "out") == before


def test_the_root_of_the_file_system_is_no_place_for_a_package(store: Store) -> None:
    with pytest.raises(PackageError, match="needs a folder of its own"):
        exported(store, study_of(), Path("/"))


def test_missing_folders_above_the_package_are_made(store: Store, tmp_path: Path) -> None:
    exported(store, study_of(), tmp_path / "a" / "b" / "out")
    assert read_manifest(tmp_path / "a" / "b" / "out")


def test_a_package_behind_a_symbolic_link_is_written_where_the_link_points(store: Store, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    exported(store, study_of(), tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert read_manifest(tmp_path / "disk" / "real")


def test_files_that_somebody_added_stay_and_forgotten_shards_go(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(store, study_of(), out)
    (out / "LICENSE").write_text("all of it")
    (out / "images").mkdir()
    (out / "images" / "chat.png").write_bytes(b"png")
    stray = out / "dpo" / "train-00099-0123456789ab.parquet"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"from another life")
    exported(store, study_of(), out)
    assert (out / "LICENSE").read_text() == "all of it"
    assert (out / "images" / "chat.png").read_bytes() == b"png"
    assert not stray.exists()


# ── one at a time ──


def test_two_exports_of_one_package_cannot_clash(store: Store, tmp_path: Path) -> None:
    """The second is refused at once and the first one ends as if it had been alone."""
    begun, go_on = threading.Event(), threading.Event()

    def report(done: int, total: int) -> None:
        begun.set()
        go_on.wait(20)

    first = threading.Thread(
        target=export, args=(store, study_of(), tmp_path / "out"), kwargs={"key": KEY, "report": report}
    )
    first.start()
    assert begun.wait(20)
    with pytest.raises(PackageError) as refused:
        exported(store, study_of(), tmp_path / "out")
    go_on.set()
    first.join()
    assert "another export is writing this package" in one_line(refused)
    assert not verify_package(tmp_path / "out").problems


def test_packages_of_two_studies_beside_each_other_do_not_wait_for_each_other(store: Store, tmp_path: Path) -> None:
    with alone(tmp_path / "one"):
        exported(store, study_of(), tmp_path / "two")


def test_the_lock_of_a_killed_export_is_free(store: Store, tmp_path: Path) -> None:
    program = (
        "import os, signal\nfrom pathlib import Path\nfrom labeler.export.package import alone\n"
        f"with alone(Path({str(tmp_path)!r}) / 'out'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    exported(store, study_of(), tmp_path / "out")


# ── interruptions ──


def test_a_killed_export_leaves_the_old_package_or_the_new_one(tmp_path: Path) -> None:
    """SIGKILL at many moments; each time what is there is whole, and the next export ends as if nothing had been."""
    study, out = study_of(), tmp_path / "out"
    with tell(open_store(tmp_path), *(judged(number) for number in range(9))) as store:
        exported(store, study, out)
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.export import *\n"
        f"folder = Path({str(tmp_path)!r})\nstore = open_store(folder)\n"
        "study = study_of(dataset={'salt': sys.argv[1]})\nprint('ready', flush=True)\n"
        "exported(store, study, folder / 'out')"
    )
    for attempt in range(6):
        running = subprocess.Popen([sys.executable, "-c", program, f"salt {attempt}"], stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(0.03 * attempt)
        running.kill()
        running.wait()
        running.stdout.close()
        assert not verify_package(out).problems
    with open_store(tmp_path) as store:
        exported(store, study, out)
        exported(store, study, tmp_path / "fresh")
    assert files_of(out) == files_of(tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.glob(".out.*")) == [".out.lock"]


def test_an_old_package_that_was_moved_aside_is_put_back(store: Store, tmp_path: Path) -> None:
    """The moment between the two renames, where folders cannot be exchanged."""
    out = tmp_path / "out"
    exported(store, study_of(), out)
    before = files_of(out)
    out.rename(tmp_path / ".out.old")
    (tmp_path / ".out.new" / "dpo").mkdir(parents=True)
    with alone(out):
        assert files_of(out) == before
        assert sorted(path.name for path in tmp_path.glob(".out.*")) == [".out.lock"]


def test_a_moved_package_does_not_come_back_once_the_new_one_is_in_place(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(store, study_of(), out)
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "README.md").write_text("older")
    with alone(out):
        assert "older" not in files_of(out)["README.md"].decode()
    assert not (tmp_path / ".out.old").exists()


def test_without_exchange_the_old_package_is_moved_aside_and_the_result_is_the_same(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(store, study_of(), tmp_path / "out")
    tell(store, judged(3))
    exported(store, study_of(), tmp_path / "fresh")
    monkeypatch.setattr(package_module, "exchange", lambda one, other: False)
    exported(store, study_of(), tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.glob(".out.*")) == [".out.lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders in one step")
def test_exchange_swaps_two_folders_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    assert exchange(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one" / "name").read_text() == "two"
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "three")


def test_a_staged_package_that_is_not_swapped_leaves_nothing(tmp_path: Path) -> None:
    with alone(tmp_path / "out"), Staging(tmp_path / "out") as staging:
        staging.write("dpo/part.parquet", "half")
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock"]


def test_a_file_is_copied_where_it_cannot_be_linked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(store, study_of(), tmp_path / "out")
    before = files_of(tmp_path / "out")

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert exported(store, study_of(), tmp_path / "out").shards_unchanged == 1
    assert files_of(tmp_path / "out") == before


# ── disks ──

# Arguments: the folder of the log, the folder of the package.
EXPORT_ONCE_MORE = """
import sys
from pathlib import Path

from labeler.errors import PackageError
from labeler.export.proof import verify_package
from tests.export import exported, files_of, open_store, study_of

log, folder = map(Path, sys.argv[1:])
before = files_of(folder / "out")
with open_store(log) as store:
    try:
        exported(store, study_of(), folder / "out")
    except PackageError as error:
        print(error)
assert files_of(folder / "out") == before
assert not verify_package(folder / "out").problems
assert {path.name for path in folder.glob(".out.*")} <= {".out.lock"}
"""


def on_a_disk(tmp_path: Path, size: str, then: str = "true") -> str:
    """Export onto a small disk of its own, a tmpfs that this process alone can see; what the export says."""
    disk, program = tmp_path / "disk", tmp_path / "program.py"
    disk.mkdir()
    program.write_text(EXPORT_ONCE_MORE)
    mount = f"mount -t tmpfs -o size={size} none {disk} || exit 77"
    run = f"{quote(sys.executable)} {program} {tmp_path} {disk}"
    script = f"{mount}; cp -r {tmp_path}/source/. {disk} && {then} && {run}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("this machine lets nobody mount a small disk")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A package on a disk, and a log that has grown since: much more text than is left there."""
    chance = Random(1)
    with tell(open_store(tmp_path), judged(1)) as store:
        exported(store, study_of(), tmp_path / "source" / "out")
        (tmp_path / "source" / ".out.lock").unlink()
        for number in range(2, 8):
            text = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz 0123456789", k=200_000))
            tell(store, told("ann", f"c{number}").asks("Long?").answers(text).likes())
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="needs a mount namespace")
def test_a_full_disk_is_told_in_one_line_and_the_old_package_is_untouched(grown: Path) -> None:
    line = on_a_disk(grown, size="900k")
    assert line == (
        f"{grown / 'disk' / 'out'}: cannot write the package (No space left on device); free some space; "
        "the package is as it was"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs a mount namespace")
def test_a_read_only_disk_is_told_in_one_line_and_the_old_package_is_untouched(grown: Path) -> None:
    line = on_a_disk(grown, size="64m", then=f"mount -o remount,ro {grown}/disk")
    assert line == (
        f"{grown / 'disk' / 'out'}: cannot write the package (Read-only file system); name another --out; "
        "the package is as it was"
    )
