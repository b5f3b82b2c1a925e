"""The built-in kinds of secrets: patterns, each with a check that tells secrets from harmless texts
of the same form.

Patterns run in RE2, whose time is linear in the text. Where a pattern has a group `s`, only that
group is secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.us import ssn

from ingest.screening.redaction.credentials import (
    KEYED,
    LONG,
    CredentialModel,
    candidates,
    credential_model,
)
from ingest.screening.redaction.rules import FORMATS, compile_re2


@dataclass(frozen=True, slots=True)
class Span:
    """A range of `text` that may be a secret, from index `start` to `end` (exclusive)."""

    text: str
    start: int
    end: int

    @property
    def inside(self) -> str:
        """The characters of the span itself."""
        return self.text[self.start : self.end]

    def before(self, length: int) -> str:
        """At most the last `length` characters before the span."""
        return self.text[max(0, self.start - length) : self.start]

    def shorter(self, separator: str) -> Iterator[Span]:
        """Yield the span, then what is before its last `separator`, before the last but one, and so
        on.
        """
        ends = [self.start + match.start() for match in re.finditer(separator, self.inside)]
        return (Span(self.text, self.start, end) for end in (self.end, *reversed(ends)))


Check: TypeAlias = Callable[[Span], Span | None]
"""Returns the part of a pattern's match that is secret, or None if the match is harmless."""


def _always(span: Span) -> Span | None:
    return span


@dataclass(frozen=True, slots=True)
class Pattern:
    """Finds one kind of secret. kind: its name in reports. regex: compiled by RE2. check: confirms
    a match.

    anchored: whether the regex may match the start or end of the text, so that several texts cannot
    be searched as one. literals: every text that matches has one of these in lower case; empty if
    none are known.
    """

    kind: str
    regex: Any
    check: Check = _always
    anchored: bool = False
    literals: tuple[str, ...] = ()

    def likely(self, encoded: bytes, lowered: str) -> bool:
        """Whether a text may have this kind of secret. encoded, lowered: the text in UTF-8, and in
        lower case.
        """
        if self.literals and not any(map(lowered.__contains__, self.literals)):
            return False
        return self.regex.search(encoded) is not None

    def spans(self, text: str) -> Iterator[Span]:
        """The secrets of this kind in `text`."""
        group = int(self.regex.groupindex.get("s", 0))
        for match in self.regex.finditer(text):
            span = self.check(Span(text, *match.span(group)))
            if span is not None and span.end > span.start:
                yield span


@dataclass(frozen=True, slots=True)
class CredentialPattern(Pattern):
    """Finds credentials without a fixed format, as judged by a trained model.

    regex: preselects, so it matches every text that may have such a credential. keyed: True to find
    credentials near the name of a secret, such as "password"; False to find only the others. model:
    loads the trained model.
    """

    keyed: bool = True
    model: Callable[[], CredentialModel] = credential_model

    def spans(self, text: str) -> Iterator[Span]:
        """The credentials in `text`: those near the name of a secret if `keyed`, otherwise all
        others.
        """
        for candidate in self.model().secret(candidates(text, keyed=self.keyed)):
            yield Span(text, candidate.start, candidate.end)


_DIGIT = re.compile(r"\d")
_CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1)})
_ISSUERS = (
    (re.compile(r"4"), frozenset({13, 16, 19})),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"6011|65|64[4-9]|62|35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
    (re.compile(r"30[0-5]|36|3[89]"), frozenset({14})),
)
"""Prefix and lengths of card numbers: Visa, Mastercard, American Express, Discover (with UnionPay
and JCB), Diners.
"""

_REFERENCE = re.compile(
    r"(?:order|invoice|ticket|case|sku|part|ref|reference|isbn|serial|tracking|id|no"
    r"|version|build|#)\W*(?:number|no)?\W*$",
    re.IGNORECASE,
)
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])"
_DATE = re.compile(
    rf"(?:[12][0-9]{{3}}([.-]){_DAY}\1{_DAY}|"
    rf"{_DAY}([.-]){_DAY}\2(?:[0-9]{{2}}|[12][0-9]{{3}}))(?: [0-9]{{1,2}})?"
)
_NOT_A_DOMAIN = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "service", "timer", "socket", "local", "py", "js"}
)
_PLACEHOLDER = re.compile(
    r"(?<![a-z0-9])example|x{6,}|\byour|[_-]your|\*{3,}|\.{3}|[_-]replace|changeme", re.IGNORECASE
)


