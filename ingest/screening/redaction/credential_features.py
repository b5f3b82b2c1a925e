"""Features of a word that may be a credential: its form, and the names of secrets near it."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

BigramTable = npt.NDArray[np.float32]
"""log2 probability that a letter (second index) follows another (first index), as an array of shape
(27, 27).

Index 0 is the border of a word, 1 to 26 are a to z.
"""

_UUID = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_HEX = re.compile(r"(?:0x)?(?:[0-9a-f]+|[0-9A-F]+)")
_NUMBERS = re.compile(r"[vV]?[\d.,:/+\-TZ_x()%#°]+(?:(?:rc|beta|alpha|ms|px|[smhdkKMG]B?)\d*)?")
_PLACEHOLDER = re.compile(
    r"(?i)[<\[{$%]|.*(?:x{4,}|\*{3,}|\.{3}|\u2026|example|changeme|placeholder|redacted"
    r"|your[_-]?|dummy|replace|_here\b)|"
    r"(?:none|null|true|false|undefined|string|\d?password|secret|token|pass|test|guest|abc\d*)$"
)
_TEMPLATE = re.compile(
    r".*(?:\$\{|\{\{|<%|%\()|\$(?:[A-Za-z_]+|[A-Z][A-Z0-9_]+)(?:/|$)|[A-Za-z_]\w*\(\)$|\$\(|%[sdv]$|<|!\w+$"
    r"|.*process\.env|.*os\.environ|"
    r"(?:[\w.\-]+=)?(?:~|\.{1,2})?/\.?[a-z]{2,12}(?:/|$)|#[0-9a-fA-F]{3,8}$"
)
_CODE = re.compile(
    r"[A-Za-z_][A-Za-z_.:>\-?!]*[\[(].*|.*\[[^\[\]]{0,40}-[^\[\]]{0,40}\]|.*(?:\\[bdws]|\(\?"
    r"|\{\d+,?\d*\})|"
    r"[a-zA-Z_]+(?:\.[a-zA-Z_]+)+\??$|.*\)\.\w+$|[\w.]+\($"
)
_REFERENCE = re.compile(
    r"(?i)(?:op|vault|file|https?|s3|arn|ssm|secret|git|urn|data|env)[:/]|!|\.{0,2}/|~/|[a-z]:\\"
)
_FILE = re.compile(r"(?i).*\.[a-z]{1,4}[a-z0-9]{0,3}$")
_IDENTIFIER = re.compile(r"[A-Za-z]+(?:[_\-.:/ ][A-Za-z]+|[_\-.:/]\d{1,4})*\d{0,4}")
_TICKET = re.compile(r"[A-Z]{1,6}[\-#_]?\d[\d\-/.]*[A-Za-z]?$")
_PREFIX = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9]{0,9}[_\-.:]){1,3}(?=[A-Za-z]*\d)[A-Za-z0-9_\-.]{28,}$"
)

_PUBLIC_KEY = re.compile(
    r"AAAA[A-Z0-9]{1,3}Nza|MIGf?MA0G|MIGeMA0G|MII[A-Z]IjANBg|MCowBQYDK2V|MFkwEwYHKoZI|MHYwEAYHKoZI"
)
"""Matches the beginning of a public key in OpenSSH's format, or as base64 of its X.509 form."""
_SEGMENT = re.compile(r"[A-Za-z]+\d{0,4}|\d[\d.\-:]*|\w+\.[a-z]{1,6}|[a-z]+(?:[._\-][a-z0-9]+)+")
"""Matches a part of a path that is a name, a date or a file. Parts are matched one by one, which
takes linear time.
"""
_HOST = re.compile(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*\.){3,}[a-z]{2,}(?::\d+)?$")
_RELEASE = re.compile(
    r"(?:[a-z][\w.\-]*(?:@|==)v?\d+(?:\.\d+)+|[\w.\-]+(?:/[\w.\-]+)+@v\d+(?:\.\d+)*)$"
)
"""Matches a package with its version, such as "react@18.2.0" or "acme/setup@v3"."""
_CHORD = re.compile(r"(?:[A-Za-z]+\+)+(?:[A-Za-z]|F\d{1,2})$")
"""Matches keys that are pressed together, such as "Ctrl+Alt+T"."""
_QUANTITY = re.compile(r"[~<>+\-]?\d{1,4}(?:[.,]\d+)?(?:[A-Za-z]{1,4}|[%°€$])")

