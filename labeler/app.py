"""The composition root: here, and only here, a study becomes a running program."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import Scope
from uvicorn import Config

from labeler import __version__
from labeler.accounts import Accounts, Sessions, Tokens, check_key, cookie_key
from labeler.accounts.keys import COOKIES, PSEUDONYMS, VARIABLE
from labeler.api import Api
from labeler.beside import CounterBeside, PusherBeside
from labeler.chat import Comparer, Intake, Overseer, Recorder, Reviewer, Writing
from labeler.core.roles import Role
from labeler.doors import LOCAL, address_of
from labeler.durations import seconds_between
from labeler.errors import LabelerError, StoreError
from labeler.hosts import is_loopback
from labeler.journal import Journal, journaling
from labeler.listening import LISTENING, DrainingServer, allow_many_connections, bound, bracketed
from labeler.metrics import Metrics, PushStanding, Standing
from labeler.models import open_models
from labeler.page import (
    Browsers,
    Cases,
    Entrance,
    Identity,
    Instance,
    Scraping,
    SignedIn,
    Vouched,
    build_page,
    pages_of,
)
from labeler.page.recognition import Recognizer
from labeler.rates import Rate
from labeler.reloading import Reloader
from labeler.signing import Signer
from labeler.store import Store, utc_now
from labeler.store.accounts import all_accounts
from labeler.store.pushes import push_state, push_states
from labeler.store.reviews import item_states
from labeler.study import Study
from labeler.terminal import say
from labeler.watching import Watch, Watches

SECRET_FILE = Path(".labeler/secret")
SECRET_BYTES = 32
PSEUDONYM_HEX = 16
METRICS_TOKEN = "LABELER_METRICS_TOKEN"
DRAIN_SECONDS = 4
# The event loop lets go of the interpreter at each read and write, and gets it back from a thread that computes after
# this long: with Python's 5 ms, some threads that draw pages make everybody wait for seconds.
SWITCH_SECONDS = 0.0005
YOUNG_OBJECTS = 10_000  # Python looks for circles among them at 700, which is some part of every single answer


@dataclass(frozen=True, slots=True)
class App:
    """A study that runs: its page, and the use-cases behind it."""

    study: Study
    store: Store
    recorder: Recorder
    page: FastAPI
    watch: Watch

    def renew(self, study: Study) -> None:
        """Go on with the same study in other words, for pages and conversations that begin from now on."""
        self.page.state.renew(study)
        self.recorder.renew(study)


@contextmanager
def running(
    study: Study,
    *,
    environ: Mapping[str, str] | None = None,
    anybody: Role = "admin",
    local: bool = False,
    journal: Journal | None = None,
) -> Iterator[App]:
    """Open the log, start the models, build the page; on leaving, store running answers and close all of it.

    Where nobody signs in, everybody has the role ``anybody``. ``local``: the page is for this machine alone.
    ``journal`` hears of what the page does.

    Raises:
        StoreError, ModelError, LabelerError: one line each; nothing is left behind.
    """
    environ = os.environ if environ is None else environ
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(study.database_url))
        metrics = Metrics(build_facts(study), partial(standing, study, store, environ))
        watch = store.watch = Watches([metrics, journal]) if journal and journal.talks else metrics
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
        writing.replicas.watch()
        instance = Instance(
            store.source_id,
            writing.replicas.id,
            partial(health, study, store, environ),
            local,
            watch,
            Scraping(metrics.exposition, study.metrics, environ.get(METRICS_TOKEN, "").strip() or None),
        )
        recognizer, entrance = doors(study, store, environ, anybody)
        if journal is not None:
            signer = Signer(cookie_secret(stated=environ.get(VARIABLE, "")), "journal")
            journal.name(lambda annotator_id: signer.mark(annotator_id)[:PSEUDONYM_HEX])
        intake = Intake(writing)
        stack.callback(intake.close)
        page = build_page(cases, study, instance, recognizer, entrance, [(Api, api_options(study, store, intake))])
        yield App(study, store, recorder, page, watch)


def api_options(study: Study, store: Store, intake: Intake) -> dict[str, Any]:
    """How the API stands before the page."""
    tokens, addresses = (Rate(study.limits.calls_per_minute) for _ in range(2))

    def crowd(scope: Scope) -> float | None:
        address = address_of(scope, LOCAL)
        return (addresses.wait(address) or None) if address else None

    return {
        "intake": intake,
        "tokens": Tokens(store, study.name, clock=utc_now),
        "limiter": lambda token_id: tokens.wait(token_id) or None,
        "crowd": crowd,
        "body_seconds": study.limits.body_seconds,
    }


def doors(study: Study, store: Store, environ: Mapping[str, str], anybody: Role) -> tuple[Recognizer, Entrance | None]:
    """How annotators are known, and where they sign in if they do so here.

    Raises:
        LabelerError: what signing in needs is not there.
    """
    secret = cookie_secret(stated=environ.get(VARIABLE, ""))
    browsers = Identity(secret, store.source_id)
    if study.auth.kind == "none":
        return Browsers(browsers, anybody), None
    accounts = Accounts(store)
    if not (study.auth.sign_up and study.auth.kind != "password") and not accounts.listed():
        say("nobody can sign in yet; labeler users add NAME --role admin makes an account")
    if study.auth.kind == "header":
        proxies = [ipaddress.ip_network(proxy) for proxy in study.auth.proxies]
        return Vouched(accounts, study.auth.header.lower().encode(), proxies, study.auth.sign_up, browsers), None
    sessions = Sessions(store, secret, clock=utc_now)
    recognizer = SignedIn(sessions, f"labeler_account_{store.source_id}", browsers)
    hub = None
    if study.auth.kind == "huggingface":
        from labeler.hub import hub_sign_in  # noqa: PLC0415 - loads what exports need

        hub = hub_sign_in(secret, environ)
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


def build_facts(study: Study) -> dict[str, str]:
    """What is running, for metrics."""
    return {"version": __version__, "study": study.name, "gradio": version("gradio")}


def standing(study: Study, store: Store, environ: Mapping[str, str]) -> Standing:
    """How log, pushes and reviews stand, for metrics; a log that cannot be read has no position."""
    try:
        position, now = store.position(), utc_now()
        pushes = [
            PushStanding(
                repo=state.repo,
                age=None if state.pushed_at is None else max(seconds_between(state.pushed_at, now), 0.0),
                behind=position - (state.position or 0),
                failures=state.failures,
            )
            for state in push_states(store)
        ]
        return Standing(position, pushes, item_states(store) if "review" in study.modes else {})
    except StoreError:
        return Standing(None)


@contextmanager
def pushing(study: Study) -> Iterator[PusherBeside]:
    """The pusher that the study asks for; one that does nothing if it asks for none."""
    pusher = PusherBeside(study, os.environ)
    try:
        yield pusher
    finally:
        pusher.end()
        pusher.wait()


def check_keys(study: Study, store: Store, environ: Mapping[str, str], *, new_key: bool) -> None:
    """See that this process has the keys that the log was begun with, as far as it uses them.

    Raises:
        LabelerError: it has another one, and ``new_key`` does not say that it is to be taken.
    """
    check_key(store, COOKIES, cookie_secret(stated=environ.get(VARIABLE, "")), new_key=new_key)
    if study.dataset.push_every is not None:
        from labeler.export.keys import pseudonym_key  # noqa: PLC0415 - loads what exports need

        check_key(store, PSEUDONYMS, pseudonym_key(environ, Path.cwd()), new_key=new_key)


def cookie_secret(path: Path = SECRET_FILE, stated: str = "") -> bytes:
    """The key that signs annotators' cookies: that of the file, which only its owner can read.

    Where there is none, it follows from what LABELER_KEY says (``stated``), which all replicas can be given; without
    that one is made.
    """
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        return cookie_key(stated.strip()) if stated.strip() else _new_secret(path)
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


@dataclass(frozen=True, slots=True)
class Serving:
    """Where and how a study is served. Port 0 takes a free one.

    ``allow_anonymous``: people on other machines need no account. ``new_key``: the keys of this process are the log's
    from now on.
    """

    host: str
    port: int
    allow_anonymous: bool = False
    new_key: bool = False


def serve(
    study: Study,
    how: Serving,
    *,
    announce: Callable[[str], None] = print,
    read_again: Callable[[], Study] | None = None,
) -> None:
    """Serve the page until SIGTERM or SIGINT; running answers are then stored as stopped.

    Any number of processes may serve one log if they have the same keys. ``announce`` gets one line when the page
    answers. ``read_again`` reads the study's file: on SIGHUP what may change of it is taken over.

    Raises:
        LabelerError: the address is not loopback and nobody would sign in, or it cannot be bound; or the keys differ.
    """
    allow_many_connections()
    local = is_loopback(how.host)
    if study.auth.kind == "none" and not (how.allow_anonymous or local):
        raise LabelerError(
            f"{how.host} can be reached by others, and this study has no accounts (auth: none);"
            " serve on 127.0.0.1, set auth, or say --allow-anonymous if anybody may annotate"
        )
    role: Role = "admin" if local else "annotator"
    with (
        bound(how.host, how.port) as listener,
        _written_down(study) as journal,
        pushing(study) as pusher,
        running(study, anybody=role, local=local, journal=journal) as app,
    ):
        check_keys(study, app.store, os.environ, new_key=how.new_key)
        address = f"http://{bracketed(how.host)}:{listener.getsockname()[1]}"
        config = Config(
            app.page,
            log_config=None,  # its loggers speak through the journal
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            **LISTENING,
            # A proxy that names the user is known by its own address, not by whom it speaks for.
            proxy_headers=study.auth.kind != "header",
        )

        def started() -> None:
            _tune_interpreter()
            announce(f"labeler: serving {study.name} at {address}")
            pusher.start()

        def ending() -> None:
            app.recorder.close()
            pusher.end()  # what was just stored is in its last push

        reloader = None if read_again is None else Reloader(study, read_again, app.renew, say, app.watch)
        hangup = None if reloader is None else reloader.reload_soon
        server = DrainingServer(config, on_started=started, before_exit=ending, on_hangup=hangup)
        asyncio.run(server.serve(sockets=[listener]))


def _tune_interpreter() -> None:
    """Set the interpreter up for a process that answers many, once all that stays is there."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()  # what libraries and pages consist of is looked through no more
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


@contextmanager
def _written_down(study: Study) -> Iterator[Journal]:
    """What the page, and every library in this process, has to say goes to stderr in the form that the study wants."""
    journal = Journal(study.log, sys.stderr, utc_now)
    try:
        with journaling(journal, debug="LABELER_DEBUG" in os.environ):
            yield journal
    finally:
        journal.close()
