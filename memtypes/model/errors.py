"""The errors of Remembrancer, one class for each thing a caller can do something about.

Adapters translate a vendor's errors into these once, at their edge; nothing above an adapter sees a vendor's class.

    RemembrancerError
    ├── InvalidRequest          the request is invalid; `path` names the field
    ├── NotFound                no such thing in this tenant and namespace
    ├── AccessDenied            the caller's agent may not use this
    │   └── ReadOnly            the caller may read this, not write it
    ├── Conflict                the request conflicts with stored data
    │   ├── VersionConflict     another version is current; `current_version` says which
    │   └── LockLost            the lock of this write has a new holder; nothing was changed
    ├── Overloaded              a queue is full; try again after `retry_after_s`
    ├── Unavailable             a store or an engine does not answer; try again after `retry_after_s`
    ├── EmbedderMismatch        the store was built with another embedder; nothing was changed
    ├── StoreInUse              another process holds the embedded store
    └── SetupRequired           a file that set-up prepares is missing or damaged
"""

from __future__ import annotations


class RemembrancerError(Exception):
    """Base class of all errors of Remembrancer; its text is shown to callers."""


class InvalidRequest(RemembrancerError):
    """The request is invalid; `path` names the field."""

    def __init__(self, message: str, *, path: str = "", got: object = None) -> None:
        super().__init__(message)
        self.path = path
        self.got = got


class NotFound(RemembrancerError):
    """The requested item does not exist in this tenant and namespace."""


class AccessDenied(RemembrancerError):
    """The agent that the caller acts as may not use this."""


class ReadOnly(AccessDenied):
    """The caller may read this but not write it; nothing was changed."""


class Conflict(RemembrancerError):
    """The request conflicts with stored data."""


class VersionConflict(Conflict):
    """The current version is not the one that the caller expected; nothing was changed."""

    def __init__(self, message: str, *, current_version: int) -> None:
        super().__init__(message)
        self.current_version = current_version


class LockLost(Conflict):
    """The lock of this write has a new holder; nothing was changed."""


class _Retryable(RemembrancerError):
    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(_Retryable):
    """A bounded queue is full; try again after `retry_after_s`."""


class Unavailable(_Retryable):
    """A store or an engine is not available or did not answer in time; try again after `retry_after_s`."""


class EmbedderMismatch(RemembrancerError):
    """The store was built with another embedder; nothing was changed."""


class StoreInUse(RemembrancerError):
    """Another process has the embedded store open; the text names the process and says what to do."""


class SetupRequired(RemembrancerError):
    """A prepared file is missing or damaged; the text names the command that prepares it."""