_CROSSED = ("word_likeness", "hex", "uuid", "letters_only", "identifier", "passwordlike", "ticket")
"""Word features that mean something else beside the name of a secret, so they are multiplied by
context features.
"""

FAMILIES = ("", "password", "token", "weak")
"""Families of names of secrets. Weak ones (login, key, the name of a vendor) are mostly near
harmless words.
"""


def word_features(word: str, bigrams: BigramTable) -> dict[str, float]:
    """Features that describe the letters and signs of `word`, by name; mostly from 0 to 1."""
    length = len(word)
    lower, upper, digits = (
        sum(map(test, word)) for test in (str.islower, str.isupper, str.isdigit)
    )
    signs = length - lower - upper - digits
    likeness, pairs, longest = _likeness(word, bigrams)
    kinds = [(letter.islower(), letter.isupper(), letter.isdigit()) for letter in word]
    changes = sum(a != b for a, b in pairwise(kinds)) / max(1, length - 1)
    hexadecimal = _HEX.fullmatch(word) is not None and digits > 0 and length >= 6
    mixed = (upper > 0) + (lower > 0) + (digits > 0) + (signs > 0)
    frequencies = [count / length for count in Counter(word).values()]
    return {
        "bias": 1.0,
        "length": math.log2(length) / 8,
        "digits": digits / length,
        "uppercase": upper / length,
        "signs": signs / length,
        "classes": mixed / 4,
        "changes": changes,
        "word_likeness": likeness,
        "few_letters": pairs < 4,
        "longest_word": longest / length,
        "hex": hexadecimal,
        "digest": hexadecimal and length in (7, 8, 12, 32, 40, 64),
        "uuid": _UUID.fullmatch(word) is not None,
        "numeric": _NUMBERS.fullmatch(word) is not None,
        "placeholder": _PLACEHOLDER.match(word) is not None,
        "code": _CODE.match(word) is not None,
        "reference": _REFERENCE.match(word) is not None,
        "file": _FILE.match(word) is not None and changes < 0.4,
        "identifier": _IDENTIFIER.fullmatch(word) is not None,
        "prefix": prefixed(word),
        "padded": word.endswith("="),
        # Shannon's, in bits per character
        "entropy": -sum(share * math.log2(share) for share in frequencies) / 6,
        "passwordlike": mixed >= 3 and 6 <= length <= 32,
        "letters_only": digits == 0 and signs == 0,
        "short": length < 8,
        "ticket": _TICKET.match(word) is not None,
    }


