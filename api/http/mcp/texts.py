"""Writes the answers of MCP tools as plain text for a model, one fact on each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from ingest.upkeep.decisions import DecidedText
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.versions import Version
from memtypes.model.memory import Memory, Source, State
from memtypes.model.prospective import Prospective
from retrieval.answer import RetrieveAnswer, SearchHit
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.model import Receipt, ReceiptCandidate

FIRST_WORDS = 160
"""Maximum characters that a line quotes of a memory."""

MAX_QUOTED = 2_000
"""Maximum characters that an explanation of a memory quotes of this memory."""

MAX_LEFT_OUT = 15
"""Maximum number of left-out candidates that are listed with the reason. Further candidates are
only counted.
"""

MAX_VERSIONS = 10

SHOWN_SIGNALS = 3

RECEIPT_ID_TOKENS = 36
"""Maximum number of tokens of a receipt's id, which has 36 characters."""

_EMPTY_TEXTS = {
    "ok": "",
    "empty": "Nothing is remembered that helps with this.\n",
    "nothing_fits": "Something is remembered, but nothing that fits: ask with a larger budget.\n",
}
_WHY_LEFT_OUT = {
    CandidateOutcome.OVER_TYPE_BUDGET: "the share of its type in the budget was used up",
    CandidateOutcome.OVER_TOTAL: "it did not fit in the budget",
    CandidateOutcome.COUNTED: "it is a task that is overdue for weeks; the context only counts it",
    CandidateOutcome.BELOW_THRESHOLD: "it is not likely to help",
    CandidateOutcome.DUPLICATE_OF: "it says the same as {of}",
    CandidateOutcome.SUPERSEDED: "a newer memory replaced it{since}",
    CandidateOutcome.EXPIRED: "it expired{since}",
    CandidateOutcome.NOT_DUE: "it is not due yet",
    CandidateOutcome.REMOVED: "it was deleted",
}


def footer_tokens(budget: int, count: Callable[[str], int]) -> int:
    """Maximum tokens of memory_recall's last line (receipt id, size and budget). count: counts the
    tokens of a text.
    """
    return RECEIPT_ID_TOKENS + count(_footer("", budget, budget, degraded=True))


def recalled_text(answer: RetrieveAnswer, budget: int, count: Callable[[str], int]) -> str:
    """The answer of memory_recall: the context, and a last line with receipt id, size of the whole
    text, and budget.
    """
    context = answer.text or _EMPTY_TEXTS[answer.metadata.outcome]
    degraded = bool(answer.metadata.degraded)
    total = -1
    text = context
    while (counted := count(text)) != total:  # the text contains its own size
        total = counted
        text = context + _footer(answer.receipt_id, counted, budget, degraded=degraded)
    return text


def _footer(receipt_id: str | None, total: int, budget: int, *, degraded: bool) -> str:
    receipt = "" if receipt_id is None else f"receipt {receipt_id} · "
    return f"{receipt}{total} of {budget} tokens{' · degraded' if degraded else ''}"


def hit_lines(hits: Sequence[SearchHit]) -> str:
    """The answer of memory_search: a line for each hit with id, type, date, score and first
    words.
    """
    lines = []
    for hit in hits:
        memory = hit.memory
        notes = [memory["state"]] if memory["state"] != State.CURRENT else []
        if status := memory.get("status"):
            notes += [status, *([f"due {memory['due_at'][:10]}"] if memory.get("due_at") else [])]
        prefix = f"[{', '.join(notes)}] " if notes else ""
        date = memory["created_at"][:10]
        words = first_words(memory["content"])
        lines.append(f"{hit.id} · {hit.type} · {date} · {hit.score:.2f} · {prefix}{words}")
    return "\n".join(lines) or "No memory matches."


def first_words(content: str, most: int = FIRST_WORDS) -> str:
    """The first `most` characters of `content`, on one line; " ..." follows if `content` is
    longer.
    """
    line = " ".join(content[: most * 2].split())
    return line if len(line) <= most and len(content) <= most * 2 else f"{line[:most].rstrip()} ..."


def written_text(outcome: WriteOutcome) -> str:
    """The answer of memory_remember: whether it was stored or merged, what it replaces, and what
    was redacted.
    """
    memory = outcome.memory
    if outcome.status is WriteStatus.MERGED:
        lines = [f"merged into {outcome.id}, which says the same"]
    else:
        lines = [f"stored {outcome.id}"]
    if memory is not None:
        lines[0] += f" ({memory.type}{_due(memory)})"
    lines += [f"it replaces {memory_id}" for memory_id in outcome.supersedes]
    lines += [f"it contradicts {memory_id}; both stay" for memory_id in outcome.contests]
    lines += [
        f"removed from the text: {number} {kind}" for kind, number in outcome.redactions.items()
    ]
    return "\n".join(lines)


