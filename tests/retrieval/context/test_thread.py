"""The context rendered from a thread chain: shares of the budget, files and images."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.live.thread_policy import ContextAllocation
from memtypes.live.turns import Turn
from memtypes.ports.threads import Thread, ThreadContent
from retrieval.context.thread import ThreadContext, thread_context
from tests.fakes import FakeTokenizer

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHARES = ContextAllocation(system=0.1, long_term=0.3, short_term=0.5, custom=0.1)
PARTS = ("system", "long_term", "short_term", "custom")


def thread(name: str, *turns: Turn, summary: str = "", initial: str | None = None) -> ThreadContent:
    """A thread with these turns, numbered in order."""
    numbered = tuple(replace(turn, index=index) for index, turn in enumerate(turns))
    return ThreadContent(Thread(name, 0, 0, len(turns), 60, NOW, summary=summary, initial_context=initial), numbered)


def turn(content: str, role: str = "user", files: list[str] | None = None, images: list[str] | None = None) -> Turn:
    """A turn."""
    return Turn(role, content, 1, NOW, files=files or [], images=images or [])


def mentioning(kind: str, *paths: str) -> Turn:
    """A turn that mentions these files or images."""
    return turn("look", files=list(paths)) if kind == "files" else turn("look", images=list(paths))


def full_chain(words: int = 6) -> list[ThreadContent]:
    """A thread chain in which every part is larger than any share."""
    text = " ".join(["word"] * words)
    old = [turn(f"old {number} {text}") for number in range(40)]
    rules = [turn(f"rule {number} {text}", "system") for number in range(40)]
    new = [turn(f"new {number} {text}") for number in range(40)]
    initial = " ".join(["given"] * 30)
    own = thread("own", *rules, *new, summary=f"in short {text}", initial=initial)
    return [thread("parent", *old, initial=initial), own]


def context_of(chain: list[ThreadContent], budget: int, allocation: ContextAllocation | None = None) -> ThreadContext:
    """The context rendered from the chain."""
    return thread_context(chain, budget, FakeTokenizer(), allocation)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 900), st.integers(1, 30), st.sampled_from([None, SHARES, ContextAllocation(short_term=1.0)]))
def test_no_part_exceeds_its_share_nor_the_whole_its_budget(
    budget: int, words: int, allocation: ContextAllocation | None
) -> None:
    """Any budget is kept, with the tokens of headings included."""
    context = context_of(full_chain(words), budget, allocation)
    assert context.tokens == FakeTokenizer().count(context.text) <= budget
    if allocation is not None:
        for name in PARTS:
            assert context.parts[name] <= budget * getattr(allocation, name)


def test_every_part_gets_its_share_if_all_are_full() -> None:
    """Turns of the thread itself do not displace instructions and ancestors."""
    context = context_of(full_chain(), 400, SHARES)
    assert all(context.parts[name] > 0 for name in PARTS)
    assert context.parts["long_term"] > 0.7 * 0.3 * 400
    assert context.parts["short_term"] > 0.7 * 0.5 * 400


def test_an_unused_share_is_not_given_to_other_parts() -> None:
    """The share of a part is its upper limit; without shares it may use more."""
    alone = thread("own", *[turn(f"turn {number} of words") for number in range(100)])
    assert context_of([alone], 200, SHARES).parts["short_term"] <= 100
    assert context_of([alone], 200).parts["short_term"] > 180


def test_without_an_allocation_each_part_leaves_the_rest_to_the_next() -> None:
    """The order is instructions, own turns, ancestors, initial context."""
    chain = full_chain()
    tight = context_of(chain, 120)
    assert tight.parts["system"] > 0
    assert tight.parts["long_term"] == tight.parts["custom"] == 0
    chain[-1] = thread("own", turn("only this"))
    roomy = context_of(chain, 120)
    assert roomy.parts["short_term"] < 20
    assert roomy.parts["long_term"] > 80


def test_the_newest_own_turns_are_shown_in_order() -> None:
    """They follow the turns of the ancestors."""
    chain = [
        thread("parent", *[turn(f"p{number}") for number in range(3)]),
        thread("own", *[turn(f"o{number}") for number in range(9)]),
    ]
    context = context_of(chain, 75)
    own = [index for name, index in context.turns if name == "own"]
    assert own == list(range(9))[-len(own) :]
    assert context.text.index("p2") < context.text.index("o8")
    assert context.omitted_turns == 12 - len(context.turns) > 0


@pytest.mark.parametrize("kind", ["files", "images"])
def test_a_file_is_listed_once_by_its_newest_mention(kind: str) -> None:
    """Files are listed newest first, whichever thread of the chain mentions them."""
    parent = thread("parent", mentioning(kind, "x", "y"), mentioning(kind, "y", "z"))
    own = thread("own", mentioning(kind, "x"), turn("d"))
    mentions = getattr(context_of([parent, own], 1_000), kind)
    assert [(mention.path, mention.thread_id, mention.turn) for mention in mentions] == [
        ("x", "own", 0),
        ("z", "parent", 1),
        ("y", "parent", 1),
    ]


def test_files_that_do_not_fit_are_counted_as_omitted() -> None:
    """The newest files are listed, the others only counted."""
    own = thread("own", *[turn("t", files=[f"file-{number}"]) for number in range(50)])
    context = context_of([own], 90, ContextAllocation(short_term=0.5, long_term=0.5))
    assert 0 < len(context.files) < 50
    assert context.omitted_files == 50 - len(context.files)
    assert context.files[0].path == "file-49"
