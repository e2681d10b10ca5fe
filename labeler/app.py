"""The composition root: here, and only here, a study becomes a running program."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from uvicorn import Config, Server

from labeler.accounts import Accounts, Sessions
from labeler.beside import CounterBeside, PusherBeside
from labeler.chat import Comparer, Overseer, Recorder, Reviewer, Writing
from labeler.core.roles import Role
from labeler.errors import LabelerError
from labeler.listening import LISTENING, allow_many_connections
from labeler.models import open_models
from labeler.page import Browsers, Cases, Entrance, Identity, Instance, SignedIn, Vouched, build_page, pages_of
from labeler.page.recognition import Recognizer
from labeler.store import Store, utc_now
from labeler.store.accounts import all_accounts
from labeler.store.pushes import push_state
from labeler.study import Study
from labeler.terminal import say

SECRET_FILE = Path(".labeler/secret")
SECRET_BYTES = 32
DRAIN_SECONDS = 4
FAREWELL_SECONDS = 1


@dataclass(frozen=True, slots=True)
class App:
    """A study that runs: its page, and the use-cases behind it."""

    study: Study
    store: Store
    recorder: Recorder
    page: FastAPI


@contextmanager
def running(
    study: Study, *, environ: Mapping[str, str] | None = None, anybody: Role = "admin", local: bool = False
) -> Iterator[App]:
    """Open the log, start the models, build the page; on leaving, store running answers and close all of it.

    Where nobody signs in, everybody has the role ``anybody``. ``local``: the page is for this machine alone.

    Raises:
        StoreError, ModelError, LabelerError: one line each; nothing is left behind.
    """
    environ = os.environ if environ is None else environ
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(study.database_url))
        models = stack.enter_context(open_models(study.models, environ))
        writing = Writing(study, store, models, clock=utc_now)
        recorder = Recorder(writing)
        counter = CounterBeside(store.url, store.position, consent_needed=study.consent is not None)
        stack.callback(counter.end)
        cases = Cases(
            recorder,
            Overseer(store, utc_now, counter, partial(account_names, store)),
            Comparer(writing) if "compare" in study.modes else None,
            Reviewer(writing, utc_now) if "review" in study.modes else None,
        )
        stack.callback(recorder.close)
        instance = Instance(store.source_id, secrets.token_hex(8), partial(health, study, store, environ), local)
        recognizer, entrance = doors(study, store, environ, anybody)
        yield App(study, store, recorder, build_page(cases, study, instance, recognizer, entrance))


def doors(study: Study, store: Store, environ: Mapping[str, str], anybody: Role) -> tuple[Recognizer, Entrance | None]:
    """How annotators are known, and where they sign in if they do so here.

    Raises:
        LabelerError: what signing in needs is not there.
    """
    browsers = Identity(cookie_secret(), store.source_id)
    if study.auth.kind == "none":
        return Browsers(browsers, anybody), None
    accounts = Accounts(store)
    if not (study.auth.sign_up and study.auth.kind != "password") and not accounts.listed():
        say("nobody can sign in yet; labeler users add NAME --role admin makes an account")
    if study.auth.kind == "header":
        proxies = [ipaddress.ip_network(proxy) for proxy in study.auth.proxies]
        return Vouched(accounts, study.auth.header.lower().encode(), proxies, study.auth.sign_up, browsers), None
    sessions = Sessions(store, cookie_secret(), clock=utc_now)
    recognizer = SignedIn(sessions, f"labeler_account_{store.source_id}", browsers)
    hub = None
    if study.auth.kind == "huggingface":
        from labeler.hub import hub_sign_in  # noqa: PLC0415 - loads what exports need

        hub = hub_sign_in(cookie_secret(), environ)
    return recognizer, Entrance(
        study.title, accounts, sessions, recognizer, pages_of(study), sign_up=study.auth.sign_up, hub=hub
    )


def account_names(store: Store) -> dict[str, str]:
    """What the accounts are called, by annotator id."""
    return {account.annotator_id: account.name for account in all_accounts(store)}


def health(study: Study, store: Store, environ: Mapping[str, str]) -> dict[str, Any]:
    """How far the log goes and, where the study is pushed as it grows, how far the repo has followed.

    Raises:
        StoreError: the log cannot be read.
    """
    position = store.position()
    if study.dataset.push_every is None or study.dataset.repo is None:
        return {"position": position}
    from labeler.hub import repo_here  # noqa: PLC0415 - loads what exports need

    address = repo_here(study.dataset.repo, environ).address
    return {"position": position, "sync": push_state(store, address).facts(position, utc_now())}


@contextmanager
def pushing(study: Study) -> Iterator[PusherBeside]:
    """The pusher that the study asks for; one that does nothing if it asks for none."""
    pusher = PusherBeside(study, os.environ)
    try:
        yield pusher
    finally:
        pusher.end()
        pusher.wait()


def cookie_secret(path: Path = SECRET_FILE) -> bytes:
    """The key that signs annotators' cookies, made on first use and readable by its owner only."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        return _new_secret(path)
    except OSError as error:
        raise LabelerError(f"{path}: cannot read the cookie secret ({error.strerror})") from error
    if len(secret) < SECRET_BYTES:  # whoever guesses it can be anybody
        raise LabelerError(f"{path}: the cookie secret is cut short; restore it, or delete the file for a new one")
    return secret


