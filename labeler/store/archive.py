"""A backup: the whole state of a database in one file, from which a database of any kind can be made again.

It is a zip file, so that every unpacker opens it: ``events.jsonl`` is what ``labeler log dump`` writes, every other
table is JSON Lines, too, and ``manifest.json`` says what there is, with a digest of each. A file that was cut short has
no directory at its end, and one that was changed has another digest: neither is taken.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Self
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from labeler import __version__
from labeler.errors import LogError, StoreError
from labeler.store import queries
from labeler.store.kept import ROWS_AT_ONCE, Digest, Held, columns_of, held_by, kept_tables, lines_of
from labeler.store.positions import number_within, settle
from labeler.store.schema import events
from labeler.store.store import Store
from labeler.store.transfer import load_lines

MANIFEST = "manifest.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's own: the same state gives the same entries, whenever it is kept
UNREADABLE = (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
NO_BACKUP = "this is no backup, or one that was cut short or damaged; take another"


class Manifest(BaseModel):
    """What a backup holds. ``last_event`` is the id of the event at ``position``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["labeler-backup"] = "labeler-backup"
    version: Literal[1] = 1
    labeler: str = __version__
    made_at: str
    source_id: str
    position: Annotated[int, Field(ge=1)]
    last_event: str
    tables: dict[str, Held]

    def facts(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """SHA-256 of the log's dump, as ``labeler verify`` says it."""
        return self.tables[events.name].sha256


# ── writing ──


def write_archive(store: Store, file: BinaryIO, *, at: str) -> Manifest:
    """Write a backup of one moment's state. Whoever appends meanwhile is not hindered, and is not in it."""
    settle(store.database)
    with store.database.snapshot() as connection, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        held = {name: _write_table(archive, connection, table) for name, table in kept_tables().items()}
        position = connection.scalars(queries.last_position).one()
        manifest = Manifest(
            made_at=at,
            source_id=connection.scalars(queries.first_stream).one(),
            position=position,
            last_event=connection.scalars(queries.event_at, {"position": position}).one(),
            tables=held,
        )
        archive.writestr(_entry(MANIFEST), manifest.model_dump_json(indent=1))
    return manifest


def _write_table(archive: ZipFile, connection: Connection, table: Table) -> Held:
    digest = Digest(columns_of(table))
    with archive.open(_entry(f"{table.name}.jsonl"), "w", force_zip64=True) as out:
        for chunk in digest.through(lines_of(connection, table, columns_of(table))):
            out.write(b"".join(chunk))
    return digest.held


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def unmoved(store: Store, manifest: Manifest) -> bool:
    """Whether a database still holds what a backup of it holds."""
    with store.database.snapshot() as connection:
        return _unmoved(connection, manifest)


@contextmanager
def standing_still(store: Store, manifest: Manifest) -> Iterator[bool]:
    """As ``unmoved``; until the block is left nobody can write to the database."""
    with store.database.writing() as connection:
        store.database.halt_appends(connection)
        number_within(connection)
        yield _unmoved(connection, manifest)


def _unmoved(connection: Connection, manifest: Manifest) -> bool:
    """Whatever changes events adds one, so they are counted, with or without a position, and not read again."""
    shapes = {name: held.columns for name, held in manifest.tables.items() if name != events.name}
    held = {name: manifest.tables[name] for name in shapes}
    stored = connection.scalars(select(func.count()).select_from(events)).one()
    return stored == manifest.position and held_by(connection, shapes) == held


# ── reading ──


class Archive:
    """A backup that is read. Every method raises LogError, one line, when it is not what it should be."""

    def __init__(self, path: Path, archive: ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.manifest = self._manifest()

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a backup and read its manifest."""
        with ExitStack() as stack:
            with _reading(path):
                archive = stack.enter_context(ZipFile(path))
            yield cls(path, archive)

    def lines(self, name: str) -> Iterator[bytes]:
        """The rows of a table; when all are read they were those that the manifest states, or it raises."""
        held = self.manifest.tables[name]
        digest = Digest(held.columns)
        with _reading(self.path), self._archive.open(f"{name}.jsonl") as entry:
            for chunk in digest.through(entry):
                yield from chunk
        if digest.held != held:
            raise self._damaged(f"{name}.jsonl is not what its manifest states")

    def check(self) -> None:
        """Read all of it."""
        for name in self.manifest.tables:
            for _ in self.lines(name):
                pass

    def _manifest(self) -> Manifest:
        names = self._archive.namelist()
        if MANIFEST not in names:
            raise LogError(f"{self.path}: {NO_BACKUP}")
        try:
            with _reading(self.path):
                manifest = Manifest.model_validate_json(self._archive.read(MANIFEST))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "all of it"
            if where == "version":
                raise LogError(f"{self.path}: this backup was made by a newer labeler; update labeler") from error
            raise self._damaged(f"its manifest cannot be read ({where}: {first['msg']})") from error
        if sorted(names) != sorted([MANIFEST, *(f"{name}.jsonl" for name in manifest.tables)]):
            raise self._damaged("it holds other files than its manifest names")
        if events.name not in manifest.tables or manifest.tables[events.name].rows != manifest.position:
            raise self._damaged("it has not as many events as its manifest states")
        return manifest

    def _damaged(self, why: str) -> LogError:
        return LogError(f"{self.path}: {why}; take another backup")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of whatever is wrong with a file what it is to a person."""
    try:
        yield
    except FileNotFoundError as error:
        raise LogError(f"{path}: there is no such file; name what labeler backup wrote") from error
    except IsADirectoryError as error:
        raise LogError(f"{path}: this is a folder; name what labeler backup wrote") from error
    except UNREADABLE as error:
        raise LogError(f"{path}: {NO_BACKUP}") from error


# ── putting back ──


@contextmanager
def restoring(store: Store, archive: Archive) -> Iterator[None]:
    """Put a backup into an empty database, in one transaction that is committed when the block is left.

    What was stored is read again inside it, and is what the manifest states.

    Raises:
        StoreError: the database is not empty, or cannot be written.
        LogError: the backup cannot be read, was tampered with, or is of a newer labeler.
    """
    with store.database.writing() as connection:
        store.database.halt_appends(connection)
        check_empty(store, connection)
        _check_known(archive)
        load_lines(store, connection, Path(f"{archive.path}: events.jsonl"), archive.lines(events.name))
        for name in archive.manifest.tables:
            if name != events.name:
                _fill(connection, archive, name)
        _check_stored(connection, archive)
        yield


def check_empty(store: Store, connection: Connection) -> None:
    """See that nothing was ever put into a database but the beginning of a log.

    Raises:
        StoreError: it holds something.
    """
    for name, table in kept_tables().items():
        rows = connection.scalars(select(func.count()).select_from(table)).one()
        if rows > (1 if table is events else 0):
            why = f"this database is not empty ({rows:,} rows in its table {name})"
            raise StoreError(f"{store.name}: {why}; name one that is, or that is not there yet")


def _check_known(archive: Archive) -> None:
    known = {name: set(columns_of(table)) for name, table in kept_tables().items()}
    held = archive.manifest.tables
    if any(not set(held[name].columns) <= known.get(name, set()) for name in held):
        raise LogError(f"{archive.path}: this backup was made by a newer labeler; update labeler")


def _fill(connection: Connection, archive: Archive, name: str) -> None:
    table, lines = kept_tables()[name], archive.lines(name)
    types = {column: table.columns[column].type.python_type for column in archive.manifest.tables[name].columns}
    try:
        while chunk := [_row(line, types) for line in islice(lines, ROWS_AT_ONCE)]:
            connection.execute(insert(table), chunk)
    except (ValueError, IntegrityError) as error:
        why = f"{name}.jsonl holds rows that its table does not take; nothing was restored"
        raise LogError(f"{archive.path}: {why}") from error


def _row(line: bytes, types: Mapping[str, type]) -> dict[str, Any]:
    """The columns of a line. Raises ValueError: they are others, or of other types."""
    row = orjson.loads(line)
    if not isinstance(row, dict) or row.keys() != types.keys():
        raise ValueError("other columns")
    if not all(value is None or isinstance(value, types[name]) for name, value in row.items()):
        raise ValueError("other types")
    return row


def _check_stored(connection: Connection, archive: Archive) -> None:
    manifest = archive.manifest
    shapes = {name: held.columns for name, held in manifest.tables.items()}
    stored = held_by(connection, shapes)
    source_id = connection.scalars(queries.first_stream).one()
    last = connection.scalars(queries.event_at, {"position": manifest.position}).one()
    if (stored, source_id, last) != (manifest.tables, manifest.source_id, manifest.last_event):
        raise LogError(f"{archive.path}: what it holds contradicts its manifest; take another backup")
