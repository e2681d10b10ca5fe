"""The page: what annotators see and touch. Gradio lives here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from labeler.chat import LISTED, Comparer, Overseer, Recorder, Reviewer
from labeler.core.roles import Visitor
from labeler.doors import LOCAL, Network
from labeler.page.access import Access, RouteNames
from labeler.page.assets import Assets
from labeler.page.blocks import build_blocks, redraw, theme
from labeler.page.comparing import CompareScreen, build_compare
from labeler.page.crowds import Crowds
from labeler.page.document import Document
from labeler.page.entrance import Entrance, HubSignIn
from labeler.page.gate import Gate
from labeler.page.gestures import PATH as GESTURES
from labeler.page.gestures import Gestures
from labeler.page.identity import Identity
from labeler.page.insights import InsightsScreen, build_insights
from labeler.page.pages import Page, open_to, pages_of
from labeler.page.probe import Probe, Scraping
from labeler.page.recognition import Browsers, Recognition, Recognizer, SignedIn, Vouched, visitor_in
from labeler.page.reviewing import ReviewScreen, build_review
from labeler.page.routes import Routes
from labeler.page.screens import ChatScreen, Screen
from labeler.page.shield import Shield, Terms
from labeler.page.tabs import Tabs
from labeler.page.toolkit import NO_TELEMETRY, gr
from labeler.page.turns import Turns
from labeler.rates import Rate, Seats
from labeler.study import Study
from labeler.watching import SILENT, Watch

__all__ = [
    "Browsers",
    "Cases",
    "Entrance",
    "HubSignIn",
    "Identity",
    "Instance",
    "Scraping",
    "SignedIn",
    "Vouched",
    "build_page",
    "pages_of",
]

# Gestures of all tabs that are under way in a page at once. Whoever watches an answer sleeps most of the time, and is
# one of these meanwhile; with the 40 that Gradio has by itself, some dozens of answers would keep everybody waiting.
UNDER_WAY = 1_000
# Page loads of which Gradio remembers what they show, some 50 KB each. One that is forgotten too early is begun anew at
# its next gesture, and loses nothing.
LOADS_KNOWN = 2_000


@dataclass(frozen=True, slots=True)
class Instance:
    """The server process that a page talks to.

    Args:
        source_id: names the log; part of what browsers call their things.
        boot_id: names this process; pages that see another one reload themselves.
        health: what the health route says beside the study's name; StoreError where the log cannot be read.
        local: it is served for this machine alone.
        watch: hears of every request.
        scraping: what the metrics route says, and to whom; without it there is none.
    """

    source_id: str
    boot_id: str
    health: Callable[[], dict[str, Any]]
    local: bool = False
    watch: Watch = SILENT
    scraping: Scraping | None = None


@dataclass(frozen=True, slots=True)
class Cases:
    """The use-cases behind the pages, as far as the study has pages for them."""

    recorder: Recorder
    overseer: Overseer
    comparer: Comparer | None = None
    reviewer: Reviewer | None = None


def build_page(
    cases: Cases,
    study: Study,
    instance: Instance,
    recognizer: Recognizer,
    entrance: Entrance | None = None,
    before: Sequence[tuple[Any, dict[str, Any]]] = (),
) -> FastAPI:
    """The pages as one ASGI application.

    Its ``state.renew`` takes the same study with other texts: whoever loads a page from then on sees those.

    Args:
        recognizer: tells who sends a request.
        entrance: where people sign in, if they do so here.
        before: ASGI middleware that stands before the page's own, with its options.
    """
    assets = Assets.read()
    pages = pages_of(study, recognizer.anybody)
    app = FastAPI(title=study.title, docs_url=None, redoc_url=None, openapi_url=None, **NO_TELEMETRY)
    Routes(cases.recorder, recognizer, instance.boot_id, assets).add_to(app)
    Probe(study.name, instance.health, instance.scraping).add_to(app)
    if entrance is not None:
        entrance.add_to(app, assets)
    heads = _Heads(study, instance.source_id, assets, pages, recognizer.anybody is None, entrance is not None)
    watchers = Seats(study.limits.streams)
    blocks = {page: _blocks(page, study, cases, instance.boot_id, watchers) for page in pages}
    _wrap(app, cases, recognizer, heads, _doors(study, blocks, local=instance.local))
    for kind, options in before:
        app.add_middleware(kind, **options)
    if instance.watch is not SILENT:
        app.add_middleware(
            Access, watch=instance.watch, names=RouteNames(app.routes, [GESTURES, *(one.path for one in pages)])
        )
    for page in sorted(pages, key=lambda page: page.path == "/"):  # the root takes what the others leave
        blocks[page].max_threads = UNDER_WAY
        blocks[page].state_session_capacity = LOADS_KNOWN
        blocks[page].queue(max_size=study.limits.queue, api_open=False)
        _mount(app, page, blocks[page], checked=recognizer.anybody is None)

    def renew(renewed: Study) -> None:
        heads.study = renewed
        for drawn in blocks.values():
            redraw(drawn, renewed)

    app.state.renew = renew
    return app


def _blocks(page: Page, study: Study, cases: Cases, boot_id: str, watchers: Seats) -> gr.Blocks:
    def turns(screen: Screen) -> Turns:
        return Turns(screen, cases.recorder.consent_needed, boot_id, watchers)

    if page.key == "compare":
        assert cases.comparer is not None
        return build_compare(study, turns(CompareScreen(cases.recorder, cases.comparer)))
    if page.key == "review":
        assert cases.reviewer is not None
        return build_review(study, turns(ReviewScreen(cases.recorder, cases.reviewer)))
    if page.key == "insights":
        return build_insights(study, Turns(InsightsScreen(cases.overseer), _nothing_to_accept, boot_id, watchers))
    return build_blocks(study, turns(ChatScreen(cases.recorder)))


def _nothing_to_accept(annotator_id: str) -> None:
    """Who looks on gives nothing."""


@dataclass(slots=True)
class _Heads:
    """What stands at the top of each page's document."""

    study: Study
    source_id: str
    assets: Assets
    pages: Sequence[Page]
    closed: bool
    signs_out: bool

    def __call__(self, page: Page, visitor: Visitor | None) -> bytes:
        return self.assets.head(self._settings(page, visitor), f"{page.key}.js", page.up).encode()

    def _settings(self, page: Page, visitor: Visitor | None) -> dict[str, Any]:
        """What the browser script must know before the first answer of the server."""
        study = self.study
        offered = open_to(visitor, self.pages)
        return {
            "source": self.source_id,
            "page": page.key,
            "root": page.up,
            "pages": [{"key": one.key, "title": one.title, "path": one.path[1:]} for one in offered],
            "closed": self.closed,
            "signs_out": self.signs_out,
            "title": study.title,
            "reasons": list(study.vote_reasons),
            "prompts": list(study.prompts),
            "consent": study.consent.version if study.consent else None,
            "max_message": study.limits.message_chars,
            "max_edit": study.limits.edit_chars,
            "max_comment": study.limits.comment_chars,
            "listed": LISTED,
        }


