"""The built-in patterns, one row a kind of secret, in the order in which they are looked for.

All of them run in RE2, whose time is linear in the text. Where a pattern has a group `s`, only that part is secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import re2

from ingest.screening.redaction import checks
from ingest.screening.redaction.checks import Span

Check: TypeAlias = Callable[[Span], Span | None]


def always(span: Span) -> Span | None:
    """`span`: the pattern alone says enough."""
    return span


@dataclass(frozen=True, slots=True)
class Pattern:
    """kind: the name that reports use. regex: compiled by RE2. check: what a match must also be.

    anchored: whether it may ask for the beginning or the end of a text, and so finds other things in several together.
    """

    kind: str
    regex: Any
    check: Check = always
    anchored: bool = False

    @property
    def group(self) -> int:
        """The number of the group that is secret; 0, the whole match, without one."""
        return int(self.regex.groupindex.get("s", 0))


def compiled(pattern: str) -> Any:
    """`pattern` for RE2. Raises re2.error."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


_KEY_BLOCK = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?s:.)*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|(?s:.)*)"
)
_SETTING = (
    r"(?i)(?:password|passwd|passphrase|passwort|kennwort|contrase\x{f1}a|senha|mot de passe|mdp|"
    r"\x{30d1}\x{30b9}\x{30ef}\x{30fc}\x{30c9}|\x{5bc6}\x{7801}|"
    r"pwd|secret|api[_ -]?key|(?:access|auth|refresh|api|bot)[_ -]?token|secret[_ -]?key)"
)
"""What a secret is called: in English, German, Spanish, Portuguese, French, Japanese and Chinese."""

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
    ("private_key", _KEY_BLOCK, always),
    ("url_password", r"""\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@'"<>]*:(?P<s>[^\s/'"<>]+)@""", checks.url_password),
    ("aws_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", always),
    ("aws_secret", r"""(?i)\baws.{0,20}?(?:secret|key).{0,12}?[:=]\s*["']?(?P<s>[A-Za-z0-9/+]{40})\b""", checks.token),
    ("github_token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})", always),
    ("gitlab_token", r"\bgl(?:pat|dt|rt|cbt)-[A-Za-z0-9_-]{20,}", always),
    ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-[0-9]-[A-Za-z0-9-]{10,}", always),
    ("slack_webhook", r"hooks\.slack\.com/services/(?P<s>T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]+)", always),
    ("stripe_key", r"\b(?:(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z+/=]{24,})", always),
    ("openai_key", r"\bsk-(?:[A-Za-z0-9]{1,12}-)?[A-Za-z0-9_-]{20,}", checks.token),
    ("google_key", r"\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}", always),
    ("package_token", r"\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[A-Za-z0-9_-]{50,}|\bhf_[A-Za-z0-9]{30,}", always),
    ("sendgrid_key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", always),
    ("telegram_token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}", always),
    ("cloud_token", r"\bdo[opr]_v1_[a-f0-9]{64}\b|\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b|\bSK[a-f0-9]{32}\b", always),
    ("azure_key", r"AccountKey=(?P<s>[A-Za-z0-9+/=]{40,})", always),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", always),
    ("bearer_token", r"(?i)\bbearer[ :]+(?P<s>[A-Za-z0-9._~+/-]{16,}=*)", checks.token),
    ("basic_credentials", r"(?i)\bbasic +(?P<s>[A-Za-z0-9+/]{8,}={0,2})", checks.basic),
    ("password", _SETTING + _VALUE, checks.password),
    ("password", _SHORT_SETTING + _ASSIGNED, checks.password),
    ("iban", r"(?i)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", checks.account),
    ("card", r"\b[0-9](?:[ -]?[0-9]){12,18}\b", checks.card),
    ("email", r"[\p{L}0-9._%+-]*[\p{L}0-9_%+-]@(?:[\p{L}0-9](?:[\p{L}0-9-]*[\p{L}0-9])?\.)+\p{L}{2,24}", checks.mail),
    ("phone", r"\+[0-9]{1,3}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){1,5}\b", checks.long_phone),
    ("phone", r"\b00[1-9][0-9]{0,2} ?[0-9]{2,4}(?:[ -]?[0-9]{2,4}){1,4}\b", checks.long_phone),
    ("phone", r"(?:\b1[ .-])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}\b", checks.phone),
    ("phone", r"\b0[1-9](?:[ .][0-9]{2}){4}\b|\b\(?0[1-9][0-9]{1,3}\)?[ /-][0-9]{3,4}[ -]?[0-9]{3,5}\b", checks.phone),
    (
        "phone",
        _PHONE,
        checks.phone,
    ),
)

BUILT_IN: tuple[Pattern, ...] = tuple(Pattern(kind, compiled(regex), check) for kind, regex, check in _ROWS)
KINDS: frozenset[str] = frozenset(pattern.kind for pattern in BUILT_IN)
