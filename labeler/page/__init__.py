"""The page: what annotators see and touch. Gradio lives here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from labeler.chat import LISTED, MAX_COMMENT, Recorder
from labeler.page.assets import Assets
from labeler.page.blocks import build_blocks, theme
from labeler.page.document import Document
from labeler.page.gestures import Gestures
from labeler.page.identity import Identity
from labeler.page.routes import Routes
from labeler.page.shield import Shield
from labeler.page.toolkit import gr
from labeler.page.turns import Turns
from labeler.study import Study

__all__ = ["build_page"]
BODY_OVERHEAD = 64 * 1024
BYTES_PER_CHAR = 12  # a character outside the basic plane is two escapes of six bytes in JSON


def build_page(
    recorder: Recorder,
    study: Study,
    *,
    secrets: bytes,
    source_id: str,
    boot_id: str,
    health: Callable[[], dict[str, Any]],
) -> FastAPI:
    """The page as an ASGI application.

    Args:
        secrets: the key that signs annotators' cookies; whoever has it can be anybody.
        source_id: names the log; part of the cookie's name.
        boot_id: names this process; pages that see another one reload themselves.
        health: what the health route says beside the study's name; StoreError where the log cannot be read.
    """
    identity = Identity(secrets, source_id)
    assets = Assets.read()
    app = FastAPI(title=study.title, docs_url=None, redoc_url=None, openapi_url=None)
    Routes(recorder, identity, study.name, boot_id, health, assets).add_to(app)
    # The last one added stands before all others. Gradio would let any site read; with a CORS policy on its parent, it
    # leaves that to the parent.
    app.add_middleware(CORSMiddleware, allow_origins=[])
    head = assets.head(_settings(study, source_id)).encode()
    app.add_middleware(Document, identity=identity, head=head)
    app.add_middleware(Gestures, recorder=recorder, identity=identity)
    app.add_middleware(Shield, max_body=BODY_OVERHEAD + BYTES_PER_CHAR * study.max_message_chars)
    gr.mount_gradio_app(
        app,
        build_blocks(study, Turns(recorder, identity, boot_id)),
        path="/",
        theme=theme(),
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size=0,
        ssr_mode=False,
    )
    return app


def _settings(study: Study, source_id: str) -> dict[str, Any]:
    """What the browser script must know before the first answer of the server."""
    return {
        "source": source_id,
        "title": study.title,
        "reasons": list(study.vote_reasons),
        "prompts": list(study.prompts),
        "consent": study.consent.version if study.consent else None,
        "max_message": study.max_message_chars,
        "max_comment": MAX_COMMENT,
        "listed": LISTED,
    }
