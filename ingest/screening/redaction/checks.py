"""What tells a secret from a number that only looks like one: checksums, issuers, groupings and the words around it.

Each check takes a span and gives the span that is really secret, or None. Knows nothing of patterns and policies.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from stdnum import iban, luhn


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of `text`, from start up to end."""

    text: str
    start: int
    end: int

    @property
    def inside(self) -> str:
        """The stretch itself."""
        return self.text[self.start : self.end]

    def before(self, length: int) -> str:
        """At most `length` characters that stand before it."""
        return self.text[max(0, self.start - length) : self.start]


_DIGIT = re.compile(r"\d")
_CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1)})
_ISSUERS = (
    (re.compile(r"4"), frozenset({13, 16, 19})),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"6011|65|64[4-9]|62|35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
    (re.compile(r"30[0-5]|36|3[89]"), frozenset({14})),
)
"""Prefix and lengths of Visa, Mastercard, American Express, Discover with UnionPay and JCB, and Diners."""

_NUMBERED = re.compile(
    r"(?:order|invoice|ticket|case|sku|part|ref|reference|isbn|serial|tracking|id|no|version|build|#)\W*(?:number|no)?\W*$",
    re.IGNORECASE,
)
_NO_MAIL_ENDING = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "service", "timer", "socket", "local", "py", "js"}
)
_PLACEHOLDER = re.compile(
    r"^[<\[{$%(]|^(?:x{3,}|\*+|\.+|your|my[_-]|example|changeme|(?:none|null|true|false)\b)|\(|os\.|env\b",
    re.IGNORECASE,
)


def card(span: Span) -> Span | None:
    """A payment card's number: an issuer's prefix and length, its usual groups, and Luhn's checksum."""
    groups = tuple(len(group) for group in re.split(r"[ -]", span.inside))
    digits = "".join(_DIGIT.findall(span.inside))
    known = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS)
    grouped = len(groups) == 1 or groups in _CARD_GROUPS
    return span if known and grouped and luhn.is_valid(digits) and len(set(digits)) > 1 else None


def account(span: Span) -> Span | None:
    """An IBAN with a valid checksum and its country's length; a word that follows it is left out."""
    ends = [span.end, *(span.start + found.start() for found in reversed(list(re.finditer(" ", span.inside))))]
    spans = (Span(span.text, span.start, end) for end in ends)
    return next((one for one in spans if iban.is_valid(one.inside)), None)


def phone(span: Span) -> Span | None:
    """A telephone number: 7 to 15 digits that nothing before them calls an order, a ticket or another number."""
    digits = len(_DIGIT.findall(span.inside))
    continued = span.before(1) in (*"0123456789.-/_=+", "#") or span.text[span.end : span.end + 1] in ("/", "_", "=")
    return span if 7 <= digits <= 15 and not continued and not _NUMBERED.search(span.before(24)) else None


def long_phone(span: Span) -> Span | None:
    """A number with a country code: at least nine digits, so that a rise by +120,000 is none."""
    return phone(span) if len(_DIGIT.findall(span.inside)) >= 9 else None


def mail(span: Span) -> Span | None:
    """An e-mail address; neither the user of a repository's address nor the name of an image or unit file."""
    local, _, domain = span.inside.rpartition("@")
    ending = domain.rpartition(".")[2].lower()
    repository = local.lower() in ("git", "hg") or span.text[span.end : span.end + 1] == ":"
    return None if ending in _NO_MAIL_ENDING or (repository and local.lower() in ("git", "hg")) else span


def token(span: Span) -> Span | None:
    """A key or token: letters and digits together, and no placeholder."""
    return span if _mixed(span.inside) and not _PLACEHOLDER.search(span.inside) else None


def password(span: Span) -> Span | None:
    """A password that is written out: not a placeholder, a call or a plain word."""
    inside = span.inside
    mixed = re.search(r"[A-Za-z]", inside) and re.search(r"[\d!@#%^&*~+]", inside)
    return span if mixed and not _PLACEHOLDER.search(inside) else None


def url_password(span: Span) -> Span | None:
    """A password in a URL; a placeholder is none."""
    return None if re.search(r"^[<\[{$]|^\*+$", span.inside) else span


def basic(span: Span) -> Span | None:
    """HTTP basic credentials: base64 of a name, a colon and a password."""
    try:
        decoded = base64.b64decode(span.inside, validate=True)
    except binascii.Error:
        return None
    return span if b":" in decoded and decoded.isascii() else None


def _mixed(text: str) -> bool:
    return bool(re.search(r"[A-Za-z]", text) and _DIGIT.search(text))