def _due(memory: Memory) -> str:
    return (
        f", due {_minute(memory.due_at)}"
        if isinstance(memory, Prospective) and memory.due_at
        else ""
    )


def corrected_text(before: Memory, after: Memory) -> str:
    """The answer of memory_correct: what changed in a memory, and what it said before."""
    lines = [f"corrected {after.id}"]
    if after.content != before.content:
        lines += [
            f"it says now: {first_words(after.content)}",
            f"it replaces: {first_words(before.content)} (kept in its history)",
        ]
    if after.pinned is not before.pinned:
        lines.append("pinned: it does not fade" if after.pinned else "no longer pinned")
    if (
        isinstance(after, Prospective)
        and isinstance(before, Prospective)
        and after.status is not before.status
    ):
        lines.append(f"status: {after.status} (before: {before.status})")
    lines += [
        f"it contradicts {link.to}; both stay" for link in after.links if link not in before.links
    ]
    return "\n".join(lines) if len(lines) > 1 else f"{after.id} says so already; nothing changed"


def receipt_text(receipt: Receipt, memories: Mapping[str, Memory]) -> str:
    """Explains a recall: what it returned or left out, and why. memories: the memories that still
    exist, by id.
    """
    included = [
        candidate
        for candidate in receipt.candidates
        if candidate.outcome is CandidateOutcome.INCLUDED
    ]
    left_out = [
        candidate
        for candidate in receipt.candidates
        if candidate.outcome is not CandidateOutcome.INCLUDED
    ]
    lines = [
        (
            f"receipt {receipt.id} of {_minute(receipt.created_at)}, query: "
            f'"{first_words(str(receipt.request["query"]))}"'
        ),
        f"recalled: {len(included)} memories, {receipt.total_tokens} tokens",
        *(_candidate_line(receipt, candidate, memories) for candidate in included),
    ]
    if receipt.degraded:
        lines.append(f"parts that did not answer: {', '.join(receipt.degraded)}")
    if left_out:
        lines.append("left out:")
        lines += [
            _candidate_line(receipt, candidate, memories) for candidate in left_out[:MAX_LEFT_OUT]
        ]
    unlisted = Counter(candidate.outcome for candidate in left_out[MAX_LEFT_OUT:]) + Counter(
        receipt.unlisted.outcomes
    )
    lines += [f"- {number} more: {_why_left_out(outcome)}" for outcome, number in unlisted.items()]
    return "\n".join(lines)


