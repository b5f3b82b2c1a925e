"""Converts a file of LongMemEval, such as longmemeval_s.json, to a set. Each question has its own
conversation.

A question whose id ends with _abs is not answerable. LongMemEval gives no times of turns: the first
turn gets the time of its session, each later turn 30 seconds more.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from benchmarks.sets.formats.source import BadSource, Prepared, parse_time, read_json, stamp

_DATE = "%Y/%m/%d (%a) %H:%M"
_TURN = timedelta(seconds=30)


class HaystackTurn(msgspec.Struct):
    """A turn of a session. has_answer: whether the turn answers the question."""

    role: Literal["user", "assistant"]
    content: str
    has_answer: bool = False


class Instance(msgspec.Struct):
    """A question with its haystack, the sessions to search. answer_session_ids: the sessions that
    have the answer.
    """

    question_id: str
    question_type: str
    question: str
    question_date: str
    haystack_session_ids: list[str]
    haystack_dates: list[str]
    haystack_sessions: list[list[HaystackTurn]]
    answer_session_ids: list[str]
    answer: Any = ""


def prepare_longmemeval(path: Path, limit: int | None = None) -> list[Prepared]:
    """A list with one set, named after the file, of at most `limit` questions. Raises BadSource."""
    prepared = Prepared(path.stem)
    for index, instance in enumerate(read_json(path, list[Instance])[:limit]):
        _add(instance, f"{path}[{index}]", prepared)
    return [prepared]


def _add(instance: Instance, location: str, prepared: Prepared) -> None:
    name = f"lme-{instance.question_id}"
    with_answer, in_answering_sessions = _add_turns(instance, name, location, prepared)
    answerable = not instance.question_id.endswith("_abs")
    prepared.queries.append(
        {
            "id": f"{name}:q0",
            "conversation": name,
            "text": instance.question,
            "category": instance.question_type,
            "answerable": answerable,
            "evidence": (with_answer or in_answering_sessions) if answerable else [],
            "evidence_level": "turn" if with_answer else "session",
            "evidence_sessions": instance.answer_session_ids,
            "asked_at": stamp(
                parse_time(instance.question_date, _DATE, f"{location}.question_date")
            ),
            "answer": str(instance.answer),
        }
    )


def _add_turns(
    instance: Instance, name: str, location: str, prepared: Prepared
) -> tuple[list[str], list[str]]:
    """Add all turns to `prepared`. Returns ids of turns with the answer, and of all turns in
    answering sessions.
    """
    ids = instance.haystack_session_ids
    dates = instance.haystack_dates
    sessions = instance.haystack_sessions
    if not len(ids) == len(dates) == len(sessions):
        raise BadSource(
            f"{location}: has {len(ids)} session ids, {len(dates)} dates and "
            f"{len(sessions)} sessions"
        )
    with_answer: list[str] = []
    in_answering_sessions: list[str] = []
    occurrences: Counter[str] = Counter()
    for number, (session, date, turns) in enumerate(zip(ids, dates, sessions, strict=True)):
        occurrences[session] += 1
        unique = session if occurrences[session] == 1 else f"{session}~{occurrences[session]}"
        at = parse_time(date, _DATE, f"{location}.haystack_dates[{number}]")
        for index, turn in enumerate(turns):
            if not turn.content.strip():
                prepared.left_out["turns without text"] += 1
                continue
            row = {
                "id": f"{name}:{unique}:{index}",
                "conversation": name,
                "session": unique,
                "speaker": turn.role,
                "text": turn.content,
                "timestamp": stamp(at + index * _TURN),
                "memory_type": "episodic",
            }
            prepared.corpus.append(row)
            with_answer += [row["id"]] * turn.has_answer
            in_answering_sessions += [row["id"]] * (session in instance.answer_session_ids)
    return with_answer, in_answering_sessions
