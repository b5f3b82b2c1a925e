"""LongMemEval's longmemeval_s.json (or _m, _oracle) to a set: each question has a haystack of its own.

A list of {question_id, question_type, question, answer, question_date, haystack_session_ids, haystack_dates,
haystack_sessions: [[{role, content, has_answer?}]], answer_session_ids}. A question_id that ends with _abs is not
answerable. Turns have no times: they follow each other by 30 seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.sets.formats.source import BadSource, Prepared, expect, member, moment, read_json, stamp

ROLES = ("user", "assistant")
_DATES = ("%Y/%m/%d (%a) %H:%M",)
_TURN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a haystack. name: as in the file; id: the name, made unique if it occurs twice."""

    id: str
    name: str
    at: datetime
    turns: list[Any]
    place: str


def prepare_longmemeval(path: Path, limit: int | None = None) -> list[Prepared]:
    """The set, named after the file. Raises BadSource."""
    prepared = Prepared(path.stem)
    for index, instance in enumerate(expect(read_json(path), list, str(path))[:limit]):
        place = f"{path}[{index}]"
        _add(expect(instance, dict, place), place, prepared)
    return [prepared]


def _add(instance: dict[str, Any], place: str, prepared: Prepared) -> None:
    question = member(instance, "question_id", str, place)
    name = f"lme-{question}"
    wanted = member(instance, "answer_session_ids", list, place)
    answering: list[str] = []
    in_sessions: list[str] = []
    for session in _sessions(instance, place):
        for row, answers in _turns(name, session, prepared):
            prepared.corpus.append(row)
            answering += [row["id"]] * answers
            in_sessions += [row["id"]] * (session.name in wanted)
    answerable = not question.endswith("_abs")
    evidence = (answering or in_sessions) if answerable else []
    at = moment(member(instance, "question_date", str, place), _DATES, f"{place}.question_date")
    prepared.queries.append(
        {
            "id": f"{name}:q0",
            "conversation": name,
            "text": member(instance, "question", str, place),
            "category": member(instance, "question_type", str, place),
            "answerable": answerable,
            "evidence": evidence,
            "evidence_level": "turn" if answering else "session",
            "evidence_sessions": wanted,
            "asked_at": stamp(at),
            "answer": str(instance.get("answer", "")),
        }
    )


def _sessions(instance: dict[str, Any], place: str) -> Iterator[Session]:
    ids = member(instance, "haystack_session_ids", list, place)
    dates = member(instance, "haystack_dates", list, place)
    sessions = member(instance, "haystack_sessions", list, place)
    if not len(ids) == len(dates) == len(sessions):
        raise BadSource(f"{place}: has {len(ids)} session ids, {len(dates)} dates and {len(sessions)} sessions")
    seen: Counter[str] = Counter()
    for index, (session_id, date, turns) in enumerate(zip(ids, dates, sessions, strict=True)):
        where = f"{place}.haystack_sessions[{index}]"
        name = expect(session_id, str, f"{place}.haystack_session_ids[{index}]")
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}~{seen[name]}"
        at = moment(expect(date, str, f"{place}.haystack_dates[{index}]"), _DATES, f"{place}.haystack_dates[{index}]")
        yield Session(unique, name, at, expect(turns, list, where), where)


def _turns(name: str, session: Session, prepared: Prepared) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each turn, and whether it has the answer."""
    for index, turn in enumerate(session.turns):
        place = f"{session.place}[{index}]"
        said = expect(turn, dict, place)
        role = member(said, "role", str, place)
        if role not in ROLES:
            raise BadSource(f"{place}.role: must be {' or '.join(ROLES)}, is {role!r}")
        text = member(said, "content", str, place)
        if not text.strip():
            prepared.left_out["turns without text"] += 1
            continue
        row = {
            "id": f"{name}:{session.id}:{index}",
            "conversation": name,
            "session": session.id,
            "speaker": role,
            "text": text,
            "timestamp": stamp(session.at + index * _TURN),
            "memory_type": "episodic",
        }
        yield row, expect(said.get("has_answer", False), bool, f"{place}.has_answer")
