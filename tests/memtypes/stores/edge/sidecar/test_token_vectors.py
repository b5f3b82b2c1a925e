"""Token-vector files: repaired after a crash, overwritten on removal, compacted; and the scores
computed from them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memtypes.search.vectors import TokenVectors
from memtypes.stores.edge.sidecar import token_vectors
from memtypes.stores.edge.sidecar.array_files import MIN_REMOVED
from memtypes.stores.edge.sidecar.slots import slots_of
from memtypes.stores.edge.sidecar.token_vectors import FLIP, Matcher, TokenFile, TokenRows
from tests.fakes_memories import token_maxima

SLOTS = range(6)


def rows(fill: int, count: int) -> TokenVectors:
    """`count` token vectors in which every number is `fill`."""
    return np.full((count, 128), fill, dtype=np.int8)


def content_of(file: TokenFile) -> list[tuple[int, int] | None]:
    """For each slot (point number) the number of its token vectors and their fill value; None if it
    has none.
    """
    rows = file.rows(slots_of(SLOTS))
    vectors = [
        rows.content[start : start + count]
        for start, count in zip(rows.starts, rows.lengths, strict=True)
    ]
    assert all((tokens == tokens.flat[0]).all() for tokens in vectors if len(tokens))
    return [
        (len(tokens), int(tokens.flat[0] ^ FLIP)) if len(tokens) else None for tokens in vectors
    ]


def put(file: TokenFile, *triples: tuple[int, int, int]) -> None:
    """Store token vectors, given as triples of slot (point number), fill value and number of
    vectors.
    """
    file.put(
        slots_of(slot for slot, _, _ in triples), [rows(fill, count) for _, fill, count in triples]
    )


changes = st.lists(
    st.tuples(
        st.integers(0, 5), st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 100)))
    ),
    max_size=30,
)


@settings(max_examples=50)
@given(changes, st.booleans())
def test_a_slot_has_its_last_token_vectors(
    tmp_path_factory: pytest.TempPathFactory,
    operations: list[tuple[int, tuple[int, int] | None]],
    reopened: bool,  # noqa: FBT001
) -> None:
    """After any changes each slot (point number) has the vectors last stored for it, also after
    reopening the files.
    """
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    file = TokenFile(path)
    expected: list[tuple[int, int] | None] = [None] * len(SLOTS)
    for slot, stored in operations:
        expected[slot] = stored
        if stored is None:
            file.remove(slots_of([slot]))
        else:
            put(file, (slot, stored[1], stored[0]))
    if reopened:
        file.close()
        file = TokenFile(path)
    assert content_of(file) == expected
    file.close()


def test_incomplete_token_vectors_are_dropped(tmp_path: Path) -> None:
    """A slot (point number) whose vectors were only partly written has none.

    It does not get the vectors that are written next.
    """
    file = TokenFile(tmp_path / "tokens")
    put(file, (0, 1, 2), (1, 2, 2))
    file.close()
    path = file.directory / "vectors.bin"
    path.write_bytes(path.read_bytes()[:-5])
    file = TokenFile(file.directory)
    assert content_of(file)[:2] == [(2, 1), None]
    put(file, (2, 3, 1))
    file.close()
    assert content_of(TokenFile(file.directory)) == [(2, 1), None, (1, 3), None, None, None]


def test_removed_rows_are_overwritten(tmp_path: Path) -> None:
    """After token vectors are removed, their bytes are no longer in the file."""
    file = TokenFile(tmp_path / "tokens")
    put(file, (0, 77, 3), (1, 5, 1), (2, 66, 1))
    file.remove(slots_of([0]))
    put(file, (2, 6, 2))
    content = (file.directory / "vectors.bin").read_bytes()
    assert [bytes([fill ^ int(FLIP)]) * 128 in content for fill in (77, 5, 66, 6)] == [
        False,
        True,
        False,
        True,
    ]
    assert content_of(file)[:3] == [None, (1, 5), (2, 6)]


def test_rows_are_copied_to_other_slots(tmp_path: Path) -> None:
    """Token vectors of some slots (point numbers) are copied to other slots of another file.

    A slot without token vectors gives a slot without any.
    """
    file = TokenFile(tmp_path / "tokens")
    copy = TokenFile(tmp_path / "copy")
    put(file, (0, 7, 3), (3, 5, 1))
    copy.copy(file, slots_of([3, 1, 0]), slots_of([0, 1, 2]))
    assert content_of(copy)[:3] == [(1, 5), None, (3, 7)]


def test_files_with_mostly_removed_rows_are_compacted(tmp_path: Path) -> None:
    """Opening a file in which most rows belong to no memory compacts it, even after an interrupted
    compaction.
    """
    file = TokenFile(tmp_path / "tokens")
    put(file, (0, 1, MIN_REMOVED + 1), (1, 2, 10))
    file.remove(slots_of([0]))
    put(file, (0, 3, 10))
    before = (file.directory / "vectors.bin").stat().st_size
    file.close()
    TokenFile(tmp_path / "tokens.new").close()  # left by an interrupted compaction
    file = TokenFile(file.directory)
    assert (file.directory / "vectors.bin").stat().st_size < before / 10
    assert content_of(file)[:2] == [(10, 3), (10, 2)]
    put(file, (2, 4, 1))
    file.close()
    file.directory.rename(tmp_path / "tokens.new")  # as if interrupted before the last rename
    assert content_of(TokenFile(file.directory))[:3] == [(10, 3), (10, 2), (1, 4)]
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


MATCHER = Matcher()


def rows_in_file(memories: list[NDArray[np.int8]]) -> TokenRows:
    """Token vectors of memories as they are in a file: rows that belong to no memory are between
    them.
    """
    content = [np.full((1, 128), 0x55, dtype=np.uint8)]
    starts = []
    for tokens in memories:
        starts.append(sum(map(len, content)))
        content += [tokens.view(np.uint8) ^ FLIP, content[0]]
    lengths = np.array([len(tokens) for tokens in memories], dtype=np.int64)
    return TokenRows(np.concatenate(content), np.array(starts, dtype=np.int64), lengths)


def random_tokens(
    seed: int, counts: list[int], query_count: int
) -> tuple[NDArray[np.int8], list[NDArray[np.int8]]]:
    """Random token vectors: `query_count` for a query, and for each memory the number in
    `counts`.
    """
    rng = np.random.default_rng(seed)

    def tokens(count: int) -> NDArray[np.int8]:
        return rng.integers(-127, 128, (count, 128)).astype(np.int8)

    return tokens(query_count), [tokens(count) for count in counts]


@settings(max_examples=60)
@given(st.integers(0, 1_000), st.lists(st.integers(0, 5), max_size=8), st.integers(0, 4))
def test_best_cosines_agree_with_numpy(seed: int, counts: list[int], query_count: int) -> None:
    """For any memories, including memories without tokens, the best cosines equal those that numpy
    computes.
    """
    query, memories = random_tokens(seed, counts, query_count)
    expected = token_maxima(query, [tokens if len(tokens) else None for tokens in memories])
    assert MATCHER.maxima(query, [rows_in_file(memories)]) == pytest.approx(
        expected, abs=1e-4, nan_ok=True
    )


def test_scores_computed_in_portions_equal_those_computed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query, memories = random_tokens(7, [3, 1, 0, 9, 2, 2, 30, 1], 5)
    at_once = MATCHER.maxima(query, [rows_in_file(memories)])
    monkeypatch.setattr(token_vectors, "PORTION", 4)
    assert MATCHER.maxima(query, [rows_in_file(memories)]).tobytes() == at_once.tobytes()
    assert (
        MATCHER.maxima(query, [rows_in_file(memories[:3]), rows_in_file(memories[3:])]).tobytes()
        == at_once.tobytes()
    )


def test_numpy_computes_the_same_scores_without_integer_arithmetic() -> None:
    query, memories = random_tokens(11, [4, 2], 3)
    assert Matcher(integers=False).maxima(query, [rows_in_file(memories)]) == pytest.approx(
        MATCHER.maxima(query, [rows_in_file(memories)])
    )
