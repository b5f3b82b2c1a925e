"""The contract of Tokenizer, tested on both encodings (cl100k_base and o200k_base)."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memtypes.encoders.tiktoken import SHA256, TiktokenTokenizer
from memtypes.ports.encoders import Tokenizer

each = pytest.mark.parametrize("tokenizer", SHA256, indirect=True)

_MARKS = (
    " \n\r\t/-#<'.,!?aZ1\u00a0\u2028\x85\x0b\x1c\u3000"
    "\u0301\u4e2d\u3002\U0001f600\u200d\u00e9\u00bd\u2167\u0e33"
)
TRICKY = st.sampled_from([*_MARKS, "'s", "'LL", "  ", "\n\n", " \n", "<|endoftext|>", "foo"])
ANY = st.one_of(st.text(max_size=40), st.lists(TRICKY, max_size=30).map("".join))
LONG = st.lists(st.one_of(TRICKY, st.text(max_size=8)), max_size=60).map("".join)


@pytest.fixture(scope="module")
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """The tokenizer of the encoding that the test's parameter names."""
    return asyncio.run(TiktokenTokenizer.open(request.param))


@each
def test_an_empty_text_has_no_tokens_and_a_limit_of_0_leaves_no_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.count("") == 0
    assert tokenizer.truncate("some text", 0) == ""
    assert tokenizer.truncate("", 5) == ""


@each
def test_special_tokens_are_counted_as_plain_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.count("<|endoftext|>") > 1


@pytest.mark.parametrize(
    ("tokenizer", "tokens"), [("cl100k_base", 8), ("o200k_base", 8)], indirect=["tokenizer"]
)
def test_a_known_sentence_has_its_published_count(tokenizer: Tokenizer, tokens: int) -> None:
    """The sentence "Hello, world! How are you?" has 8 tokens in the encodings cl100k_base and
    o200k_base.
    """
    assert tokenizer.count("Hello, world! How are you?") == tokens


@each
@settings(deadline=None)
@given(text=ANY)
@example(text="\U0001f600\u0e00")  # the first token of both is a part of the first character
def test_truncate_returns_the_longest_prefix_that_fits(tokenizer: Tokenizer, text: str) -> None:
    """For any text and limit, `truncate` returns the longest prefix that has at most that many
    tokens.
    """
    counts = [tokenizer.count(text[:length]) for length in range(len(text) + 1)]
    for limit in (0, 1, 2, 3, 5, 8, 13, counts[-1]):
        longest = max(length for length, count in enumerate(counts) if count <= limit)
        assert tokenizer.truncate(text, limit) == text[:longest]


@each
@settings(deadline=None)
@given(text=LONG, limit=st.integers(0, 200))
def test_truncate_of_long_texts_fits(tokenizer: Tokenizer, text: str, limit: int) -> None:
    """The result has at most `limit` tokens. A text that fits is returned whole."""
    prefix = tokenizer.truncate(text * 20, limit)
    assert (text * 20).startswith(prefix)
    assert tokenizer.count(prefix) <= limit
    assert tokenizer.truncate(text, tokenizer.count(text)) == text


@each
@settings(deadline=None, max_examples=400)
@given(first=ANY, second=ANY, mark=st.sampled_from("-#<"))
def test_counts_add_up_at_line_ends(
    tokenizer: Tokenizer, first: str, second: str, mark: str
) -> None:
    """The token count of two joined texts is the sum of their counts if the first text ends with a
    newline.

    The second text begins with "-", "#" or "<".
    """
    left = f"{first}\n"
    right = f"{mark}{second}"
    assert tokenizer.count(left + right) == tokenizer.count(left) + tokenizer.count(right)


@each
@pytest.mark.parametrize(
    "unit",
    ["a", "A", " ", "\n", "\t", "-", "\u4e2d", "\U0001f600", "\u0301", "ab ", "'s", "\u00a0"],
)
def test_long_runs_of_a_character_take_bounded_time(tokenizer: Tokenizer, unit: str) -> None:
    """A text of 100,000 equal characters is counted and truncated within 3 seconds of processor
    time.
    """
    text = unit * (100_000 // len(unit))
    begun = time.process_time()
    count = tokenizer.count(text)
    for limit in (1, 500, count - 1, count):
        prefix = tokenizer.truncate(text, limit)
        assert tokenizer.count(prefix) <= limit
        assert len(prefix) > len(text) * limit // count - 500
    assert prefix == text
    assert time.process_time() - begun < 3
