"""Whether an answer gives its model away."""

from __future__ import annotations

import pytest

from labeler.core.blindness import names_its_model

NAMES = ("house-7b", "HuggingFaceTB/SmolLM2-135M-Instruct")


@pytest.mark.parametrize(
    "answer",
    [
        "I am SmolLM2-135M-Instruct.",
        "As SmolLM, I cannot.",
        "My name is House-7B",
        "I'm ChatGPT, a large language model.",
        "As an AI model trained by OpenAI, I cannot do that.",
        "I was created by Anthropic. I am Claude.",
    ],
)
def test_an_answer_that_names_its_model_is_seen(answer: str) -> None:
    assert names_its_model(answer, "Who are you?", NAMES)


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        ("The sea is salty because of rivers.", "Why?"),
        ("A llama is an animal.", "What lives in Peru?"),
        ("Claude Monet painted water lilies.", "Who painted them?"),
        ("I am sure that llamas spit.", "Do they?"),
        ("I am no expert, but SmolLM2 is small.", "What do you know of SmolLM2?"),
        ("I'm not ChatGPT.", "Are you ChatGPT?"),
        ("Phineas is a name.", "A name?"),
        ("", ""),
    ],
)
def test_an_answer_that_does_not_is_left_alone(answer: str, prompt: str) -> None:
    assert not names_its_model(answer, prompt, NAMES)
