"""Prompts as trainers see them, built once per message and only when a record needs them, and the split."""

from __future__ import annotations

from labeler.core.conversation import Conversation, Message
from labeler.core.records import Prompt
from labeler.core.rules.options import Options
from labeler.core.text import ChatMessage, Split, chat_messages, opener_form, prompt_key, split_of, split_of_form
from labeler.ids import text_sha256


class Prompts:
    """The prompts of one conversation."""

    def __init__(self, conversation: Conversation, options: Options) -> None:
        self._conversation = conversation
        self._options = options
        self._opener = conversation.messages[conversation.roots[0]].content
        self._group: tuple[str, Split, bool] | None = None

    def _find_group(self) -> tuple[str, Split, bool]:
        """The key of the conversation's group, the split that it belongs to, and whether it is torn.

        The split is that of the opener as it was typed, so that another redactor moves nobody. Redacted openers of
        different people may read the same, though: whose redacted opener falls on the other side is torn between the
        two, and has no prompts.
        """
        if self._group is None:
            salt, percent = self._options.salt, self._options.test_percent
            form, typed = opener_form(self._opener), self._conversation.opener
            side = split_of_form(form, salt, percent)
            split = side if typed is None else split_of(typed, salt, percent)
            self._group = text_sha256(form), split, side != split
        return self._group

    def of(self, path: list[Message]) -> Prompt | str:
        """The prompt that ends with the last message of the path, or the reason why there is none.

        A branch that begins with an opener of the other split has none: so no prompt is ever in both. What counts is
        the opener as it stands in the prompt, where neighbours of one role are merged.
        """
        if any(message.role == "user" and not message.content.strip() for message in path):
            return "prompt_empty"
        conversation, options = self._conversation, self._options
        started = conversation.started
        system_prompt = started.system_prompt if started else None
        messages = chat_messages(path, system_prompt, options.system_prompt)
        group_key, split, torn = self._find_group()
        opener = _opener_in(messages, system_prompt if options.system_prompt == "merge" else None)
        if torn or (opener != self._opener and split_of(opener, options.salt, options.test_percent) != split):
            return "split_conflict"
        answers = [message for message in path if message.role == "assistant" and message.content.strip()]
        return Prompt(
            conversation.id,
            path[-1].id,
            messages,
            prompt_key(messages),
            group_key,
            split,
            started.language if started else None,
            any(answer.origin == "human_edit" for answer in answers),
            tuple(dict.fromkeys(answer.started.model_id for answer in answers if answer.started)),
        )


def _opener_in(messages: list[ChatMessage], merged: str | None) -> str:
    """The first user message, without the system prompt that was merged into it."""
    opener = next(message["content"] for message in messages if message["role"] == "user")
    return opener.removeprefix(f"{merged}\n\n") if merged else opener
