"""Two answers side by side, as the pages Compare and Review lay them out."""

from __future__ import annotations

from labeler.page.blocks import BARE, MATHS, openers
from labeler.page.toolkit import gr


def columns() -> list[gr.Chatbot]:
    """A column for each answer, left one first."""
    with gr.Row(elem_id="pair"):
        return [_column("A", "left"), _column("B", "right")]


def _column(name: str, place: str) -> gr.Chatbot:
    with gr.Column(elem_id=f"column-{place}", min_width=280):
        gr.HTML(f'<div class="column-head" id="head-{place}"><h2>Answer {name}</h2></div>', **BARE)
        return plain_chatbot(place)


def plain_chatbot(elem_id: str, *, placeholder: str | None = None, prompts: tuple[str, ...] = ()) -> gr.Chatbot:
    """Messages that are only read, as tall as they are."""
    return gr.Chatbot(
        elem_id=elem_id,
        show_label=False,
        container=False,
        height=None,
        layout="bubble",
        group_consecutive_messages=False,
        buttons=[],
        placeholder=placeholder,
        examples=openers(prompts),
        allow_file_downloads=False,
        latex_delimiters=MATHS,
    )
