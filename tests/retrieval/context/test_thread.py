"""The context that is rendered from a thread and its ancestors: its parts, their budgets, and what
is left out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.live.thread_policy import ContextAllocation
from memtypes.live.turns import Turn
from memtypes.ports.threads import PathMention, Thread, ThreadTail
from retrieval.context.thread import OmittedParts, ThreadContext, thread_context
from tests.fakes import FakeTokenizer

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHARES = ContextAllocation(system=0.1, long_term=0.3, short_term=0.5, custom=0.1)
PARTS = ("system", "long_term", "short_term", "custom")
ONLY_TURNS = ContextAllocation(short_term=1.0, system=0.0, long_term=0.0, custom=0.0)
LEAST = 24
"""Tokens that the newest turn may have in any case."""

ENOUGH = 80
"""Tokens that suffice to show something of the newest turn and to mark what was left out."""


def thread(
    name: str, *turns: Turn, summary: str = "", initial: str | None = None, day: int = 0
) -> ThreadTail:
    """A thread with these turns, numbered in order.

    The first turn is at midnight of `day`, each later turn one second later.
    """
    numbered = tuple(
        replace(turn, index=index, at=NOW + timedelta(days=day, seconds=index))
        for index, turn in enumerate(turns)
    )
    state = Thread(name, 0, 0, len(turns), 60, NOW, summary=summary, initial_context=initial)
    files = mentions(numbered, "files")
    images = mentions(numbered, "images")
    return ThreadTail(state, numbered, files, images, len(files), len(images))


def mentions(turns: tuple[Turn, ...], kind: str) -> tuple[PathMention, ...]:
    """The newest mention of each file or image in the turns, newest first. kind: "files" or
    "images".
    """
    newest = {
        path: PathMention(path, turn.index, turn.at)
        for turn in turns
        for path in getattr(turn, kind)
    }
    return tuple(sorted(newest.values(), key=lambda mention: mention.at, reverse=True))


def turn(
    content: str,
    role: str = "user",
    files: list[str] | None = None,
    images: list[str] | None = None,
) -> Turn:
    """A turn with this content, and defaults for the other fields."""
    return Turn(role, content, 1, NOW, files=files or [], images=images or [])


def mentioning(kind: str, *paths: str) -> Turn:
    """A turn that mentions these files or images."""
    return turn("look", files=list(paths)) if kind == "files" else turn("look", images=list(paths))


def full_chain(words: int = 6) -> list[ThreadTail]:
    """A thread and its parent, with so much text that no part of their context fits into its
    share.
    """
    text = " ".join(["word"] * words)
    old = [turn(f"old {number} {text}", files=[f"o{number}"]) for number in range(40)]
    rules = [turn(f"rule {number} {text}", "system") for number in range(40)]
    new = [
        turn(f"new {number} {text}", files=[f"n{number}"], images=[f"i{number}"])
        for number in range(40)
    ]
    initial = " ".join(["given. We agreed."] * 60)
    summary = "\n".join(f"user: point {number} {text}." for number in range(60))
    own = thread("own", *rules, *new, summary=summary, initial=initial)
    return [thread("parent", *old, initial=initial), own]


def context_of(
    chain: list[ThreadTail], budget: int, allocation: ContextAllocation | None = None
) -> ThreadContext:
    """The context of at most `budget` tokens for `chain`, the ancestors of a thread and the thread
    itself.
    """
    return thread_context(chain, budget, FakeTokenizer(), allocation)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 900), st.integers(1, 60), st.sampled_from([None, SHARES, ONLY_TURNS]))
def test_no_part_exceeds_its_share_nor_the_whole_its_budget(
    budget: int, words: int, allocation: ContextAllocation | None
) -> None:
    """No part of a context has more tokens than its share of the budget, and the whole has at most
    the budget.

    Headings are counted. Only the part with the newest turns may take LEAST tokens if its share is
    smaller.
    """
    context = context_of(full_chain(words), budget, allocation)
    assert context.tokens == FakeTokenizer().count(context.text) <= budget
    if allocation is not None:
        for name in PARTS:
            least = LEAST if name == "short_term" else 0
            assert context.parts[name] <= max(budget * getattr(allocation, name), least)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
    st.integers(ENOUGH, 400),
    st.sampled_from([None, SHARES]),
)
def test_the_newest_turn_is_always_shown(
    sizes: list[int], budget: int, allocation: ContextAllocation | None
) -> None:
    """A context always shows the thread's newest turn; if it does not fit, it is cut and marked as
    cut.

    A note in the text counts everything that is left out.
    """
    turns = [
        turn(f"turn {number} {' '.join(['word'] * size)}") for number, size in enumerate(sizes)
    ]
    rules = turn("rule " * 500, "system")
    context = context_of(
        [thread("own", rules, *turns, summary="In short. " * 200)], budget, allocation
    )
    own = [index for _, index in context.turns if index]
    assert own == list(range(len(sizes) + 1))[-len(own) :]
    assert f"turn {len(sizes) - 1}" in context.text
    assert (("own", len(sizes)) in context.cut) == (
        f"{'word ' * sizes[-1]}".strip() not in context.text
    )
    assert context.omitted.turns == 1 + len(sizes) - len(context.turns)
    assert context.omitted.mark() in context.text


def test_filling_stops_at_the_first_turn_that_does_not_fit() -> None:
    """If a turn does not fit the budget, no older turn is shown, even a small one, so that there is
    no gap.
    """
    chain = [thread("own", turn("small"), turn("word " * 200), turn("newer"), turn("newest"))]
    assert context_of(chain, 120).turns == (("own", 2), ("own", 3))


def test_the_summary_and_files_use_what_a_large_turn_leaves() -> None:
    """If an older turn is too large for the budget, its place is filled with the thread's summary
    and list of files.
    """
    turns = [turn("word " * 300, files=[f"f{number}" for number in range(30)]), turn("newest")]
    context = context_of(
        [thread("own", *turns, summary="\n".join(f"user: point {n}." for n in range(100)))], 300
    )
    assert context.turns == (("own", 1),)
    assert context.tokens > 280
    assert context.parts["long_term"] > 100
    limited = context_of([thread("own", *turns)], 140, SHARES)
    assert len(limited.files) == 30


def test_every_part_gets_its_share_if_all_are_full() -> None:
    """If every part of a context is larger than its share, each part gets its share.

    The thread's own turns do not displace instructions, ancestors and lists of files.
    """
    context = context_of(full_chain(), 600, SHARES)
    assert all(context.parts[name] > 0 for name in (*PARTS, "files", "images"))
    assert context.parts["long_term"] > 0.7 * 0.3 * 0.8 * 550
    assert context.parts["short_term"] > 0.7 * 0.5 * 0.8 * 550


def test_an_unused_share_is_not_given_to_other_parts() -> None:
    """If shares of the budget are set, the turns get no more than their share, even if other parts
    are empty.

    If no shares are set, the turns may use the tokens of empty parts.
    """
    alone = thread("own", *[turn(f"turn {number} of words") for number in range(100)])
    assert context_of([alone], 200, SHARES).parts["short_term"] <= 100
    assert context_of([alone], 200).parts["short_term"] > 150


def test_without_an_allocation_each_part_leaves_the_rest_to_the_others() -> None:
    """If no shares are set, each part of a thread's context has text, and unused tokens go to other
    parts.
    """
    chain = full_chain()
    full = context_of(chain, 500)
    assert all(tokens > 0 for tokens in full.parts.values())
    chain[-1] = thread("own", turn("only this"))
    roomy = context_of(chain, 500)
    assert roomy.parts["short_term"] < 20
    assert roomy.parts["long_term"] > 200


@pytest.mark.parametrize("allocation", [None, SHARES])
def test_a_summary_that_is_too_large_is_shown_in_part(allocation: ContextAllocation | None) -> None:
    """Of a summary or initial context that is too large, the newest and most important sentences
    are shown.

    The text says that it is cut.
    """
    lines = [f"user: We talked about topic {number}." for number in range(80)]
    lines[7] = "user: We decided to use Valkey."
    initial = (
        "The sky is blue. " * 80 + "You must never delete anything. " + "The sea is blue. " * 20
    )
    own = thread(
        "own",
        *[turn(f"turn {number}") for number in range(90)],
        summary="\n".join(lines),
        initial=initial,
    )
    context = context_of([own], 300, allocation)
    assert "We decided to use Valkey." in context.text
    assert "topic 3." not in context.text
    assert "You must never delete anything." in context.text
    assert context.omitted == OmittedParts(
        90 - len(context.turns), summary=True, initial_context=True
    )
    assert (
        f"- [left out: {context.omitted.turns} turns, text of the summary, text of the "
        "given context]"
    ) in context.text
    assert context.text.count("[cut]") == 2


def test_the_newest_own_turns_are_shown_in_order() -> None:
    """The newest turns of a thread are shown in order, after turns of its parent. Others are
    counted as omitted.
    """
    chain = [
        thread("parent", *[turn(f"p{number}") for number in range(3)]),
        thread("own", *[turn(f"o{number}") for number in range(19)]),
    ]
    context = context_of(chain, 110)
    own = [index for name, index in context.turns if name == "own"]
    assert own == list(range(19))[-len(own) :]
    assert context.text.index("p2") < context.text.index("o18")
    assert context.omitted.turns == 22 - len(context.turns) > 0


@pytest.mark.parametrize("kind", ["files", "images"])
def test_a_file_is_listed_once_by_its_newest_mention(kind: str) -> None:
    """A file that is mentioned in several turns of a thread and its parent is listed once, with its
    newest mention.

    Files are listed by their newest mentions, newest first. A parent thread may have newer mentions
    than its child.
    """
    own = thread("own", mentioning(kind, "x", "w"), turn("d"))
    parent = thread(
        "parent", mentioning(kind, "x", "y"), mentioning(kind, "z"), mentioning(kind, "y"), day=1
    )
    context = context_of([parent, own], 1_000)
    assert [
        (mention.path, mention.thread_id, mention.turn) for mention in getattr(context, kind)
    ] == [
        ("y", "parent", 2),
        ("z", "parent", 1),
        ("x", "parent", 0),
        ("w", "own", 0),
    ]
    assert context.text.index("- y") < context.text.index("- w")


def test_files_that_do_not_fit_are_counted_as_omitted() -> None:
    """The newest files that a thread mentions are listed in the context, and the files that do not
    fit are counted.
    """
    own = thread("own", *[turn("t" * 30, files=[f"file-{number}"]) for number in range(50)])
    for allocation in (None, ContextAllocation(short_term=0.5, long_term=0.5)):
        context = context_of([own], 120, allocation)
        assert 0 < len(context.files) < 50
        assert context.omitted.files == 50 - len(context.files)
        assert context.files[0].path == "file-49"
