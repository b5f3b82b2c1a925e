"""The built-in kinds of secrets: one row a pattern, with a check that tells a secret from what only looks like one.

Patterns run in RE2, whose time is linear in the text. Where a pattern has a group `s`, only that group is secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import re2
from stdnum import iban, luhn


@dataclass(frozen=True, slots=True)
class Span:
    """The part of `text` from index `start` up to `end`; may be a secret."""

    text: str
    start: int
    end: int

    @property
    def inside(self) -> str:
        """The characters between start and end."""
        return self.text[self.start : self.end]

    def before(self, length: int) -> str:
        """Up to `length` characters before the span."""
        return self.text[max(0, self.start - length) : self.start]


Check: TypeAlias = Callable[[Span], Span | None]
"""Returns the part of a match that is secret, or None if the match is harmless."""


def _always(span: Span) -> Span | None:
    return span


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one kind of secret is found. kind: its name in reports. regex: compiled by RE2. check: confirms a match.

    anchored: whether the regex may ask for the start or end of the text, so that texts cannot be searched joined.
    """

    kind: str
    regex: Any
    check: Check = _always
    anchored: bool = False

    @property
    def group(self) -> int:
        """Number of the regex group that is secret: the group `s`, or 0 (the whole match) if there is none."""
        return int(self.regex.groupindex.get("s", 0))


def compile_re2(pattern: str) -> Any:
    """`pattern` compiled by RE2. Raises re2.error."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


_DIGIT = re.compile(r"\d")
_CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1)})
_ISSUERS = (
    (re.compile(r"4"), frozenset({13, 16, 19})),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"6011|65|64[4-9]|62|35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
    (re.compile(r"30[0-5]|36|3[89]"), frozenset({14})),
)
"""Prefix and lengths of Visa, Mastercard, American Express, Discover (with UnionPay and JCB) and Diners."""

_REFERENCE = re.compile(
    r"(?:order|invoice|ticket|case|sku|part|ref|reference|isbn|serial|tracking|id|no|version|build|#)\W*(?:number|no)?\W*$",
    re.IGNORECASE,
)
_NOT_A_DOMAIN = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "service", "timer", "socket", "local", "py", "js"}
)
_PLACEHOLDER = re.compile(
    r"^[<\[{$%(]|^(?:x{3,}|\*+|\.+|your|my[_-]|example|changeme|(?:none|null|true|false)\b)|\(|os\.|env\b",
    re.IGNORECASE,
)


def _card(span: Span) -> Span | None:
    """The span if it is a card number: an issuer's prefix and length, the usual groups, and a valid Luhn checksum."""
    groups = tuple(len(group) for group in re.split(r"[ -]", span.inside))
    digits = "".join(_DIGIT.findall(span.inside))
    issued = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS)
    grouped = len(groups) == 1 or groups in _CARD_GROUPS
    return span if issued and grouped and luhn.is_valid(digits) and len(set(digits)) > 1 else None


def _iban(span: Span) -> Span | None:
    """The IBAN at the start of the span (valid checksum and length), without words after it; None if it is none."""
    blanks = [span.start + blank.start() for blank in re.finditer(" ", span.inside)]
    spans = (Span(span.text, span.start, end) for end in (span.end, *reversed(blanks)))
    return next((shorter for shorter in spans if iban.is_valid(shorter.inside)), None)


def _phone(span: Span) -> Span | None:
    """The span if it is a phone number: 7 to 15 digits, without a word such as "order" or "ticket" before it."""
    digits = len(_DIGIT.findall(span.inside))
    continued = span.before(1) in (*"0123456789.-/_=+", "#") or span.text[span.end : span.end + 1] in ("/", "_", "=")
    return span if 7 <= digits <= 15 and not continued and not _REFERENCE.search(span.before(24)) else None


def _long_phone(span: Span) -> Span | None:
    """The span if it is a phone number with country code: at least nine digits, so "+120,000" is none."""
    return _phone(span) if len(_DIGIT.findall(span.inside)) >= 9 else None


def _email(span: Span) -> Span | None:
    """The span if it is an e-mail address, not that of a repository (git@...) or the name of an image or unit file."""
    local, _, domain = span.inside.rpartition("@")
    suffix = domain.rpartition(".")[2].lower()
    return None if local.lower() in ("git", "hg") or suffix in _NOT_A_DOMAIN else span


def _token(span: Span) -> Span | None:
    """The span if it looks like a key or token: letters and digits, and no placeholder."""
    mixed = re.search(r"[A-Za-z]", span.inside) and _DIGIT.search(span.inside)
    return span if mixed and not _PLACEHOLDER.search(span.inside) else None


def _password(span: Span) -> Span | None:
    """The span if it looks like a password: letters with digits or signs, and no placeholder or function call."""
    mixed = re.search(r"[A-Za-z]", span.inside) and re.search(r"[\d!@#%^&*~+]", span.inside)
    return span if mixed and not _PLACEHOLDER.search(span.inside) else None


def _url_password(span: Span) -> Span | None:
    """The span, a password in a URL, unless it is a placeholder."""
    return None if re.search(r"^[<\[{$]|^\*+$", span.inside) else span


def _basic_credentials(span: Span) -> Span | None:
    """The span if it is HTTP basic credentials: base64 of NAME:PASSWORD."""
    try:
        decoded = base64.b64decode(span.inside, validate=True)
    except binascii.Error:
        return None
    return span if b":" in decoded and decoded.isascii() else None


