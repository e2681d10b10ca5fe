"""The contract of a backup: everything, of one moment, proven, or nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeler.errors import LogError, StoreError
from labeler.keeping import backup, restore
from labeler.store import Store
from labeler.store.archive import Archive
from labeler.store.index import differences
from labeler.store.kept import DERIVED_TABLES, kept_tables
from labeler.store.positions import settle
from labeler.store.schema import accounts, metadata
from labeler.store.transfer import dump
from labeler.store.verify import verify_log
from tests.histories import histories
from tests.keeping import a_log, a_row, beside, fill, rows_of, state_of
from tests.postgres_server import PostgresServer
from tests.store.conftest import Place
from tests.store.made import made
from tests.stories import told

KEPT = {"events", "accounts", "ended_sessions", "pushes", "review_leases", "spans"}


def dump_of(store: Store, path: Path) -> bytes:
    with path.open("wb") as out:
        dump(store, out)
    return path.read_bytes()


# ── what is in it ──


def test_every_table_is_either_kept_or_can_be_derived() -> None:
    assert not kept_tables().keys() & DERIVED_TABLES
    assert kept_tables().keys() | DERIVED_TABLES == metadata.tables.keys()
    assert kept_tables().keys() >= KEPT


def test_the_log_in_it_is_a_dump_to_the_byte(store: Store, tmp_path: Path) -> None:
    a_log(store)
    taken = backup(store, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.read("events.jsonl") == dump_of(store, tmp_path / "log.jsonl")
    assert taken.manifest.digest == verify_log(store).digest
    assert (taken.manifest.source_id, taken.manifest.position) == (store.source_id, store.position())
    assert taken.proof is not None
    assert taken.proof.ok


def test_a_backup_of_the_same_state_has_the_same_members_to_the_byte(store: Store, tmp_path: Path) -> None:
    a_log(store)
    members = []
    for name in ("1.zip", "2.zip"):
        backup(store, tmp_path / name, prove=False)
        with zipfile.ZipFile(tmp_path / name) as archive:
            facts = json.loads(archive.read("manifest.json")) | {"made_at": ""}
            members.append(({one.filename: one.CRC for one in archive.infolist()} | {"manifest.json": 0}, facts))
    assert members[0] == members[1]


def test_only_its_owner_can_read_it_though_others_could_read_what_was_there(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    path.touch(0o644)
    backup(store, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["b.zip"]


def test_a_log_that_is_not_sound_gives_no_backup_and_leaves_the_last_one(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    a_log(store)
    backup(store, path)
    before = path.read_bytes()
    store.append([made("e1", "c9", payload=told("ann", "c9").asks("Hm?").events[-1].payload)])  # never begun
    with pytest.raises(LogError, match=r"b\.zip: not written, the log is not sound: .*; run labeler verify"):
        backup(store, path)
    assert path.read_bytes() == before
    assert backup(store, path, prove=False).proof is None


@pytest.mark.parametrize("to", ["nowhere/b.zip", "."])
def test_a_place_that_holds_no_file_is_named(store: Store, tmp_path: Path, to: str) -> None:
    with pytest.raises((LogError, FileNotFoundError)) as refused:
        backup(store, tmp_path / to)
    assert str(tmp_path) in str(refused.value)


# ── there and back ──


def test_what_is_restored_is_what_was_kept(place: Place, other_place: Place, tmp_path: Path) -> None:
    with place.open() as store, other_place.open() as other:
        a_log(store)
        fill(store, accounts, [ACCOUNT])
        backup(store, tmp_path / "b.zip")
        manifest = restore(other, tmp_path / "b.zip")
        assert list(other.scan()) == list(store.scan())
        assert other.source_id == store.source_id == manifest.source_id
        assert state_of(other) == state_of(store) == manifest.tables
        with other.database.reading() as connection:
            assert list(differences(connection)) == []
        other.append([made("next", "c8")])  # and it goes on
        assert verify_log(other).position == manifest.position + 1


ACCOUNT = {
    "name": "ann",
    "annotator_id": "ann",
    "role": "admin",
    "made_at": "2026-11-22T10:00:00.000000Z",
    "password": "$argon2id$…",
    "subject": None,
    "disabled": False,
    "epoch": 3,
    "failures": 0,
    "locked_until": None,
}


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=histories("c1"),
    second=histories("c2", ("bob", "ann")),
    rows=st.fixed_dictionaries({table.name: rows_of(table) for table in beside()}),
)
def test_any_log_and_any_tables_beside_it_come_back(first, second, rows) -> None:  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.zip"
        with Store.open(f"sqlite:///{folder}/1.db") as one, Store.open(f"sqlite:///{folder}/2.db") as two:
            for gesture in (first.events, second.events):
                one.append(gesture)
            for table in beside():
                fill(one, table, rows[table.name])
            backup(one, path, prove=False)
            restore(two, path)
            assert state_of(two) == state_of(one)
            assert list(two.scan()) == list(one.scan())
            with two.database.reading() as connection:
                assert list(differences(connection)) == []


def test_a_backup_taken_while_others_append_is_a_prefix_of_the_log(
    place: Place, other_place: Place, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.store.writing", place.url, "c", "4", "1000000"]
    with place.open() as store, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        drained = threading.Thread(target=writing.stdout.read, daemon=True)
        drained.start()
        try:
            before = store.position()
            manifest = backup(store, tmp_path / "b.zip", prove=False).manifest
            after = store.position()
        finally:
            writing.kill()
            drained.join(10)
        assert before <= manifest.position <= after
        with other_place.open() as other:
            restore(other, tmp_path / "b.zip")
            assert list(other.scan()) == list(store.scan(upto=manifest.position))
            with other.database.reading() as connection:
                assert list(differences(connection)) == []


def test_a_backup_with_fewer_columns_than_the_tables_have_by_now_is_taken(store: Store, tmp_path: Path) -> None:
    """One that an older labeler made: what it did not know is what a table puts there by itself."""
    path = tmp_path / "b.zip"
    with Store.open(f"sqlite:///{tmp_path}/old.db") as old:
        a_log(old)
        fill(old, accounts, [ACCOUNT])
        backup(old, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    row = json.loads(members["accounts.jsonl"])
    del row["locked_until"]
    rewrite(path, members, {"accounts": [row]})
    restore(store, path)
    with store.database.reading() as connection:
        assert connection.execute(accounts.select()).one().locked_until is None


def rewrite(path: Path, members: dict[str, bytes], tables: dict[str, list[dict[str, object]]]) -> None:
    """The same archive with other rows in some tables, and a manifest that fits them."""
    manifest = json.loads(members["manifest.json"])
    for name, rows in tables.items():
        lines = b"".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for row in rows)
        members[f"{name}.jsonl"] = lines
        columns = list(rows[0]) if rows else manifest["tables"][name]["columns"]
        sha256 = hashlib.sha256(lines).hexdigest()
        manifest["tables"][name] = {"columns": columns, "rows": len(rows), "sha256": sha256}
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


# ── what is refused ──


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup's bytes."""
    folder = tmp_path_factory.mktemp("whole")
    with Store.open(f"sqlite:///{folder}/log.db") as store:
        a_log(store)
        fill(store, accounts, [ACCOUNT])
        backup(store, folder / "b.zip")
    return (folder / "b.zip").read_bytes()


