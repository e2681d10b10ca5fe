"""Shards come out the same whoever builds them, and a worker that is lost costs a retry, never a row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from labeler.errors import LogError, PackageError
from labeler.export import crews
from labeler.export.building import MADE_WITH, Work, build
from labeler.export.crews import MOST_LOSSES, Crew, built, cluster, crew_of, in_process, processes
from labeler.export.exporter import export
from labeler.store import Store
from tests.export import KEY, exported, files_of, judged, manifest_of, open_store, simulated, study_of, tell
from tests.export.clusters import Cluster, cluster_of
from tests.export.losing import differing, run

STUDY = study_of(dataset={"conversations_per_shard": 10})
SHARDS = 8


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return simulated(open_store(tmp_path_factory.mktemp("log")), 10 * SHARDS, STUDY)


@pytest.fixture(scope="module")
def alone(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a package that one process made."""
    return files_of(exported(store, STUDY, tmp_path_factory.mktemp("alone") / "out").package)


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_of(2, tmp_path_factory.mktemp("dask")) as running:
        yield running


# ── the same bytes ──


def test_two_processes_make_the_bytes_that_one_makes(store: Store, alone: dict[str, bytes], tmp_path: Path) -> None:
    result = export(store, STUDY, tmp_path / "out", key=KEY, crew=processes(2))
    assert (result.shards_written, result.shards_unchanged) == (SHARDS, 0)
    assert files_of(result.package) == alone


def test_a_dask_cluster_makes_the_bytes_that_one_process_makes(
    store: Store, alone: dict[str, bytes], dask: Cluster, tmp_path: Path
) -> None:
    result = export(store, STUDY, tmp_path / "out", key=KEY, crew=cluster(dask.address))
    assert files_of(result.package) == alone


def test_crews_take_turns_on_one_package(store: Store, tmp_path: Path) -> None:
    """What one crew wrote is unchanged for the next, and a late vote is one shard for each."""
    own = tell(open_store(tmp_path), *(judged(number) for number in range(7)))
    out, study = tmp_path / "out", study_of()
    export(own, study, out, key=KEY, crew=processes(2))
    assert export(own, study, out, key=KEY).shards_written == 0
    late = judged(4)
    told_so_far = len(late.events)
    own.append(late.dislikes("a2").events[told_so_far:])
    result = export(own, study, out, key=KEY, crew=processes(2))
    assert (result.shards_written, result.shards_unchanged) == (1, 2)