_KEY_BLOCK = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?s:.)*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|(?s:.)*)"
)
_SETTING = (
    r"(?i)(?:password|passwd|passphrase|passwort|kennwort|contrase\x{f1}a|senha|mot de passe|mdp|"
    r"\x{30d1}\x{30b9}\x{30ef}\x{30fc}\x{30c9}|\x{5bc6}\x{7801}|"
    r"pwd|secret|api[_ -]?key|(?:access|auth|refresh|api|bot)[_ -]?token|secret[_ -]?key)"
)
"""Names of passwords and keys in English, German, Spanish, Portuguese, French, Japanese and Chinese."""

_SHORT_SETTING = r"(?i)(?:\b|_)(?:pass|pw)"
_IS = r"(?::|=|\b(?:is|lautet|ist|es|est|\x{e9})\b|\x{306f}|\x{662f}|\x{ff1a})"
_ASSIGNED = r"""["']?\s{0,3}(?::|=)\s{0,3}["'`]?(?P<s>[^\s"'`,;<>]{6,200})"""
_VALUE = rf"""["']?\s{{0,3}}{_IS}\s{{0,3}}["'`]?(?P<s>[^\s"'`,;<>]{{6,200}})"""
_PHONE = (
    r"(?i)(?:\b(?:phone|tel|telephone|mobile|cell|fax|whatsapp|call (?:me|him|her|us|them) (?:at|on)|"
    r"telefon|telefonnummer|handy|handynummer|rufnummer|tel\x{e9}fono|m\x{f3}vil|ll\x{e1}m[ae](?:me|nos|lo|la) al|"
    r"t\x{e9}l\x{e9}phone|t\x{e9}l|portable|num\x{e9}ro|appelle[- ](?:moi|nous) au|telefone|celular|telefono|cellulare)"
    r"|\x{96fb}\x{8a71}(?:\x{756a}\x{53f7})?|\x{643a}\x{5e2f}|\x{7535}\x{8bdd}|\x{624b}\x{673a})"
    r"(?: number| no\.?)?(?: is| ist| lautet| es| est|\x{306f}|\x{662f})?[.:]? ?(?P<s>\(?[0-9][0-9 ().-]{5,18}[0-9])\b"
)

_ROWS: tuple[tuple[str, str, Check], ...] = (
    ("private_key", _KEY_BLOCK, _always),
    ("url_password", r"""\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@'"<>]*:(?P<s>[^\s/'"<>]+)@""", _url_password),
    ("aws_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", _always),
    ("aws_secret", r"""(?i)\baws.{0,20}?(?:secret|key).{0,12}?[:=]\s*["']?(?P<s>[A-Za-z0-9/+]{40})\b""", _token),
    ("github_token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})", _always),
    ("gitlab_token", r"\bgl(?:pat|dt|rt|cbt)-[A-Za-z0-9_-]{20,}", _always),
    ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[0-9]-[A-Za-z0-9-]{10,}", _always),
    ("slack_webhook", r"hooks\.slack\.com/services/(?P<s>T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]+)", _always),
    ("stripe_key", r"\b(?:(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/=]{24,})", _always),
    ("openai_key", r"\bsk-(?:[A-Za-z0-9]{1,12}-)?[A-Za-z0-9_-]{20,}", _token),
    ("google_key", r"\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}", _always),
    ("package_token", r"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[A-Za-z0-9_-]{50,}|\bhf_[A-Za-z0-9]{30,}", _always),
    ("sendgrid_key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", _always),
    ("telegram_token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}", _always),
    ("cloud_token", r"\bdo[opr]_v1_[a-f0-9]{64}\b|\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b|\bSK[a-f0-9]{32}\b", _always),
    ("azure_key", r"AccountKey=(?P<s>[A-Za-z0-9+/=]{40,})", _always),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", _always),
    ("bearer_token", r"(?i)\bbearer[ :]+(?P<s>[A-Za-z0-9._~+/-]{16,}=*)", _token),
    ("basic_credentials", r"(?i)\bbasic +(?P<s>[A-Za-z0-9+/]{8,}={0,2})", _basic_credentials),
    ("password", _SETTING + _VALUE, _password),
    ("password", _SHORT_SETTING + _ASSIGNED, _password),
    ("iban", r"(?i)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _iban),
    ("card", r"\b[0-9](?:[ -]?[0-9]){12,18}\b", _card),
    ("email", r"[\p{L}0-9._%+-]*[\p{L}0-9_%+-]@(?:[\p{L}0-9](?:[\p{L}0-9-]*[\p{L}0-9])?\.)+\p{L}{2,24}", _email),
    ("phone", r"\+[0-9]{1,3}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){1,5}\b", _long_phone),
    ("phone", r"\b00[1-9][0-9]{0,2} ?[0-9]{2,4}(?:[ -]?[0-9]{2,4}){1,4}\b", _long_phone),
    ("phone", r"(?:\b1[ .-])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}\b", _phone),
    ("phone", r"\b0[1-9](?:[ .][0-9]{2}){4}\b|\b\(?0[1-9][0-9]{1,3}\)?[ /-][0-9]{3,4}[ -]?[0-9]{3,5}\b", _phone),
    ("phone", _PHONE, _phone),
)

BUILT_IN: tuple[Pattern, ...] = tuple(Pattern(kind, compile_re2(regex), check) for kind, regex, check in _ROWS)
"""Earlier patterns take precedence where secrets overlap."""

KINDS: frozenset[str] = frozenset(pattern.kind for pattern in BUILT_IN)
