"""Prompts as trainers see them, built once per message and only when a record needs them, and the split."""

from __future__ import annotations

from labeler.core.conversation import Conversation, Message
from labeler.core.records import Prompt
from labeler.core.rules.options import Options
from labeler.core.text import ChatMessage, Split, chat_messages, opener_form, prompt_key, split_of
from labeler.ids import text_sha256


class Prompts:
    """The prompts of one conversation."""

    def __init__(self, conversation: Conversation, options: Options) -> None:
        self._conversation = conversation
        self._options = options
        self._opener = conversation.messages[conversation.roots[0]].content
        self._group_key = text_sha256(opener_form(self._opener))
        self._split: Split = split_of(self._opener, options.salt, options.test_percent)

    def of(self, path: list[Message]) -> Prompt | None:
        """The prompt that ends with the last message of the path.

        ``None`` if the branch begins with an opener of the other split: so no prompt is ever in both. What counts is
        the opener as it stands in the prompt, where neighbours of one role are merged.
        """
        conversation, options = self._conversation, self._options
        started = conversation.started
        system_prompt = started.system_prompt if started else None
        messages = chat_messages(path, system_prompt, options.system_prompt)
        if self._split_of(messages, system_prompt) != self._split:
            return None
        answers = [message for message in path if message.role == "assistant" and message.content.strip()]
        return Prompt(
            conversation.id,
            path[-1].id,
            messages,
            prompt_key(messages),
            self._group_key,
            self._split,
            started.language if started else None,
            any(answer.origin == "human_edit" for answer in answers),
            tuple(dict.fromkeys(answer.started.model_id for answer in answers if answer.started)),
        )

    def _split_of(self, messages: list[ChatMessage], system_prompt: str | None) -> Split:
        opener = next(message["content"] for message in messages if message["role"] == "user")
        if system_prompt and self._options.system_prompt == "merge":
            opener = opener.removeprefix(f"{system_prompt}\n\n")
        if opener == self._opener:
            return self._split
        return split_of(opener, self._options.salt, self._options.test_percent)