def _likeness(word: str, bigrams: BigramTable) -> tuple[float, int, int]:
    """How word-like the letters are, the number of letter pairs, and the length of the longest run
    of letters.

    The first number is 1 for ordinary text, 0 for random letters, and 0.5 if there are no letter
    pairs.
    """
    codes = [ord(letter) - 96 if "a" <= letter <= "z" else 0 for letter in word.lower()]
    pairs = [(a, b) for a, b in pairwise(codes) if a and b]
    runs = "".join("a" if code else " " for code in codes).split()
    if not pairs:
        return 0.5, 0, len(runs[0]) if runs else 0
    mean = sum(float(bigrams[pair]) for pair in pairs) / len(pairs)
    return min(1.0, max(-0.5, (mean + 7) / 4)), len(pairs), max(map(len, runs))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The text around a word, and the nearest name of a secret, such as "password".

    key: family of that name, see `FAMILIES`; empty if there is no such name. gap: text between the
    name and the word. side: where the name is: "left", "right", "above" (in the head of the
    column), or "heading" (in the heading of the line or list; the word is then judged as if it came
    after that heading). before: up to 80 characters before the word. after: the two characters
    after the word. quoted: whether the word is in quotes. name: what the word is assigned to, as in
    `name = "word"`; empty if there is no assignment.
    """

    key: str = ""
    gap: str = ""
    side: str = ""
    before: str = ""
    after: str = ""
    quoted: bool = False
    name: str = ""


_SUFFIX = re.compile(
    r"(?i)[_\- ]?(?:min|max|length|len|ttl|file|path|field|hash|hint|name|ref|expir|life|rotat|"
    r"timeout|reset|policy|manager|header|count|limit|budget|type|url|uri|endpoint|arn|id\b|iz|s\b|"
    r"store|generator|provider|encoder|auth|input|label|required|changed|version|bucket|format|"
    r"s?_?id\b|ring|method|usage|used)"
)
_HARMLESS = re.compile(
    r"(?i)(?:sha-?\d*|md5|hash|digest|checksum|integrity|commit|rev(?:ision)?|etag|fingerprint|"
    r"uuid|guid|ids?|trace|span|request|serial|version|build|order|invoice|tracking|image|"
    r"public[ _-]?key|pub|kid|nonce|cache|blob|tree|merge|layer|container|file|path|block|tx|"
    r"address|recipient|rsa|dss|ed25519|nistp\d+|base64|cert\w*|h1|bh|index|snapshot|object|model|"
    r"digest|signature of|bucket|account|app|customer|price|node|host|route|ray|ticket|gpg key|pgp|"
    r"key id|client[ _-]?id)[\"']?\s?[:=@\-#/]?\s*(?:is |ist |matches )?[\"'(<]?$"
)
COPULA = re.compile(
    r"(?i)\b(?:is|was|are|now|as|'s|ist|lautet|war|heißt|es|est|c'est|é|è|sono|to|är|er|on|je|"
    r"\u044f\u0432\u043b\u044f\u0435\u0442\u0441\u044f|\ub294|\uc740)\b|[\u306f\u662f\u4e3a]"
)
_PREPOSITION = r"(?:for|of|to|on|at|für|vom|von|zum|pour|du|de|d'|del|della|da|para|per|van|voor)\b"
_OWNED = re.compile(rf"(?i)s?\s+{_PREPOSITION}\s*")
"""Matches what stands between the name of a secret and what it belongs to, as in "password of
db-01".
"""
_PURPOSE = re.compile(
    rf"(?i)(?:^ {_PREPOSITION}[^.:\d]{{1,60}}?)?"
    rf"\s*(?:{COPULA.pattern.removeprefix('(?i)')})?(?=\s?[:\uff1a])"
)
"""Matches " for the portal is" in "my password for the portal is: ...", to leave it out of the gap
before the colon.
"""
_HARMLESS_NAME = re.compile(
    r"(?i)(?:sha-?\d*|md5|hash|digest|checksum|integrity|commit|rev|etag|fingerprint|version"
    r"|url|uri|host|endpoint|file|"
    r"path|name|user(?:name)?|login|email|type|kind|format|date|time|ts|region|zone|model"
    r"|image|resolved|source|repo|"
    r"h1|bh|cache|(?:next|page|continuation|csrf)[a-z_]*token|public\w*|n|x|y|kid|alg|serial"
    r"|ray|nonce|index|level|"
    r"msg|status)$"
)
_ID_NAME = re.compile(r"(?:^|.*[_\-.])(?i:ids?|uuid|guid|key_id|keyid)$|.*[a-z]Ids?$")


def context_features(near: Surroundings) -> dict[str, float]:
    """Features that describe the surroundings of a word, by name; each is from 0 to 1."""
    gap = _PURPOSE.sub("", near.gap)
    left = near.side in ("left", "heading")
    words = len(gap.split())
    assigned = re.fullmatch(
        r"[\w\-\]]{0,20}[\"'`*)\]]*\s{0,12}(?:=>|:=|[:=\uff1a\u2192|>])+"
        r"[\s\"'`*$@({\[!|\-]*\w{0,8}[\s(\"'`]*",
        gap,
    )
    return {
        "adjacent": left and len(gap) <= 4,
        "assigned": left and assigned is not None,
        "near": left and words <= 2,
        "far": left and words > 4,
        "right": near.side == "right",
        "above": near.side == "above",
        "harmless_suffix": left and _SUFFIX.match(gap) is not None,
        "harmless_before": _HARMLESS.search(near.before[-40:]) is not None,
        "quoted": near.quoted,
        "named": near.name != "",
        "in_url": "://" in near.before,
        "joined_words": min(words, 8) / 8,
        "name_harmless": near.name != "" and _HARMLESS_NAME.match(near.name) is not None,
        "name_id": near.name != "" and _ID_NAME.match(near.name) is not None,
        "call_after": near.after.startswith("("),
        "sentence_gap": left and re.search(r"[.!?]\s", gap) is not None,
        "flag": left and re.search(r"(?:^|\s)-{1,2}\w*[= ]?$", near.before[-12:]) is not None,
        "bracketed": re.search(r"(?:[<{\[$%]|\{\{ ?\.?)$", near.before[-4:]) is not None,
        "copula": near.side != "above" and COPULA.search(gap if left else gap[:12]) is not None,
        "pair": re.search(r"\w ?/ $", near.before[-4:]) is not None,
        "headed": near.side == "heading",
    }


def prefixed(word: str) -> bool:
    """Whether `word` has the form of most vendors' tokens: a prefix such as "sk_live_", then
    letters and digits.
    """
    return _PREFIX.match(word) is not None


def ruled_out(word: str, *, quoted: bool) -> bool:
    """Whether `word` can't be a credential: it is a template, variable, path, host, colour, public
    key, package, key combination, or (unless quoted) code.
    """
    if not quoted and _CODE.match(word):
        return True
    segments = word.strip("/").split("/")
    if len(segments) > 1 and all(map(_SEGMENT.fullmatch, segments)):
        return True
    return any(form.match(word) for form in (_TEMPLATE, _PUBLIC_KEY, _HOST, _CHORD, _RELEASE))


def needs_telling(word: str) -> bool:
    """Whether `word` looks like an ordinary name or quantity ("macOS14", "25eur"), so that it is a
    credential only where the text says so.
    """
    forms = (_IDENTIFIER, _TICKET, _QUANTITY, _NUMBERS)
    return any(form.fullmatch(word) for form in forms)


def is_told(near: Surroundings) -> bool:
    """Whether the text gives the word as the value of the name near it, as in "password is ..."."""
    if near.side not in ("left", "heading") or near.quoted or near.name:
        return True
    if _OWNED.fullmatch(near.gap) and COPULA.search(near.gap) is None:
        return False
    if near.side == "heading":
        return True
    gap = near.gap.rstrip(" \t\"'`*([")
    close = len(near.gap.split()) <= 3
    return (
        close or gap.endswith((":", "=", ">", "\uff1a", "-", "/")) or COPULA.search(gap) is not None
    )


def features(word: str, near: Surroundings, bigrams: BigramTable) -> npt.NDArray[np.float32]:
    """All features of a word, in one vector: those of the word, those of its surroundings, and
    products of both.

    The vector has one block of word features for each family of names of secrets (none, password,
    token, weak). Only the block for the nearest name is set, so a trained model has weights for
    each family.
    """
    of_word = word_features(word, bigrams)
    blocks = np.zeros((len(FAMILIES), len(of_word)), dtype=np.float32)
    blocks[FAMILIES.index(near.key)] = list(of_word.values())
    context = np.array(list(context_features(near).values()), dtype=np.float32)
    crossed = np.array([of_word[name] for name in _CROSSED], dtype=np.float32)
    products = np.outer(context, crossed).ravel() * bool(near.key)
    return np.concatenate([blocks.ravel(), context, products])