def _card(span: Span) -> Span | None:
    """The span if it is a card number: an issuer's prefix and length, the usual groups, and a valid
    Luhn checksum.
    """
    groups = tuple(len(group) for group in re.split(r"[ -]", span.inside))
    digits = "".join(_DIGIT.findall(span.inside))
    issued = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in _ISSUERS)
    grouped = len(groups) == 1 or groups in _CARD_GROUPS
    return span if issued and grouped and luhn.is_valid(digits) and len(set(digits)) > 1 else None


def _iban(span: Span) -> Span | None:
    """The IBAN (valid checksum and length) at the start of the span, without words after it; None
    if there is none.
    """
    return next((shorter for shorter in span.shorter(" ") if iban.is_valid(shorter.inside)), None)


def _phone(span: Span) -> Span | None:
    """The span if it is a phone number: 7 to 15 digits, no date, and not after a word such as
    "order" or "ticket".
    """
    digits = len(_DIGIT.findall(span.inside))
    continued = span.before(1) in (*"0123456789.-/_=+", "#") or span.text[
        span.end : span.end + 1
    ] in ("/", "_", "=")
    other = continued or _REFERENCE.search(span.before(24)) or _DATE.fullmatch(span.inside)
    return span if 7 <= digits <= 15 and not other else None


def _local_phone(span: Span) -> Span | None:
    """The span if it is a phone number that is not part of a row of numbers, otherwise None."""
    row = re.search(r"\d,? $", span.before(3)) or re.match(
        r",? \d", span.text[span.end : span.end + 3]
    )
    return None if row else _phone(span)


def _long_phone(span: Span) -> Span | None:
    """The span if it is a phone number with country code. It needs nine digits, so "+120,000" is
    not a phone number.
    """
    decimal = re.fullmatch(r"\+\d+\.\d+", span.inside)
    return _phone(span) if len(_DIGIT.findall(span.inside)) >= 9 and not decimal else None


def _email(span: Span) -> Span | None:
    """The span if it is an e-mail address; None for git@host, and for names of files such as
    icon@2x.png.
    """
    local, _, domain = span.inside.rpartition("@")
    return (
        None
        if local.lower() in ("git", "hg") or domain.rpartition(".")[2].lower() in _NOT_A_DOMAIN
        else span
    )


def _token(span: Span) -> Span | None:
    """The span if it looks like a key or token: it has a digit or letters of both cases, and is no
    placeholder.
    """
    mixed = _DIGIT.search(span.inside) or (
        re.search("[a-z]", span.inside) and re.search("[A-Z]", span.inside)
    )
    return span if mixed and not _PLACEHOLDER.search(span.inside) else None


def _url_password(span: Span) -> Span | None:
    """The span, a password in a URL; None if it is a placeholder, such as "changeme"."""
    placeholder = (
        r"(?i)^[<\[{$]|^\*+$|^(?:password|passwd|pass|pw|pwd|secret|token|x+|\.+|changeme)$"
    )
    return None if re.search(placeholder, span.inside) else span


def _basic_credentials(span: Span) -> Span | None:
    """The span if it is HTTP basic credentials (base64 of NAME:PASSWORD), otherwise None."""
    try:
        decoded = base64.b64decode(span.inside, validate=True)
    except binascii.Error:
        return None
    return span if b":" in decoded and decoded.isascii() else None


