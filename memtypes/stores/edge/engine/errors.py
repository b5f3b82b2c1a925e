"""The embedded engine's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from memtypes.model.errors import InvalidRequest, RemembrancerError, StoreInUse, Unavailable


@contextmanager
def translated() -> Iterator[None]:
    """Let the engine's errors out as ours. It raises bare Exception for all but arguments of a wrong form."""
    try:
        yield
    except RemembrancerError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the embedded engine refused the request: {error}") from error
    except Exception as error:
        if "WouldBlock" in str(error):
            raise StoreInUse(str(error)) from error
        raise Unavailable(f"the embedded engine failed: {error}") from error
