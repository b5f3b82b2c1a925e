"""Late interaction in whole numbers gives what the plain formula gives, on any processor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memtypes.stores.edge.sidecar import token_matching
from memtypes.stores.edge.sidecar.token_matching import FLIP, Matcher, TokenRows
from memtypes.stores.memory import token_maxima

MATCHER = Matcher()


def laid_out(memories: list[NDArray[np.int8]]) -> TokenRows:
    """The memories in a file, each after a row that is nobody's."""
    content = [np.full((1, 128), 0x55, dtype=np.uint8)]
    starts = []
    for tokens in memories:
        starts.append(sum(map(len, content)))
        content += [tokens.view(np.uint8) ^ FLIP, content[0]]
    lengths = np.array([len(tokens) for tokens in memories], dtype=np.int64)
    return TokenRows(np.concatenate(content), np.array(starts, dtype=np.int64), lengths)


def drawn(seed: int, counts: list[int], asked: int) -> tuple[NDArray[np.int8], list[NDArray[np.int8]]]:
    """A query and memories of random numbers, the extremes among them."""
    rng = np.random.default_rng(seed)

    def tokens(count: int) -> NDArray[np.int8]:
        return rng.integers(-127, 128, (count, 128)).astype(np.int8)

    return tokens(asked), [tokens(count) for count in counts]


@settings(max_examples=60)
@given(st.integers(0, 1_000), st.lists(st.integers(0, 5), max_size=8), st.integers(0, 4))
def test_it_is_the_plain_formula(seed: int, counts: list[int], asked: int) -> None:
    """Whatever the memories, those without tokens among them, the best cosines are those of plain numpy."""
    query, memories = drawn(seed, counts, asked)
    plain = token_maxima(query, [tokens if len(tokens) else None for tokens in memories])
    assert MATCHER.maxima(query, laid_out(memories)) == pytest.approx(plain, abs=1e-4, nan_ok=True)


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divided into small pieces, the work gives the same bytes."""
    query, memories = drawn(7, [3, 1, 0, 9, 2, 2, 30, 1], 5)
    whole = MATCHER.maxima(query, laid_out(memories))
    monkeypatch.setattr(token_matching, "PORTION", 4)
    assert len(laid_out(memories).portions()) > 3
    assert MATCHER.maxima(query, laid_out(memories)).tobytes() == whole.tobytes()


def test_a_processor_that_cuts_sums_off_is_not_trusted() -> None:
    """Without exact sums of whole numbers plain numpy does the work, with the same result."""
    query, memories = drawn(11, [4, 2], 3)
    careful = Matcher()
    careful._exact = False
    assert careful.maxima(query, laid_out(memories)) == pytest.approx(MATCHER.maxima(query, laid_out(memories)))