_BREAK = r"(?:(?:```[a-z]*)?\s)*(?:[*>-] )?"
"""Line breaks between a name and its value, with the start of a code block or the mark of a
list.
"""
_THEN = rf"(?:[ :#=]|(?:[:=]| is| now| est| es| ist| lautet| \x{{e8}}| \x{{e9}})\s{_BREAK})"
_KEY_BLOCK = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?s:.)*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|"
    r"(?:[^A-Za-z]*(?:[A-Z][A-Za-z-]+: .*|[A-Za-z0-9+/=]{20,}))*)"
)
"""A private key. Without an end, it is the lines of headers and of base64 that follow its first
line.
"""
_PHONE = (
    r"(?i)(?:\b(?:phone|tel|telephone|mobile|cell|fax|whatsapp|call (?:me|him|her|us|them) (?:at|"
    r"on)|telefon|telefonnummer|handy|handynummer|rufnummer|tel\x{e9}fono|m\x{f3}vil|"
    r"ll\x{e1}m[ae](?:me|nos|lo|la) al|t\x{e9}l\x{e9}phone|t\x{e9}l|portable|num\x{e9}ro|"
    r"appelle[- ](?:moi|nous) au|telefone|celular|telefono|cellulare)"
    r"|\x{96fb}\x{8a71}(?:\x{756a}\x{53f7})?|\x{643a}\x{5e2f}|\x{7535}\x{8bdd}|\x{624b}\x{673a})"
    r"(?: number| no\.?)?(?: ist?| est?| lautet|\x{306f}|\x{662f})?"
    r"[.:]?[\s`*-]*(?P<s>\(?[0-9][0-9 ().-]{5,18}[0-9])\b"
)

_NUMBER_NAME = (
    r"(?i)(?:social security|\bssn\b|national "
    r"insurance|\bni(?:no)?\b|\bnhs\b|steuer-?(?:id|nummer)|\bidnr\b|\bbsn\b|"
    r"burgerservicenummer|\bdni\b|\bnie\b|\bnif\b|\bcpf\b|aadhaar|\bpesel\b|codice fiscale|\bnir\b|"
    r"s[e\x{e9}]curit[e\x{e9}] sociale|passport|passeport|reisepass|pasaporte|passaporto)"
    rf"[^0-9\n]{{0,30}}?{_THEN}"
)
_OFFICIAL = (ssn, nhs, idnr, bsn, dni, nie, cpf, aadhaar, pesel, codicefiscale, nir)
_INSURANCE = re.compile(r"[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]")
_CODE = r"[A-Za-z0-9]{4,6}(?:[ -][A-Za-z0-9]{4,6})+|[0-9]{6,10}"


def _official_number(span: Span) -> Span | None:
    """The span if it is a person's official number, such as a passport's, by its checksum or form;
    otherwise None.
    """
    number = span.inside.strip(" .,;:")
    shaped = _INSURANCE.fullmatch(number) or re.fullmatch(r"[A-Z0-9]{8,9}", number)
    confirmed = shaped or any(office.is_valid(number) for office in _OFFICIAL)
    return span if confirmed and _DIGIT.search(number) else None


def _codes(span: Span) -> Span | None:
    """The span if it is a list of recovery codes (several groups of characters, and a digit),
    otherwise None.
    """
    return (
        span
        if _DIGIT.search(span.inside) and len(re.findall(r"[A-Za-z0-9]+", span.inside)) > 1
        else None
    )


def _numbered(span: Span) -> Span | None:
    return span if _DIGIT.search(span.inside) and not _DATE.match(span.text, span.start) else None


def _phrase(span: Span) -> Span | None:
    """The span, the words of a passphrase; None if they ask for one, as a form does."""
    return None if re.search(r"(?i)\b(?:your|pass\w*|must|needs?)\b", span.inside) else span


def _seed(span: Span) -> Span | None:
    """The span, without its last lines if need be, if it then has the number of words of a wallet's
    phrase; or None.
    """
    counted = (
        (shorter, len(re.findall("[A-Za-z]+", shorter.inside))) for shorter in span.shorter("\n")
    )
    return next((shorter for shorter, words in counted if words in (12, 15, 18, 21, 24)), None)