def restored(content: bytes) -> dict[str, object] | str:
    """What a database holds after such a backup, or the line that refused it: then it holds what it held."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.zip"
        path.write_bytes(content)
        with Store.open(f"sqlite:///{folder}/log.db") as store:
            before, line = state_of(store), ""
            try:
                restore(store, path)
            except (LogError, StoreError) as refused:
                line = str(refused)
            if not line:
                return dict(state_of(store))
            assert state_of(store) == before
            assert line.startswith(str(path))
            assert "\n" not in line
            return line.removeprefix(str(path))


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(whole: bytes, at: float, by: int) -> None:
    """Some bytes of a zip file say nothing, the time of a member for example."""
    place = int(at * len(whole))
    found = restored(whole[:place] + bytes([whole[place] ^ by]) + whole[place + 1 :])
    assert isinstance(found, str) or found == restored(whole)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True))
def test_a_backup_that_was_cut_short_is_refused(whole: bytes, at: float) -> None:
    assert (
        restored(whole[: int(at * len(whole))])
        == ": this is no backup, or one that was cut short or damaged; take another"
    )


def tampered(
    whole: bytes, folder: Path, rewritten: dict[str, object] | None = None, **facts: object
) -> dict[str, object] | str:
    """What becomes of a backup in which somebody wrote something else, with its digests made to fit."""
    path = folder / "tampered.zip"
    path.write_bytes(whole)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    rows = {
        name: [json.loads(line) for line in members[f"{name}.jsonl"].splitlines()] for name in ("events", "accounts")
    }
    changed = {name: change(rows[name]) for name, change in (rewritten or {}).items()}  # type: ignore[operator]
    rewrite(path, members, changed)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | facts).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return restored(path.read_bytes())


FACTS = {
    "another source": ({"source_id": "another"}, ": what it holds contradicts its manifest; take another backup"),
    "another last event": ({"last_event": "another"}, ": what it holds contradicts its manifest; take another backup"),
    "another position": ({"position": 3}, ": it has not as many events as its manifest states; take another backup"),
    "another format": ({"format": "else"}, ": its manifest cannot be read (format: "),
    "a key too many": ({"more": 1}, ": its manifest cannot be read (more: "),
    "no tables": ({"tables": {}}, ": it holds other files than its manifest names; take another backup"),
    "a later version": ({"version": 2}, ": this backup was made by a newer labeler; update labeler"),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_manifest_that_says_otherwise_is_refused_with_a_line(whole: bytes, tmp_path: Path, fact: str) -> None:
    facts, line = FACTS[fact]
    assert str(tampered(whole, tmp_path, **facts)).startswith(line)


TABLES = {
    "a column that no table has": ("accounts", lambda rows: [row | {"more": 1} for row in rows], "newer labeler"),
    "a number for a text": ("accounts", lambda rows: [row | {"role": 7} for row in rows], "does not take"),
    "a list for a text": ("accounts", lambda rows: [row | {"role": ["admin"]} for row in rows], "does not take"),
    "nothing where something must be": (
        "accounts",
        lambda rows: [row | {"role": None} for row in rows],
        "does not take",
    ),
    "the same row twice": ("accounts", lambda rows: rows * 2, "does not take"),
    "another text in an event": (
        "events",
        lambda rows: [*rows[:2], rows[2] | {"at": "now"}, *rows[3:]],
        "line 3: key 'at'",
    ),
    "an event of no kind": (
        "events",
        lambda rows: [*rows[:2], rows[2] | {"kind": "x"}, *rows[3:]],
        "line 3: unknown event",
    ),
    "events in another order": ("events", lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], "line 2: position 3"),
}


@pytest.mark.parametrize("change", TABLES)
def test_rows_that_no_database_takes_are_refused_with_a_line(whole: bytes, tmp_path: Path, change: str) -> None:
    name, changed, reason = TABLES[change]
    assert reason in str(tampered(whole, tmp_path, {name: changed}))


def test_a_member_that_the_manifest_does_not_name_is_refused(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "more.zip"
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.jsonl", b"{}\n")
    assert restored(path.read_bytes()) == ": it holds other files than its manifest names; take another backup"


def test_what_is_no_file_is_named(store: Store, tmp_path: Path) -> None:
    for path, line in ((tmp_path / "none", "there is no such file"), (tmp_path, "this is a folder")):
        with pytest.raises(LogError, match=line), Archive.open(path):
            pass


@pytest.mark.parametrize("table", ["events", *(table.name for table in beside())])
def test_a_database_that_holds_anything_is_refused_and_left_as_it_is(
    store: Store, tmp_path: Path, whole: bytes, table: str
) -> None:
    (tmp_path / "b.zip").write_bytes(whole)
    if table == "events":
        store.append([made("e1", "c1")])
    else:
        fill(store, kept_tables()[table], [a_row(kept_tables()[table])])
    before = state_of(store)
    with pytest.raises(StoreError, match=rf"not empty \(\d+ rows in its table {table}\); name one that is"):
        restore(store, tmp_path / "b.zip")
    assert state_of(store) == before


KILLED = """
import os, sys
from pathlib import Path
from labeler.store import Store
from labeler.store.archive import Archive, restoring
with Store.open(sys.argv[1]) as store, Archive.open(Path(sys.argv[2])) as archive, restoring(store, archive):
    os._exit(9)  # all is written, and nothing is committed
