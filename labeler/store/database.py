"""What a database is to this package: how it is named, its kinds of transactions, what its errors mean to a person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from labeler.errors import StoreError

EXPECTED = "write it as sqlite:///FILE, or as postgresql+psycopg://USER@HOST/NAME"


class ContentionError(StoreError):
    """The database ended a transaction for the sake of another: what was in it can be tried again, in smaller bits."""


class LockedError(StoreError):
    """Others hold for too long what a transaction needs."""


class Database(ABC):
    """Connections of two kinds: many that only read, and those that write.

    What reads first and then writes by what it read (``writing``) is alone in doing so, whatever other processes do;
    an append (``appending``) need not be, since constraints refuse what does not fit.
    """

    name: str
    """Names it to a person; never with a password."""

    driver_error: type[Exception]
    """What the driver raises by itself, when its own cursors are read."""

    erased: str
    """What has become of a text that was overwritten and scrubbed, in the words of a receipt."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Opens it in any process on this machine. It may hold a password: it is never shown."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees what is committed. Raises StoreError."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection that sees one state, however long it reads and whoever writes meanwhile. Raises StoreError."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction beside which no other of its kind runs: on disk when the block is left, or gone if it raises.

        Raises:
            StoreError: it could not be begun or committed; constraint errors inside the block pass as they are.
        """

    @abstractmethod
    def appending(self) -> AbstractContextManager[Connection]:
        """As ``writing``, for events at the end of streams; others may append at the same time.

        Raises:
            ContentionError: the database ended it for the sake of another; nothing of it is stored.
        """

    @abstractmethod
    def halt_appends(self, connection: Connection) -> None:
        """Within ``writing``: from now to its end nobody appends; what is read of a stream stays its last word."""

    @abstractmethod
    def scrub(self) -> str | None:
        """Let go of what was overwritten for good. Gives the place that still holds it, if somebody is in the way."""

    @abstractmethod
    def damages(self) -> Iterator[str]:
        """What the database itself finds wrong with how it keeps things."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether a log was begun here. Makes nothing."""

    @abstractmethod
    def prepare(self) -> None:
        """See that a log can be begun or opened here; what it needs around it is made.

        Raises:
            StoreError: it cannot; the driver would say so later and in fewer words.
        """

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def meaning(self, error: BaseException | None) -> str:
        """What an error of the driver means, and what to do."""

    def advice(self, error: BaseException | None) -> str:
        """The same with the driver's own words in brackets."""
        return f"{self.meaning(error)} ({said_by(error)})"

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the driver's errors into one line that names the database and what to do."""
        try:
            yield
        except IntegrityError:
            raise  # a constraint fired: the database is well, and who wrote knows what it means
        except DBAPIError as error:
            raise self.error(error.orig) from error
        except self.driver_error as error:
            raise self.error(error) from error

    def error(self, error: BaseException | None) -> StoreError:
        return self.kind(error)(self.meaning(error), self.name, said_by(error))

    def kind(self, error: BaseException | None) -> type[StoreError]:
        """Whether an error of the driver calls for something special."""
        return StoreError


def said_by(error: BaseException | None) -> str:
    """What a driver says, in one line."""
    return " ".join(str(error).split())


def parsed(url: str) -> URL:
    """A database URL in its parts.

    Raises:
        StoreError: it has none.
    """
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Not shown: what does not parse may still hold a password.
        raise StoreError(f"that database URL cannot be read; {EXPECTED}") from None


def dialect_of(url: str) -> str:
    """The kind of database that a URL names: ``sqlite`` or ``postgresql``.

    Raises:
        StoreError: another kind, or none.
    """
    drivername = parsed(url).drivername
    if drivername in ("sqlite", "sqlite+pysqlite"):
        return "sqlite"
    if drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return "postgresql"
    raise StoreError(f"unknown kind of database '{drivername}'; {EXPECTED}")