_RECOVERY_CODES = (
    r"(?i)(?:recovery|backup|scratch|one-time|einmal|wiederherstellungs?|notfall|secours|"
    r"recuperaci[o\x{f3}]n)[- ]?"
    r"(?:codes?|keys?|c[o\x{f3}]digos?)(?:[^\n0-9]{0,20}?[:\s]|[^\n0-9:.]{0,60}:)"
    rf"{_BREAK}(?P<s>(?:[\s,;*\x{{2022}}-]*\b(?:{_CODE})\b)+)"
)
_AUTHENTICATOR_SEED = (
    rf"(?i)(?:2fa|totp|otp|mfa|authenticator|setup key|seed)[^\n]{{0,40}}?{_THEN}"
    r"(?P<s>(?:[A-Z2-7]{4} ){2,}[A-Z2-7]{2,4}\b|[A-Z2-7]{16,64}\b)"
)
_WALLET_SEED = (
    r"(?i)(?:(?:wallet|backup|secret)[- ]?(?:phrase|words)|(?:seed|recovery|mnemonic)(?:[- "
    r"]?(?:phrase|words))?|"
    r"wiederherstellungs(?:phrase|w\x{f6}rter)|phrase de "
    r"(?:r\x{e9}cup\x{e9}ration|secours)|herstelzin|"
    r"frase (?:semilla|de recuperaci\x{f3}n|de recupera\x{e7}\x{e3}o|di recupero|seed))"
    rf"(?:(?: [^\n.:]{{1,40}}?)?(?: ist?| est?| \x{{e8}}| "
    rf"\x{{e9}}|:))?(?:[^\na-z]{{1,6}}|\s{_BREAK}(?:[0-9][.)]? )?)"
    r"(?P<s>[a-z]{3,8}(?:,?\s+(?:[0-9]+[.)]? )?[a-z]{3,8}){11,23})"
)
_PIN = (
    r"(?i)(?:\bpin\b(?:[- ]?code)?|\bcvv2?\b|\bcvc\b|\b(?:alarm|safe)[- ]?code|"
    r"\b(?:code|c\x{f3}digo|codice|kod) (?:de |del |della |do |da )?(?:la |l')?"
    r"(?:alarm[aeu]?|allarme|coffre)\b)"
    rf"[^0-9\n,;]{{0,24}}?{_THEN}(?P<s>[0-9]{{3,8}}#?)\b"
)
_PHRASE = (
    r"""(?i)passphrase["'`]?\s{0,4}[=:]\s{0,4}["'`]?"""
    r"""(?P<s>\pL+(?:[ -]\pL+){2,7})["'`]?[ .]*(?m:$)"""
)
_PHRASE_VERB = r"(?i)passphrase\b[^\n:=.]{0,40}?\s(?:is|was|ist|lautet|war)(?: now)?\s{1,4}"
_QUOTED_PHRASE = (
    _PHRASE_VERB + r"""["'`\x{201c}\x{201e}](?P<s>\pL+(?:[ -]\pL+){2,7})["'`\x{201c}\x{201d}]"""
)
_HYPHENATED_PHRASE = _PHRASE_VERB + r"(?P<s>\pL+(?:-\pL+){3,7})"
_OFFICIAL_NUMBER = (
    _NUMBER_NAME + r"(?P<s>(?:[A-Z]{2} ?)?[0-9][0-9 .-]{5,17}[0-9](?: ?[A-Z]\b)?|[A-Z0-9]{8,9}\b)"
)

