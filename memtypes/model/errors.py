"""The errors of Remembrancer: one class for each way in which a caller can react.

Adapters translate the errors of other libraries into these classes, so that no other code sees a
library's errors.

    RemembrancerError
    ├── InvalidRequest          the request is invalid; `path` names the field
    ├── NotFound                no such memory, thread or other object in this tenant and namespace
    ├── AccessDenied            the caller's agent may not use what was asked for
    │   └── ReadOnly            the caller may read it, not write it
    ├── Conflict                the request conflicts with stored data
    │   ├── VersionConflict     another version is current; `current_version` says which
    │   └── LockLost            the lock that protects the write was lost
    ├── Overloaded              the service is busy; try again after `retry_after_s`
    ├── Unavailable             a store or an engine does not answer; try again after
    `retry_after_s`
    ├── EmbedderMismatch        the store was built with another embedder; nothing was changed
    ├── StoreInUse              another process holds the embedded store
    └── SetupRequired           a file of set-up is missing or damaged, or a server is too old
"""

from __future__ import annotations

from typing import Any


class RemembrancerError(Exception):
    """Base class of all errors of Remembrancer. The message is shown to callers."""

    # An exception is unpickled by calling its class with the message alone, which fails where
    # `__init__` needs more.
    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    kind: type[RemembrancerError], arguments: tuple[Any, ...], fields: dict[str, Any]
) -> RemembrancerError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(fields)
    return error


class InvalidRequest(RemembrancerError):
    """The request is invalid. path: the field that is wrong; empty for the whole request. got: the
    refused value.
    """

    def __init__(self, message: str, *, path: str = "", got: object = None) -> None:
        super().__init__(message)
        self.path = path
        self.got = got


class NotFound(RemembrancerError):
    """The memory, thread or other object that was asked for does not exist in this tenant and
    namespace.
    """


class AccessDenied(RemembrancerError):
    """The agent that the caller acts as may not use what was asked for, such as another agent's
    thread.
    """


class ReadOnly(AccessDenied):
    """The caller may read the thread or other object but not write it; nothing was changed."""


class Conflict(RemembrancerError):
    """The request conflicts with stored data, such as an id that is taken."""


class VersionConflict(Conflict):
    """The stored object has `current_version`, not the version that the caller expected; nothing
    was changed.
    """

    def __init__(self, message: str, *, current_version: int) -> None:
        super().__init__(message)
        self.current_version = current_version


class LockLost(Conflict):
    """The lock that protects a write was lost: it expired or has another holder. See
    `memtypes.ports.locks`.
    """


class _Retryable(RemembrancerError):
    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(_Retryable):
    """The service is busy: a queue is full, or a lock stayed taken. Try again after `retry_after_s`
    seconds.
    """


class Unavailable(_Retryable):
    """A store or an engine could not be reached or did not answer in time. Try again after
    `retry_after_s` seconds.
    """


class EmbedderMismatch(RemembrancerError):
    """The memory store's vectors were made by another embedder than the configured one; nothing was
    changed.
    """


class StoreInUse(RemembrancerError):
    """Another process has the embedded store open. The message names the process and says what to
    do.
    """


class SetupRequired(RemembrancerError):
    """A file that set-up prepares, such as a model, is missing or damaged, or a server is too old.
    The message names the command to run, or the version to take.
    """
