"""What is wired in a foreign app: which page holds a chatbot, who writes into it, and what is done after what."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gradio.context import Context, LocalContext

from labeler.errors import AttachRefused
from labeler.page.toolkit import gr

Page = Any
"""A ``gr.Blocks``, whose insides are looked at."""

Listener = Any
"""A listener as Gradio keeps it (``BlockFunction``)."""


def chatbot_of(chat: object) -> gr.Chatbot:
    """The chatbot itself.

    Raises:
        AttachRefused: it is neither a chatbot nor a chat interface.
    """
    chatbot = chat.chatbot if isinstance(chat, gr.ChatInterface) else chat
    if not isinstance(chatbot, gr.Chatbot):
        raise AttachRefused(
            f"labeler.attach: {type(chat).__name__} is no chat; hand over the gr.Chatbot or the gr.ChatInterface"
        )
    return chatbot


def page_of(chatbot: gr.Chatbot) -> Page:
    """The outermost Blocks that the chatbot is shown in: the one that is served.

    Raises:
        AttachRefused: there is none, or the chatbot is made anew for every visitor.
    """
    if LocalContext.renderable.get(None) is not None or getattr(chatbot, "rendered_in", None) is not None:
        raise AttachRefused(
            "labeler.attach: a chatbot inside gr.render is made anew for every visitor; move it out of gr.render"
        )
    # A Blocks that is put into another one is not told of it, so whoever holds the chatbot is looked for.
    holders = [
        one
        for one in gc.get_objects()
        if issubclass(type(one), gr.Blocks) and one.default_config.blocks.get(chatbot._id) is chatbot
    ]
    if not holders:
        raise AttachRefused("labeler.attach: the chatbot is in no gr.Blocks; attach inside it or after it")
    return max(holders, key=lambda page: len(page.default_config.blocks))


@contextmanager
def inside(page: Page) -> Iterator[None]:
    """Add to a page as in its ``with`` block, without ending that block a second time."""
    before = Context.root_block, Context.block
    Context.root_block, Context.block = page, page
    try:
        yield
    finally:
        Context.root_block, Context.block = before


def hears(listener: Listener, chatbot: gr.Chatbot, event: str) -> bool:
    return (chatbot._id, event) in [tuple(target) for target in listener.targets]


def writes(listener: Listener, chatbot: gr.Chatbot) -> bool:
    return any(block is chatbot for block in listener.outputs)


def last_writers(listeners: Sequence[Listener], chatbot: gr.Chatbot) -> list[Listener]:
    """Those after whom nobody of the same chain writes into the chatbot: what it shows then has settled."""
    return [
        one
        for one in listeners
        if writes(one, chatbot) and not any(writes(later, chatbot) for later in _after(one, listeners))
    ]


def _after(listener: Listener, listeners: Sequence[Listener]) -> Iterator[Listener]:
    """Everything that a success of the listener sets off, and what that sets off."""
    for one in listeners:
        if one.trigger_after == listener._id and not one.trigger_only_on_failure:
            yield one
            yield from _after(one, listeners)


def head_of(listener: Listener, listeners: Sequence[Listener]) -> Listener:
    """The listener that the chain which this one is part of begins with."""
    by_id = {one._id: one for one in listeners}
    while listener.trigger_after in by_id:
        listener = by_id[listener.trigger_after]
    return listener


def opens_page(listener: Listener) -> bool:
    """Whether it is called when a page is opened, before anybody does anything."""
    return any(event == "load" for _, event in listener.targets)


def running(page: Page, session: str | None, chatbot: gr.Chatbot, *, shown: bool) -> bool:
    """Whether something is about to write into the chatbot for this session; ``shown``: piece by piece."""
    events = [event for job in page._queue.active_jobs if job for event in job]
    return any(
        event.session_hash == session and writes(event.fn, chatbot) and (event.fn.types_generator or not shown)
        for event in events
    )