_ROWS: tuple[tuple[str, str, Check], ...] = (
    ("private_key", _KEY_BLOCK, _always),
    ("private_key", r"(?i)Private-Lines: [0-9]+\s+(?P<s>(?:[A-Za-z0-9+/=]{16,}\s*)+)", _always),
    (
        "url_password",
        r"""\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s:/@'"<>]*:(?P<s>[^\s/'"<>]+)@""",
        _url_password,
    ),
    (
        "aws_secret",
        r"""(?i)\baws.{0,20}?(?:secret|key).{0,12}?[:=\s]\s*["']?(?P<s>[A-Za-z0-9/+]{40})\b""",
        _token,
    ),
    ("azure_key", r"(?:AccountKey|SharedAccessKey|[?&]sig)=(?P<s>[A-Za-z0-9+/=%]{40,})", _always),
    (
        "url_password",
        r"\b(?:localhost|[\w-]+(?:\.[\w-]+)+):[0-9]{2,5}:[\w*-]+:[\w.-]+:(?P<s>[^\s:]{6,})",
        _token,
    ),
    (
        "token",
        (
            r"""(?i)\b(?:echo|printf)\s[^|\n]{0,12}?["']?(?P<s>[^\s"'|]{16,})["']?"""
            r"""\s*\|[^|\n]*\b(?:login|auth)\b"""
        ),
        _token,
    ),
    (
        "token",
        r"(?i)(?:key|secret|salt)[\"']?\s?[:=]\s?[\"']?base64:(?P<s>[A-Za-z0-9+/]{20,}={0,2})",
        _always,
    ),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", _always),
    ("bearer_token", r"(?i)\bbearer[ :]+(?P<s>[A-Za-z0-9._~+/-]{16,}=*)", _token),
    ("basic_credentials", r"(?i)\bbasic +(?P<s>[A-Za-z0-9+/]{8,}={0,2})", _basic_credentials),
    ("recovery_code", _RECOVERY_CODES, _codes),
    ("recovery_code", _AUTHENTICATOR_SEED, _numbered),
    (
        "recovery_code",
        r"(?i)app(?:-specific)? password[^\n:]{0,8}[ :]\s*(?P<s>[a-z]{4}(?:[ -][a-z]{4}){3})\b",
        _always,
    ),
    ("recovery_code", r"(?i)recovery key[^0-9]{0,12}(?P<s>[0-9]{6}(?:-[0-9]{6}){3,7})", _always),
    ("recovery_code", _WALLET_SEED, _seed),
    ("pin", _PIN, _numbered),
    ("password", _PHRASE, _phrase),
    ("password", _QUOTED_PHRASE, _phrase),
    ("password", _HYPHENATED_PHRASE, _phrase),
    (
        "url_password",
        r"""\bcurl\b[^\n]*?\s(?:-u|-U|--user|--proxy-user)[ =]["']?[^\s:"']+:(?P<s>[^\s"']+)""",
        _url_password,
    ),
    ("national_id", _OFFICIAL_NUMBER, _official_number),
    (
        "national_id",
        r"\b[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]\b",
        _official_number,
    ),
    ("national_id", r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b", _official_number),
    ("iban", r"(?i)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _iban),
    ("card", r"\b[0-9](?:[ -]?[0-9]){12,18}\b", _card),
    (
        "email",
        r"[\p{L}0-9._%+-]*[\p{L}0-9_%+-]@(?:[\p{L}0-9](?:[\p{L}0-9-]*[\p{L}0-9])?\.)+\p{L}{2,24}",
        _email,
    ),
    (
        "phone",
        r"\+[0-9]{1,3}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){1,5}\b",
        _long_phone,
    ),
    ("phone", r"\b00[1-9][0-9]{0,2} ?[0-9]{2,4}(?:[ -]?[0-9]{2,4}){1,4}\b", _long_phone),
    (
        "phone",
        r"(?:\b1[ .-])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}\b",
        _local_phone,
    ),
    (
        "phone",
        r"\b0[1-9](?:[ .][0-9]{2}){4}\b|\b\(?0[1-9][0-9]{1,3}\)?[ /-][0-9]{3,4}[ -]?[0-9]{3,5}\b",
        _phone,
    ),
    ("phone", _PHONE, _phone),
)

BUILT_IN: tuple[Pattern, ...] = (
    Pattern(_ROWS[0][0], compile_re2(_ROWS[0][1]), _ROWS[0][2], literals=("private",)),
    *(
        Pattern(kind, compile_re2(regex), _token, literals=literals)
        for kind, literals, regex in FORMATS
    ),
    *(Pattern(kind, compile_re2(regex), check) for kind, regex, check in _ROWS[1:]),
    CredentialPattern("password", KEYED, keyed=True),
    CredentialPattern("token", LONG, keyed=False),
)
"""The built-in patterns. Where secrets overlap, the earlier pattern takes precedence."""

KINDS: frozenset[str] = frozenset(pattern.kind for pattern in BUILT_IN)