def _new_secret(path: Path) -> bytes:
    """Write it whole beside its place and link it there: of two first starts one wins, and nobody reads half a key."""
    secret = secrets.token_bytes(SECRET_BYTES)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_bytes()
    except OSError as error:
        raise LabelerError(f"{path}: cannot write the cookie secret ({error.strerror})") from error


def serve(
    study: Study, *, host: str, port: int, allow_anonymous: bool = False, announce: Callable[[str], None] = print
) -> None:
    """Serve the page until SIGTERM or SIGINT; running answers are then stored as stopped.

    ``announce`` gets one line when the page answers. Port 0 takes a free one.

    Raises:
        LabelerError: the address is not loopback and nobody would sign in, or it cannot be bound.
    """
    allow_many_connections()
    local = is_loopback(host)
    if study.auth.kind == "none" and not (allow_anonymous or local):
        raise LabelerError(
            f"{host} can be reached by others, and this study has no accounts (auth: none);"
            " serve on 127.0.0.1, set auth, or say --allow-anonymous if anybody may annotate"
        )
    role: Role = "admin" if local else "annotator"
    with _bound(host, port) as listener, pushing(study) as pusher, running(study, anybody=role, local=local) as app:
        address = f"http://{_bracketed(host)}:{listener.getsockname()[1]}"
        config = Config(
            app.page,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            **LISTENING,
            # A proxy that names the user is known by its own address, not by whom it speaks for.
            proxy_headers=study.auth.kind != "header",
        )

        def started() -> None:
            announce(f"labeler: serving {study.name} at {address}")
            pusher.start()

        def ending() -> None:
            app.recorder.close()
            pusher.end()  # what was just stored is in its last push

        server = _Server(config, on_started=started, before_exit=ending)
        asyncio.run(server.serve(sockets=[listener]))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(Server):
    """uvicorn, ended by a signal without passing the signal on: a served page that drained exits with 0."""

    def __init__(self, config: Config, *, on_started: Callable[[], None], before_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._before_exit = before_exit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._before_exit)
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, self._hang_up)
        await super().shutdown(sockets)

    def _hang_up(self) -> None:
        """End the streams that pages keep open for as long as they are shown: by now they have said all there is.

        Left open they would be cancelled when the drain is over, and each be reported as a failure.
        """
        for connection in self.server_state.connections:
            connection.transport.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread only; whoever runs us elsewhere sets should_exit
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on: an answer is written in two parts, and the second one would
    # wait 40 ms for the acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise LabelerError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --host and --port"
        ) from error
    try:
        yield listener
    finally:
        listener.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
