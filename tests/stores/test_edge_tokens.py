"""The file of token vectors: found again after any death, overwritten on removal, written anew when mostly dead."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.stores.edge.tokens import LEAST_DEAD_BYTES, TokenFile
from memtypes.stores.keys import key_of

IDS = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))) for n in range(6)]


def rows(fill: int, count: int) -> bytes:
    """`count` tokens whose numbers are all `fill`."""
    return np.full((count, 128), fill, dtype=np.int8).tobytes()


def content_of(file: TokenFile) -> list[tuple[int, int] | None]:
    """The number of tokens and the fill of each id."""
    rows = file.rows([key_of(one) for one in IDS])
    found = [rows.portion(slice(place, place + 1)) for place in range(len(IDS))]
    assert all((one == one.flat[0]).all() for one in found if len(one))
    return [(len(one), int(one.flat[0])) if len(one) else None for one in found]


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
    """After any changes each id has its last token vectors or none, now and after opening the file again."""
    path = tmp_path_factory.mktemp("tokens") / "own" / "vectors.bin"
    file = TokenFile(path)
    wanted: list[tuple[int, int] | None] = [None] * len(IDS)
    for place, kept in made:
        wanted[place] = kept
        if kept is None:
            file.remove([IDS[place]])
        else:
            file.put([(IDS[place], rows(kept[1], kept[0]))])
    if reopened:
        file.close()
        file = TokenFile(path)
    assert content_of(file) == wanted
    file.close()


def test_a_torn_end_is_written_over(tmp_path: Path) -> None:
    """A record that was not written to its end is nobody's, and the next one takes its place."""
    path = tmp_path / "own" / "vectors.bin"
    file = TokenFile(path)
    file.put([(IDS[0], rows(1, 2)), (IDS[1], rows(2, 2))])
    file.close()
    path.write_bytes(path.read_bytes()[:-5])
    file = TokenFile(path)
    assert content_of(file)[:2] == [(2, 1), None]
    file.put([(IDS[2], rows(3, 1))])
    file.close()
    assert content_of(TokenFile(path)) == [(2, 1), None, (1, 3), None, None, None]


def test_what_is_removed_leaves_no_trace(tmp_path: Path) -> None:
    """Neither the id nor the numbers of a removed memory are left in the file."""
    path = tmp_path / "own" / "vectors.bin"
    file = TokenFile(path)
    file.put([(IDS[0], rows(77, 3)), (IDS[1], rows(5, 1))])
    file.remove([IDS[0]])
    content = path.read_bytes()
    assert bytes([77]) * 128 not in content
    assert uuid.UUID(IDS[0]).bytes not in content
    assert content_of(file)[1] == (1, 5)


def test_a_mostly_dead_file_is_written_anew(tmp_path: Path) -> None:
    """Opening a file of which more than half is dead leaves only what is alive."""
    path = tmp_path / "own" / "vectors.bin"
    file = TokenFile(path)
    large = LEAST_DEAD_BYTES // 128
    file.put([(IDS[0], rows(1, large)), (IDS[1], rows(2, 10))])
    file.remove([IDS[0]])
    file.put([(IDS[0], rows(3, 10))])
    before = path.stat().st_size
    file.close()
    file = TokenFile(path)
    assert path.stat().st_size < before / 10
    assert content_of(file)[:2] == [(10, 3), (10, 2)]
    file.put([(IDS[2], rows(4, 1))])
    file.close()
    assert content_of(TokenFile(path))[:3] == [(10, 3), (10, 2), (1, 4)]
    assert [one.name for one in path.parent.iterdir()] == ["vectors.bin"]
