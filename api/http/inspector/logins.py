"""Logins to the inspector by API key, in memory, and CSRF tokens. A login ends after LOGIN_S, or
with its key.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

from api.auth.keys import Caller, KeyBook
from api.auth.rate_limit import RateLimit

LOGIN_S = 8 * 3_600
MAX_LOGINS = 1_000
MAX_LOGINS_OF_KEY = 50
"""Maximum number of logins with one API key at the same time. A further login ends the oldest
one.
"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sent a request to the inspector. token: CSRF token of its forms. logged_in: False without
    API keys.
    """

    caller: Caller
    token: str
    logged_in: bool


@dataclass(frozen=True, slots=True)
class _Login:
    key_id: str
    token: str


class Logins:
    """The inspector's logins. rate: limit for requests with one API key, pages included. now: a
    clock in seconds.
    """

    def __init__(
        self, keys: KeyBook, rate: RateLimit, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self.rate = rate
        self._logins: TTLCache[str, _Login] = TTLCache(MAX_LOGINS, LOGIN_S, timer=now)
        self.anonymous_token = secrets.token_urlsafe(32)

    def begin(self, key: str) -> str | None:
        """Log in with an API key. Returns the cookie, None for an unknown key. Raises TooMany above
        the rate limit.
        """
        caller = self._keys.caller(key)
        if caller is None:
            return None
        self.rate.spend(caller.key_id)
        with_key = [name for name, login in self._logins.items() if login.key_id == caller.key_id]
        for name in with_key[: max(0, len(with_key) + 1 - MAX_LOGINS_OF_KEY)]:
            self._logins.pop(name, None)
        cookie = secrets.token_urlsafe(32)
        self._logins[_digest(cookie)] = _Login(caller.key_id, secrets.token_urlsafe(32))
        return cookie

    def end(self, cookie: str | None) -> None:
        """End the login that has this cookie, if there is one."""
        self._logins.pop(_digest(cookie or ""), None)

    def visitor(self, cookie: str | None) -> Visitor | None:
        """The visitor who sent this cookie; None if the visitor has to log in."""
        login = self._logins.get(_digest(cookie)) if cookie else None
        caller = self._keys.caller_with(login.key_id) if login else None
        if login is not None and caller is not None:
            return Visitor(caller, login.token, logged_in=True)
        anonymous = self._keys.caller(None)
        return (
            None if anonymous is None else Visitor(anonymous, self.anonymous_token, logged_in=False)
        )


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
