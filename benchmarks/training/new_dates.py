"""Prints how well words alone tell that a task is told again with another date.

    python -m benchmarks.training.new_dates

Nothing is trained. The pairs come from the scenes in tests/data/training/statements: two tasks with
two times, as people tell them; a task in the same words with another time; and one in which a word
is exchanged, too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta

from benchmarks.training.scenes import SceneText, authors, scenes_by
from ingest.identity.new_dates import has_new_date
from ingest.identity.update_evidence import Statement
from ingest.screening.due.reading import due_in
from memtypes.model.memory import TokenCount
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import Prospective
from memtypes.ports.reader import Act

_KINDS = ("told anew", "same words", "another word")


def main() -> None:
    """Print, by kind of pair, how many are the same task and how many of all are taken for it."""
    taken = dict.fromkeys(_KINDS, 0)
    right = dict.fromkeys(_KINDS, 0)
    moved = dict.fromkeys(_KINDS, 0)
    pairs = dict.fromkeys(_KINDS, 0)
    for author in authors():
        for kind, older, newer, is_same in _pairs(author):
            pairs[kind] += 1
            moved[kind] += is_same
            if has_new_date(newer, older):
                taken[kind] += 1
                right[kind] += is_same
    print("| pairs of tasks with two times | number | the same task | taken for it | right |")
    print("|---|---|---|---|---|")
    for kind in _KINDS:
        print(f"| {kind} | {pairs[kind]} | {moved[kind]} | {taken[kind]} | {right[kind]} |")


def _pairs(author: str) -> Iterator[tuple[str, Prospective, Prospective, bool]]:
    """Yield the pairs of an author: the kind, the older and the newer task, and whether these are
    one.
    """
    tasks: dict[str, Prospective] = {}
    for scene in scenes_by(author):
        earlier: dict[str, Prospective] = {}
        for text in scene.texts:
            if MemoryType.PROSPECTIVE not in text.kinds:
                continue
            task = _task(text)
            for older_name, older in earlier.items():
                act = text.does.get(older_name, Act.NOTHING)
                if _have_two_times(older, task) and act != Act.REOPENS:
                    yield "told anew", older, task, act in (Act.MOVES, Act.RESTATES)
            earlier[text.name] = task
            tasks[task.content] = task
    yield from _rewritten(random.Random(author), [*tasks.values()])  # noqa: S311 - no secret


def _rewritten(
    draw: random.Random, tasks: Sequence[Prospective]
) -> Iterator[tuple[str, Prospective, Prospective, bool]]:
    """Yield each of `tasks` with another time, and with another time and another word."""
    dated = [task for task in tasks if task.due_text is not None]
    words = [word for task in dated for word in _content_words(task)]
    for task in dated:
        times = str(task.due_text), str(draw.choice(dated).due_text)
        later = task.created_at + timedelta(days=2)
        again = _dated(task.content.replace(*times, 1), later)
        if not _have_two_times(task, again) or again.due_text != times[1]:
            continue
        yield "same words", task, again, True
        for word in draw.sample(_content_words(task), k=min(1, len(_content_words(task)))):
            changed = _dated(again.content.replace(word, draw.choice(words), 1), later)
            if changed.content != again.content:
                yield "another word", task, changed, False


def _have_two_times(older: Prospective, newer: Prospective) -> bool:
    return None not in (older.due_at, newer.due_at) and older.due_at != newer.due_at


def _content_words(task: Prospective) -> list[str]:
    """The words of a task that are neither function words nor of its time, in their order."""
    words = task.content.replace(task.due_text or "", "").split()
    statements = ((word, Statement.from_text(word)) for word in words if word.isalpha())
    return [word for word, read in statements if read.content() and "time" not in read.kinds]


def _task(text: SceneText) -> Prospective:
    return _dated(text.text, datetime.combine(text.day, time(10), UTC))


def _dated(text: str, said_at: datetime) -> Prospective:
    """The task that `text` states, with the due time that it names."""
    due = due_in(text, said_at)
    return Prospective(
        id=text[:40],
        tenant="t",
        namespace="n",
        content=text,
        visibility=Visibility.NAMESPACE,
        created_at=said_at,
        updated_at=said_at,
        valid_from=said_at,
        content_hash="",
        tokens=TokenCount(count=1, tokenizer="t"),
        due_at=None if due is None else due.at,
        due_text=None if due is None else due.text[:100],
    )


if __name__ == "__main__":
    main()