@dataclass(frozen=True, slots=True)
class _Doors:
    """Which handlers the pages have, on which terms anybody may speak here, and whom no rate is for."""

    handlers: dict[str, frozenset[int]]
    terms: Terms
    unlimited: tuple[Network, ...]


def _doors(study: Study, blocks: Mapping[Page, gr.Blocks], *, local: bool) -> _Doors:
    terms = Terms(
        max_body=study.limits.body_bytes,
        body_seconds=study.limits.body_seconds,
        origins=study.origins,
        pictures=study.avatars.user is not None or study.avatars.assistant is not None,
        loopback=local and study.auth.kind == "none",
    )
    handlers = {
        page.path: frozenset(number for number, each in drawn.fns.items() if each.fn is not None)
        for page, drawn in blocks.items()
    }
    vouching = study.auth.proxies if study.auth.kind == "header" else ()
    return _Doors(handlers, terms, (*LOCAL, *map(ip_network, vouching)))


def _wrap(app: FastAPI, cases: Cases, recognizer: Recognizer, heads: _Heads, doors: _Doors) -> None:
    """What stands before the routes; the last one added stands before all others."""
    limits = heads.study.limits
    if not doors.terms.origins:
        _let_in(app, ())
    app.add_middleware(
        Tabs,
        handlers=doors.handlers,
        own=Seats(limits.streams),
        shared=Seats(limits.address_streams),
        unlimited=doors.unlimited,
    )
    app.add_middleware(Document, recognizer=recognizer, pages=heads.pages, head=heads, policy=doors.terms.policy)
    app.add_middleware(Gestures, recorder=cases.recorder, comparer=cases.comparer, reviewer=cases.reviewer)
    app.add_middleware(Gate, pages=heads.pages, recognizer=recognizer, base=heads.assets.base)
    app.add_middleware(
        Crowds,
        gestures=Rate(limits.gestures_per_minute),
        turns=Rate(limits.turns_per_minute),
        addresses=Rate(limits.address_requests_per_minute),
        unlimited=doors.unlimited,
    )
    app.add_middleware(Recognition, recognizer=recognizer)
    if doors.terms.origins:  # whoever asks whether they may has no cookie yet, so the gate would say no
        _let_in(app, doors.terms.origins)
    app.add_middleware(Shield, terms=doors.terms)


def _let_in(app: FastAPI, origins: Sequence[str]) -> None:
    """Gradio would let any site read; with a CORS policy on its parent, it leaves that to the parent."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_credentials=bool(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["content-type"] if origins else [],
    )


def _mount(app: FastAPI, page: Page, blocks: gr.Blocks, *, checked: bool) -> None:
    """Serve a page at its path; ``checked``: to nobody but those whose roles it is for."""

    def who(request: Any) -> str | None:
        visitor = visitor_in(request.scope)
        return visitor.annotator_id if visitor is not None and visitor.role in page.roles else None

    gr.mount_gradio_app(
        app,
        blocks,
        path=page.path.rstrip("/") or "/",
        auth_dependency=who if checked else None,
        app_kwargs=dict(NO_TELEMETRY),
        theme=theme(),
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size=0,
        ssr_mode=False,
    )
