"""The errors a user can meet. Each message is one line that says what is wrong and what to do.

LabelerError
├── StudyError            the study file cannot be used
├── StoreError            the database cannot be used
│   ├── SeqConflict       another tab or process moved the conversation first
│   └── EventConflict     an event id came back with another body
├── LogError              a log cannot be read, loaded or trusted
├── GestureRefused        a gesture that may not be made; nothing was stored
│   ├── NotFound          it names a conversation or message that does not exist for this annotator
│   ├── MovedOn           the conversation is not where the gesture saw it
│   ├── ConsentNeeded     nothing is collected before the consent text is accepted
│   └── RoleNeeded        the visitor's role does not allow it
├── AccountError          an account cannot be made, changed or found
│   ├── SignInRefused     nobody was signed in
│   └── TokenRefused      a token that opens nothing here
├── AttachRefused         a foreign chat page cannot be listened to as it must be
├── ModelError            a model cannot be started, refused, or died
├── PackageError          a package cannot be written or read
│   └── NewerPackage      a newer labeler made it
└── HubError              the Hub refused, or cannot be reached
"""

from __future__ import annotations


class LabelerError(Exception):
    """Something a person can act on; ``str()`` of it is one line, fit for stderr or the page."""


class StudyError(LabelerError):
    """The study file cannot be used."""


class StoreError(LabelerError):
    """The database cannot be opened, read or written.

    ``where`` names the database, and ``said`` is what its driver said, for whoever runs it; ``line`` is for everybody.
    """

    def __init__(self, line: str, where: str = "", said: str = "") -> None:
        super().__init__((f"{where}: " if where else "") + line + (f" ({said})" if said else ""))
        self.line = line


class SeqConflict(StoreError):
    """Somebody else appended to the conversation since it was read: reload and decide again."""


class EventConflict(StoreError):
    """One event id arrived with two different bodies: a nonce was used twice."""


class LogError(LabelerError):
    """A dumped or stored log is malformed, incomplete or was tampered with."""


class GestureRefused(LabelerError):
    """A gesture that may not be made. Nothing was stored."""


class NotFound(GestureRefused):
    """No such conversation or message for this annotator (other people's count as absent)."""


class MovedOn(GestureRefused):
    """The conversation has moved on since the one who made the gesture saw it: read it and decide again."""


class ConsentNeeded(GestureRefused):
    """The study has a consent text that this annotator has not accepted in its present version."""


class RoleNeeded(GestureRefused):
    """The one who asks has not the role that this needs."""


class AccountError(LabelerError):
    """An account cannot be made, changed or found."""


class SignInRefused(AccountError):
    """A name and a password that do not fit, or too many tries.

    ``retry_in``: this place is asked to wait so many seconds before its next try. None: it may try now.
    """

    def __init__(self, line: str, retry_in: float | None = None) -> None:
        super().__init__(line)
        self.retry_in = retry_in


class TokenRefused(AccountError):
    """No token, or one that this study does not know, has revoked, or whose time is over."""


class AttachRefused(LabelerError):
    """A foreign chat page cannot be listened to, or not before its own listeners."""


class ModelError(LabelerError):
    """A model cannot be started, refused the request, or stopped in mid-answer."""


class PackageError(LabelerError):
    """A package cannot be staged, swapped in, or read."""


class NewerPackage(PackageError):
    """A package, here or published, was made by a newer labeler, which knows more than this one can keep."""


class HubError(LabelerError):
    """The Hub refused, cannot be reached, or holds something that is not ours.

    ``retry_in``: it may be otherwise after so many seconds. None: not before somebody has changed something.
    """

    def __init__(self, line: str, retry_in: float | None = None) -> None:
        super().__init__(line)
        self.retry_in = retry_in