def test_every_shard_is_reported_once(store: Store, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export(store, STUDY, tmp_path, key=KEY, crew=processes(2), report=lambda done, total: told.append((done, total)))
    assert told == [(done, SHARDS) for done in range(1, SHARDS + 1)]


# ── lost workers ──


class _Losing(Executor):
    """An executor that breaks, as a pool does when one of its processes is killed, after so many shards."""

    def __init__(self, after: int) -> None:
        self._pool, self._left = ThreadPoolExecutor(1), after

    def submit(self, call, /, *arguments, **options):  # type: ignore[no-untyped-def]
        if self._left:
            self._left -= 1
            return self._pool.submit(call, *arguments, **options)
        broken: Future[None] = Future()
        broken.set_exception(BrokenProcessPool("a process was killed"))
        return broken

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def losing(*after: int) -> tuple[Crew, list[int]]:
    """A crew whose first executors break after so many shards each; and how often one was opened."""
    left, opened = list(after), []

    def fresh() -> Executor:
        opened.append(1)
        return _Losing(left.pop(0)) if left else ThreadPoolExecutor(1)

    return Crew(fresh, 2), opened


@pytest.mark.parametrize("after", [(0,), (3,), (SHARDS - 1,), (2, 0, 1)])
def test_what_a_broken_pool_left_over_is_built_by_the_next(
    store: Store, alone: dict[str, bytes], tmp_path: Path, after: tuple[int, ...]
) -> None:
    crew, opened = losing(*after)
    assert files_of(export(store, STUDY, tmp_path / "out", key=KEY, crew=crew).package) == alone
    assert len(opened) == len(after) + 1


def test_a_pool_that_breaks_again_and_again_is_given_up_in_one_line(store: Store, tmp_path: Path) -> None:
    crew, opened = losing(*[0] * 20)
    with pytest.raises(PackageError, match=r"workers were lost 4 times over .* the package is as it was$"):
        export(store, STUDY, tmp_path / "out", key=KEY, crew=crew)
    assert len(opened) == MOST_LOSSES + 1
    assert list(tmp_path.iterdir()) == [tmp_path / ".out.lock"]


def test_a_worker_that_is_killed_costs_a_retry(store: Store, alone: dict[str, bytes], tmp_path: Path) -> None:
    """A real pool, and SIGKILL to one of its processes when the first shard has come back."""
    pools: list[ProcessPoolExecutor] = []
    plain = processes(2)

    @contextmanager
    def opened() -> Iterator[Executor]:
        with plain.opened() as pool:
            assert isinstance(pool, ProcessPoolExecutor)
            pools.append(pool)
            yield pool

    def kill_one(done: int, total: int) -> None:
        if done == 1:
            os.kill(next(iter(pools[0]._processes)), signal.SIGKILL)

    result = export(store, STUDY, tmp_path / "out", key=KEY, crew=replace(plain, opened=opened), report=kill_one)
    assert files_of(result.package) == alone
    assert len(pools) == 2


def test_a_cluster_that_loses_a_worker_midway_loses_no_row(
    store: Store, alone: dict[str, bytes], tmp_path: Path
) -> None:
    with cluster_of(2, tmp_path / "dask") as own:

        def lose_one(done: int, total: int) -> None:
            if done == 1:
                own.lose(0)

        result = export(store, STUDY, tmp_path / "out", key=KEY, crew=cluster(own.address), report=lose_one)
    assert files_of(result.package) == alone


def test_a_cluster_that_loses_its_last_worker_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crews, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(crews, "_LOOK_SECONDS", 0.5)
    with cluster_of(1, tmp_path / "dask") as own:

        def lose_all(done: int, total: int) -> None:
            if done == 1:
                own.lose(0)

        with pytest.raises(PackageError, match="the cluster has had no worker for 1 s"):
            export(store, STUDY, tmp_path / "out", key=KEY, crew=cluster(own.address), report=lose_all)
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_not_there_is_one_line(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crews, "CONNECT_SECONDS", 0.5)
    with pytest.raises(PackageError, match=r"^tcp://127.0.0.1:9: the Dask cluster does not do it \(.*\); look at its"):
        export(store, STUDY, tmp_path / "out", key=KEY, crew=cluster("tcp://127.0.0.1:9"))


def test_workers_end_with_an_export_that_is_killed(store: Store, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\n"
        "from concurrent.futures import wait\n"
        "from labeler.export.crews import processes\n"
        "if __name__ == '__main__':\n"
        "    with processes(2).opened() as pool:\n"
        "        print(*{pool.submit(os.getpid).result() for _ in range(20)}, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, check=False, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert done.returncode == -signal.SIGKILL
    workers = [int(pid) for pid in done.stdout.split()]
    assert workers
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its export"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


# ── what a worker checks ──


@pytest.fixture
def work(store: Store, tmp_path: Path) -> Work:
    """The work of a real export."""
    seen: list[Work] = []

    class Watching(ThreadPoolExecutor):
        def submit(self, call, /, *arguments, **options):  # type: ignore[no-untyped-def]
            seen.append(arguments[0])
            return super().submit(call, *arguments, **options)

    export(store, STUDY, tmp_path / "watched", key=KEY, crew=Crew(lambda: Watching(1), 1))
    return replace(seen[0], folder=tmp_path / "built")


def test_a_shard_is_built_from_its_work_alone(work: Work, alone: dict[str, bytes]) -> None:
    shard = build(work, 3)
    assert {file.path: (work.folder / file.path).read_bytes() for file in shard.files} == {
        path: content for path, content in alone.items() if "-00003-" in path
    }


def test_building_a_shard_twice_at_once_leaves_it_whole(work: Work) -> None:
    threads = [threading.Thread(target=build, args=(work, 0)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shard = build(work, 0)
    assert {path.relative_to(work.folder).as_posix() for path in work.folder.rglob("*.*")} == {
        file.path for file in shard.files
    }


def test_a_worker_of_another_version_refuses(work: Work) -> None:
    with pytest.raises(PackageError, match=f"^a worker makes packages with {MADE_WITH}, the export with pyarrow 1;"):
        build(replace(work, made_with="pyarrow 1"), 0)


def test_a_worker_that_reads_another_log_refuses(work: Work, tmp_path: Path) -> None:
    with simulated(open_store(tmp_path, "other"), 80, STUDY, seed=2) as other:
        url = other.url
    with pytest.raises(PackageError, match="a worker reads another log here than the export does"):
        build(replace(work, database_url=url), 0)


def test_files_that_a_worker_wrote_elsewhere_are_missed(store: Store, tmp_path: Path) -> None:
    """As on a cluster whose machines share no file system."""

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, call, /, *arguments, **options):  # type: ignore[no-untyped-def]
            work, *rest = arguments
            return super().submit(call, replace(work, folder=tmp_path / "elsewhere"), *rest, **options)

    with pytest.raises(PackageError, match="a worker wrote this file, but it is not here"):
        export(store, STUDY, tmp_path / "out", key=KEY, crew=Crew(lambda: Elsewhere(1), 1))
    assert not (tmp_path / "out").exists()


def test_what_a_worker_cannot_read_reaches_the_export_as_it_is(tmp_path: Path) -> None:
    """An error passes from a process to another with its one line."""
    store = tell(open_store(tmp_path), judged(1))
    with store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE events SET body = '{' WHERE position = 3")
    with pytest.raises(LogError, match=r"^event at position 3: its body is not JSON; run labeler verify$"):
        export(store, study_of(), tmp_path / "out", key=KEY, crew=processes(1))


def test_shards_that_nobody_wants_any_more_are_dropped(store: Store, work: Work) -> None:
    shards = built(work, range(SHARDS), in_process())
    next(shards)
    shards.close()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("labeler-shard")] == []
    assert not list(work.folder.rglob(".draft-*"))


# ── options ──


def test_a_crew_is_named_by_one_option(monkeypatch: pytest.MonkeyPatch) -> None:
    assert crew_of().shards_at_once == crew_of(workers=1).shards_at_once == 2
    assert crew_of(workers=4).shards_at_once == 8
    with pytest.raises(PackageError, match="--workers and --scheduler exclude each other"):
        crew_of(2, "tcp://127.0.0.1:8786")
    with pytest.raises(PackageError, match="--workers 1000: name a number from 1 to 256"):
        crew_of(1000)


def test_without_dask_the_option_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "find_spec", lambda name: None)
    with pytest.raises(PackageError, match=r"^--scheduler needs Dask: install labeler\[cluster\]$"):
        crew_of(scheduler="tcp://127.0.0.1:8786")


def test_what_was_there_stays_when_an_export_fails_halfway(tmp_path: Path) -> None:
    own, out = tell(open_store(tmp_path), *(judged(number) for number in range(7))), tmp_path / "out"
    exported(own, study_of(), out)
    before = files_of(out)
    crew, _ = losing(*[1] * 20)
    with pytest.raises(PackageError):
        export(own, study_of(rules={"implicit": True}), out, key=KEY, crew=crew)
    assert files_of(out) == before
    assert manifest_of(out).position == own.position()


# ── the script ──


def test_the_script_that_loses_a_worker_of_a_large_log_holds_it_against_one_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    simulated(open_store(tmp_path), 10 * SHARDS, STUDY).close()
    config = tmp_path / "study.yaml"
    config.write_text(STUDY.model_dump_json(), encoding="utf-8")
    assert run(tmp_path, 0, config) == 0
    told = capfd.readouterr().out
    assert "a worker was killed after" in told
    assert told.endswith("the same bytes in every file\n")


def test_the_script_that_loses_a_worker_would_tell_of_a_difference(store: Store, tmp_path: Path) -> None:
    for name, study in (
        ("one", STUDY),
        ("other", study_of(dataset={"conversations_per_shard": 10}, rules={"implicit": True})),
    ):
        exported(store, study, tmp_path / name)
    assert differing(tmp_path / "one", tmp_path / "one") == []
    assert any(path.startswith("dpo/") for path in differing(tmp_path / "one", tmp_path / "other"))
