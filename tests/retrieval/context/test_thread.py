"""The context of a thread: shares, what is handed on, files and images; pure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.conversations.policies import UNKNOWN_WINDOW, PolicyLookup
from memtypes.live.thread_policy import ContextAllocation, Policies, ThreadPolicy
from memtypes.live.turns import Turn
from memtypes.llms.registry import ModelEntry, Registry, RegistryFile
from memtypes.ports.threads import Thread, ThreadContent
from retrieval.context.thread import Context, thread_context
from tests.fakes import FakeTokenizer

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHARES = ContextAllocation(system=0.1, long_term=0.3, short_term=0.5, custom=0.1)
PARTS = ("system", "long_term", "short_term", "custom")


def thread(name: str, *turns: Turn, summary: str = "", given: str | None = None) -> ThreadContent:
    """A thread with these turns, under their places."""
    placed = tuple(
        Turn(one.role, one.content, one.tokens, NOW, files=one.files, images=one.images, index=place)
        for place, one in enumerate(turns)
    )
    return ThreadContent(Thread(name, 0, 0, len(turns), 60, NOW, summary=summary, initial_context=given), placed)


def said(content: str, role: str = "user", files: list[str] | None = None, images: list[str] | None = None) -> Turn:
    """A turn."""
    return Turn(role, content, 1, NOW, files=files or [], images=images or [])


def naming(kind: str, *paths: str) -> Turn:
    """A turn that names files or images."""
    return said("look", files=list(paths)) if kind == "files" else said("look", images=list(paths))


def full_chain(words: int = 6) -> list[ThreadContent]:
    """A chain in which every part has more than any share."""
    text = " ".join(["word"] * words)
    old = [said(f"old {number} {text}") for number in range(40)]
    rules = [said(f"rule {number} {text}", "system") for number in range(40)]
    new = [said(f"new {number} {text}") for number in range(40)]
    given = " ".join(["given"] * 30)
    return [thread("parent", *old, given=given), thread("own", *rules, *new, summary=f"in short {text}", given=given)]


def built(chain: list[ThreadContent], budget: int, allocation: ContextAllocation | None = None) -> Context:
    """The context."""
    return thread_context(chain, budget, FakeTokenizer(), allocation)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 900), st.integers(1, 30), st.sampled_from([None, SHARES, ContextAllocation(short_term=1.0)]))
def test_no_part_is_above_its_share_and_the_whole_never_above_the_budget(
    budget: int, words: int, allocation: ContextAllocation | None
) -> None:
    """For any budget; headings count."""
    found = built(full_chain(words), budget, allocation)
    assert found.tokens == FakeTokenizer().count(found.text) <= budget
    if allocation is not None:
        for name in PARTS:
            assert found.parts[name] <= budget * getattr(allocation, name)


def test_every_part_has_its_share_when_all_are_full() -> None:
    """Own turns can't crowd out instructions and what was earlier."""
    found = built(full_chain(), 400, SHARES)
    assert all(found.parts[name] > 0 for name in PARTS)
    assert found.parts["long_term"] > 0.7 * 0.3 * 400
    assert found.parts["short_term"] > 0.7 * 0.5 * 400


def test_what_a_part_leaves_lifts_no_other_above_its_share() -> None:
    """A share in a policy is a cap, whether or not the others are used."""
    alone = thread("own", *[said(f"turn {number} of words") for number in range(100)])
    assert built([alone], 200, SHARES).parts["short_term"] <= 100
    assert built([alone], 200).parts["short_term"] > 180


def test_without_shares_each_part_leaves_the_rest_to_the_next() -> None:
    """Instructions first, then the thread's own turns, then what was earlier, then what was given."""
    chain = full_chain()
    tight = built(chain, 120)
    assert tight.parts["system"] > 0
    assert tight.parts["long_term"] == tight.parts["custom"] == 0
    chain[-1] = thread("own", said("only this"))
    handed_on = built(chain, 120)
    assert handed_on.parts["short_term"] < 20
    assert handed_on.parts["long_term"] > 80


def test_own_turns_are_the_newest_and_stand_in_their_order() -> None:
    """And those of the ancestors before them, under the heading of what was earlier."""
    chain = [
        thread("parent", *[said(f"p{one}") for one in range(3)]),
        thread("own", *[said(f"o{one}") for one in range(9)]),
    ]
    found = built(chain, 75)
    own = [index for name, index in found.turns if name == "own"]
    assert own == list(range(9))[-len(own) :]
    assert found.text.index("p2") < found.text.index("o8")
    assert found.omitted_turns == 12 - len(found.turns) > 0


@pytest.mark.parametrize("kind", ["files", "images"])
def test_a_reference_counts_once_by_its_newest_mention_in_the_chain(kind: str) -> None:
    """Newest first, whichever thread spoke of it."""
    parent = thread("parent", naming(kind, "x", "y"), naming(kind, "y", "z"))
    own = thread("own", naming(kind, "x"), said("d"))
    places = getattr(built([parent, own], 1_000), kind)
    assert [(one.path, one.thread_id, one.turn) for one in places] == [
        ("x", "own", 0),
        ("z", "parent", 1),
        ("y", "parent", 1),
    ]


def test_files_that_do_not_fit_are_counted() -> None:
    """The newest ones are listed."""
    own = thread("own", *[said("t", files=[f"file-{number}"]) for number in range(50)])
    found = built([own], 90, ContextAllocation(short_term=0.5, long_term=0.5))
    assert 0 < len(found.files) < 50
    assert found.omitted_files == 50 - len(found.files)
    assert found.files[0].path == "file-49"


def test_a_share_of_a_models_window_is_a_limit() -> None:
    """By the registry of now; the smaller of two limits holds; an unknown model has a modest window, and a margin."""
    known = Registry.of(
        RegistryFile(models=[ModelEntry(provider="p", names=["tiny"], window=1_000, tokenizer="cl100k_base")])
    )
    policies = PolicyLookup(lambda: known, Policies())
    assert policies.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny")).tokens == 250
    assert policies.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny", max_tokens=100)).tokens == 100
    assert policies.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny", max_tokens=900)).tokens == 250
    assert policies.limits(ThreadPolicy(max_context_ratio=0.5, model="nobody")).tokens == int(UNKNOWN_WINDOW / 2 / 1.5)
    assert policies.limits(ThreadPolicy()).tokens is None
    named = {name: ThreadPolicy(max_context_ratio=0.5, model=name) for name in ("tiny", "nobody")}
    assert PolicyLookup(lambda: known, Policies(threads=named)).warnings() == [
        "threads.nobody.model: the window of 'nobody' is unknown; 8192 tokens are assumed"
    ]
    known = Registry.of(
        RegistryFile(models=[ModelEntry(provider="p", names=["tiny"], window=2_000, tokenizer="cl100k_base")])
    )
    assert policies.limits(ThreadPolicy(max_context_ratio=0.25, model="tiny")).tokens == 500