"""


def test_a_restore_that_is_killed_leaves_an_empty_database_that_takes_another(
    tmp_path: Path, place: Place, whole: bytes
) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(whole)
    killed = subprocess.run([sys.executable, "-c", KILLED, place.url, str(path)], check=False)
    assert killed.returncode == 9
    with place.open() as store:
        assert store.position() == 1
        assert restore(store, path).position == store.position() > 1


@pytest.mark.parametrize("ends", ["committed", "rolled back"])
def test_what_was_acknowledged_before_is_in_a_backup_though_an_older_transaction_was_open(
    postgres: PostgresServer, tmp_path: Path, ends: str
) -> None:
    """Until that ends, what was stored after it began has no position."""
    with (
        postgres.database() as name,
        Store.open(postgres.url(name)) as store,
        psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres", dbname=name) as slow,
    ):
        slow.execute("INSERT INTO accounts VALUES ('slow', 'slow', 'admin', 'then', NULL, NULL, false, 0, 0, NULL)")
        store.append(told().asks("Why?").events)
        assert store.position() == 1
        with pytest.raises(StoreError, match=r"another program keeps a transaction open.*; end it and run this again"):
            settle(store.database, 0.2)
        ending = threading.Timer(0.5, slow.commit if ends == "committed" else slow.rollback)
        ending.start()
        manifest = backup(store, tmp_path / "b.zip").manifest
        ending.join()
        assert manifest.position == 1 + len(told().asks("Why?").events)
        assert manifest.tables["accounts"].rows == (1 if ends == "committed" else 0)
