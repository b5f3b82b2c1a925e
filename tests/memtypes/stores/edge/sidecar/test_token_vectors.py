"""The files of token vectors: found again after any death, overwritten on removal, written anew when mostly dead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.search.vectors import TokenVectors
from memtypes.stores.edge.sidecar.ragged_file import LEAST_DEAD
from memtypes.stores.edge.sidecar.slots import slots_of
from memtypes.stores.edge.sidecar.token_matching import FLIP
from memtypes.stores.edge.sidecar.token_vectors import TokenFile

SLOTS = range(6)


def rows(fill: int, count: int) -> TokenVectors:
    """`count` tokens whose numbers are all `fill`."""
    return np.full((count, 128), fill, dtype=np.int8)


def content_of(file: TokenFile) -> list[tuple[int, int] | None]:
    """The number of tokens and the fill of each slot."""
    rows = file.rows(slots_of(SLOTS))
    found = [rows.portion(slice(place, place + 1)) for place in SLOTS]
    assert all((one == one.flat[0]).all() for one in found if len(one))
    return [(len(one), int(one.flat[0] ^ FLIP)) if len(one) else None for one in found]


def put(file: TokenFile, *kept: tuple[int, int, int]) -> None:
    """Keep token vectors: the slot, the fill and how many for each."""
    file.put(slots_of(slot for slot, _, _ in kept), [rows(fill, count) for _, fill, count in kept])


changes = st.lists(
    st.tuples(st.integers(0, 5), st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 100)))), max_size=30
)


@settings(max_examples=50)
@given(changes, st.booleans())
def test_it_holds_what_was_put_last(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[int, tuple[int, int] | None]],
    reopened: bool,  # noqa: FBT001
) -> None:
    """After any changes each slot has its last token vectors or none, now and after opening the files again."""
    path = tmp_path_factory.mktemp("tokens") / "own"
    file = TokenFile(path)
    wanted: list[tuple[int, int] | None] = [None] * len(SLOTS)
    for slot, kept in made:
        wanted[slot] = kept
        if kept is None:
            file.remove(slots_of([slot]))
        else:
            put(file, (slot, kept[1], kept[0]))
    if reopened:
        file.close()
        file = TokenFile(path)
    assert content_of(file) == wanted
    file.close()


def test_vectors_that_a_power_cut_took_are_nobodys(tmp_path: Path) -> None:
    """A slot whose vectors are not all there has none, and the next ones do not become its own."""
    file = TokenFile(tmp_path / "own")
    put(file, (0, 1, 2), (1, 2, 2))
    file.close()
    path = file.directory / "vectors.bin"
    path.write_bytes(path.read_bytes()[:-5])
    file = TokenFile(file.directory)
    assert content_of(file)[:2] == [(2, 1), None]
    put(file, (2, 3, 1))
    file.close()
    assert content_of(TokenFile(file.directory)) == [(2, 1), None, (1, 3), None, None, None]


def test_what_is_removed_leaves_no_trace(tmp_path: Path) -> None:
    """The numbers of a removed memory are not left in the file, nor those that others took the place of."""
    file = TokenFile(tmp_path / "own")
    put(file, (0, 77, 3), (1, 5, 1), (2, 66, 1))
    file.remove(slots_of([0]))
    put(file, (2, 6, 2))
    content = (file.directory / "vectors.bin").read_bytes()
    assert [bytes([fill ^ int(FLIP)]) * 128 in content for fill in (77, 5, 66, 6)] == [False, True, False, True]
    assert content_of(file)[:3] == [None, (1, 5), (2, 6)]


def test_what_a_copy_takes_over_is_the_same(tmp_path: Path) -> None:
    """Under other slots, those without token vectors included."""
    file, copy = TokenFile(tmp_path / "own"), TokenFile(tmp_path / "copy")
    put(file, (0, 7, 3), (3, 5, 1))
    copy.copy(file, slots_of([3, 1, 0]), slots_of([0, 1, 2]))
    assert content_of(copy)[:3] == [(1, 5), None, (3, 7)]


def test_mostly_dead_files_are_written_anew(tmp_path: Path) -> None:
    """Opening files of which more than half is dead leaves only what is alive, also when that was broken off once."""
    file = TokenFile(tmp_path / "own")
    put(file, (0, 1, LEAST_DEAD + 1), (1, 2, 10))
    file.remove(slots_of([0]))
    put(file, (0, 3, 10))
    before = (file.directory / "vectors.bin").stat().st_size
    file.close()
    TokenFile(tmp_path / "own.new").close()  # of one that did not end
    file = TokenFile(file.directory)
    assert (file.directory / "vectors.bin").stat().st_size < before / 10
    assert content_of(file)[:2] == [(10, 3), (10, 2)]
    put(file, (2, 4, 1))
    file.close()
    file.directory.rename(tmp_path / "own.new")  # just before the new one took the place
    assert content_of(TokenFile(file.directory))[:3] == [(10, 3), (10, 2), (1, 4)]
    assert [one.name for one in tmp_path.iterdir()] == ["own"]