def _candidate_line(
    receipt: Receipt, candidate: ReceiptCandidate, memories: Mapping[str, Memory]
) -> str:
    memory = memories.get(candidate.id)
    words = first_words(memory.content, FIRST_WORDS // 2) if memory else "(deleted since)"
    if candidate.outcome is not CandidateOutcome.INCLUDED:
        return (
            f"- {candidate.id} {candidate.type}, because "
            f"{_why_left_out(candidate.outcome, candidate)}: {words}"
        )
    terms = sorted(_score_terms(receipt, candidate), key=lambda term: -term[1])[:SHOWN_SIGNALS]
    signals = " + ".join(f"{name} {value:.2f}" for name, value in terms if value)
    return (
        f"- {candidate.id} {candidate.type}, score {candidate.score:.2f} ({signals} ...): {words}"
    )


def _score_terms(receipt: Receipt, candidate: ReceiptCandidate) -> Iterator[tuple[str, float]]:
    for name, signal in candidate.signals.items():
        yield name, signal * receipt.weights.get(name, 0.0)


def _why_left_out(outcome: CandidateOutcome, candidate: ReceiptCandidate | None = None) -> str:
    """Why a candidate with this outcome was left out; details such as the time are those of
    `candidate`, if given.
    """
    since = f" on {_minute(candidate.since)}" if candidate and candidate.since else ""
    of = (candidate and candidate.of) or "another"
    return _WHY_LEFT_OUT[outcome].replace("{of}", of).replace("{since}", since)


def candidate_text(receipt: Receipt, memory_id: str) -> str:
    """The explanation of one memory in a recall: whether it was returned, and every term (signal)
    of its score.
    """
    candidate = next(
        (candidate for candidate in receipt.candidates if candidate.id == memory_id), None
    )
    if candidate is None:
        return (
            f"{memory_id} is not among the listed candidates of this recall: it matched too little"
        )
    is_included = candidate.outcome is CandidateOutcome.INCLUDED
    outcome = (
        "recalled" if is_included else f"left out: {_why_left_out(candidate.outcome, candidate)}"
    )
    lines = [
        f"{memory_id} in receipt {receipt.id}: {outcome}",
        f"rank {candidate.rank}, score {candidate.score:.4f}",
    ]
    lines += [
        (
            f"- {name} {candidate.signals[name]:.3f} x weight "
            f"{receipt.weights.get(name, 0.0):.3f} = {term:.4f}"
        )
        for name, term in _score_terms(receipt, candidate)
        if term
    ]
    return "\n".join(lines)


def decision_lines(decisions: Sequence[DecidedText]) -> str:
    """What the service decided by itself, one line each: id, kind, day, first words, reason, and
    the first words of the text that led to it.
    """
    lines = [
        f"{decision.id} · {decision.kind} · {decision.at:%Y-%m-%d} · "
        f"{first_words(decision.content)} ({decision.reason})"
        + (f" · by: {first_words(decision.by_content)}" if decision.by_content else "")
        for decision in decisions
    ]
    return "\n".join(lines) or "Nothing was decided by itself."


def restored_lines(memories: Iterable[Memory]) -> str:
    """The answer of memory_undo: the memories that are back."""
    lines = [f"back: {memory.id}: {first_words(memory.content)}" for memory in memories]
    return "\n".join(lines) or "The decision is taken back."


def memory_text(memory: Memory, versions: Iterable[Version]) -> str:
    """The explanation of a memory: its text, its sources and its history. versions: the texts in
    the history.
    """
    pinned = ", pinned" if memory.pinned else ""
    status = f", {memory.status}" if isinstance(memory, Prospective) else ""
    times = f"stored {_minute(memory.created_at)}, changed {_minute(memory.updated_at)}"
    lines = [
        f"{memory.id} · {memory.type}{status}{_due(memory)} · {memory.state}{pinned}",
        first_words(memory.content, MAX_QUOTED),
        f"{times}, importance {memory.importance}, recalled {memory.access_count} times",
    ]
    sources = [_source(source) for source in (memory.source, *memory.sources) if source is not None]
    lines += [f"source: {', '.join(sources)}"] if sources else []
    lines += [f"from the message {memory.from_message}"] if memory.from_message else []
    lines += [f"state: {memory.state_reason}"] if memory.state_reason else []
    lines += [f"replaced by {memory.superseded_by}"] if memory.superseded_by else []
    lines += _task_lines(memory) if isinstance(memory, Prospective) else []
    lines += [
        f"{link.type} {link.to} ({link.strength:.2f})" for link in memory.links[:MAX_VERSIONS]
    ]
    past_versions = [
        version
        for version in versions
        if version.memory.id != memory.id or version.until is not None
    ]
    lines += [_version_line(version) for version in past_versions[-MAX_VERSIONS:]]
    return "\n".join(lines)


def _task_lines(task: Prospective) -> list[str]:
    """What later texts, or callers, did to a task, the latest last."""
    told = [("", act) for act in task.history[-MAX_VERSIONS:]]
    told += [("said to be ", act) for act in (task.said,) if act is not None]
    told += [("", act) for act in (task.ended,) if act is not None]
    lines: list[str] = []
    for prefix, act in told:
        by = f" by {act.by}" if act.by is not None else ""
        words = f': "{act.text}"' if act.text is not None else ""
        due = f", was due {_minute(act.due_at)}" if act.due_at is not None else ""
        # What a caller or time did is sure without a figure
        sure = f", sure {act.sure:.2f}" if act.sure is not None and act.sure < 1 else ""
        lines.append(f"{prefix}{act.how} {_minute(act.at)}{by}{due}{sure} ({act.reason}){words}")
    return lines


def _source(source: Source) -> str:
    file = (
        f"{source.file}:{source.line}" if source.file and source.line is not None else source.file
    )
    thread = f"thread {source.thread_id}" if source.thread_id else None
    return ", ".join(part for part in (source.caller, file, thread) if part) or "unknown"


def _version_line(version: Version) -> str:
    until = _minute(version.until) if version.until else "now"
    why = f" ({version.reason})" if version.reason else ""
    return (
        f"- {_minute(version.since)} to {until}, {version.memory.id}{why}: "
        f"{first_words(version.memory.content)}"
    )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"
