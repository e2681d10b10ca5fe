"""The study's policy on personal data at work, for the conversations of one shard."""

from __future__ import annotations

from dataclasses import dataclass

from labeler.core.conversation import Conversation
from labeler.core.redaction import Redacted, redact
from labeler.errors import PackageError
from labeler.export.recipe import Recipe
from labeler.redaction import Scanner, finder_of
from labeler.store import Store
from labeler.study import Redaction


@dataclass(frozen=True, slots=True)
class Redactor:
    """Changes conversations as the policy says; what its scanner has not seen before is to be saved afterwards."""

    spec: Redaction
    scanner: Scanner

    def redact(self, conversation: Conversation) -> Redacted:
        return redact(conversation, self.spec.policy, frozenset(self.spec.kinds), self.scanner.find)


def redactor_of(recipe: Recipe, store: Store) -> Redactor | None:
    """What takes personal data out, if the study wants that.

    Raises:
        PackageError: this worker would find other things than the export that it works for.
        StudyError: the finder is not installed.
    """
    if recipe.redaction is None:
        return None
    finder = finder_of(recipe.redaction.finder)
    if finder.version != recipe.finder:
        raise PackageError(
            f"a worker looks for personal data with {finder.version}, the export with {recipe.finder}; install the same"
            " everywhere"
        )
    return Redactor(recipe.redaction, Scanner(store, finder))
