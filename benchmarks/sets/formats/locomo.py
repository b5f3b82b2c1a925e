"""LoCoMo's locomo10.json as two sets: its turns, and the observations that it states about them.

A list of conversations {sample_id, conversation: {session_N: [{speaker, dia_id, text, blip_caption?}],
session_N_date_time}, observation?: {session_N_observation: {speaker: [[text, dia_ids]]}}, qa: [{question, answer?,
evidence, category}]}. Turns have no times: they follow each other by 20 seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.sets.formats.source import BadSource, Prepared, expect, member, moment, read_json, stamp

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
"""Names of the categories in the paper, by their number in the file."""

UNANSWERABLE = 5
_TURN = timedelta(seconds=20)
_DATES = ("%I:%M %p on %d %B, %Y",)
_SESSION = re.compile(r"session_(\d+)")
_CITED = re.compile(r"D(\d+):(\d+)")


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a conversation, with its turns as in the file."""

    number: int
    at: datetime
    turns: list[Any]
    place: str


def prepare_locomo(path: Path, limit: int | None = None) -> list[Prepared]:
    """The set of turns and, if the file has observations, the set of observations. Raises BadSource."""
    turns, facts = Prepared("locomo_turns"), Prepared("locomo_observations")
    for index, sample in enumerate(expect(read_json(path), list, str(path))[:limit]):
        place = f"{path}[{index}]"
        _add(expect(sample, dict, place), place, turns, facts)
    return [turns, *([facts] if facts.corpus else [])]


def _add(sample: dict[str, Any], place: str, turns: Prepared, facts: Prepared) -> None:
    name = member(sample, "sample_id", str, place)
    sessions = list(_sessions(member(sample, "conversation", dict, place), f"{place}.conversation"))
    if not sessions:
        raise BadSource(f"{place}.conversation: has no session")
    known = {row["id"] for session in sessions for row in _turns(name, session, turns)}
    stated = _observations(name, sample, place, sessions, facts)
    asked_at = stamp(sessions[-1].at + timedelta(days=1))
    for number, question in enumerate(member(sample, "qa", list, place)):
        query = _query(expect(question, dict, f"{place}.qa[{number}]"), f"{place}.qa[{number}]", name, known, turns)
        query |= {"id": f"{name}:q{number}", "conversation": name, "asked_at": asked_at}
        turns.queries.append(query)
        about_facts = _about_facts(query, stated)
        if about_facts is not None:
            facts.queries.append(about_facts)


def _sessions(conversation: dict[str, Any], place: str) -> Iterator[Session]:
    """The sessions by number; the file has dates without turns, which are skipped."""
    numbers = sorted(int(found[1]) for name in conversation if (found := _SESSION.fullmatch(name)))
    for number in numbers:
        where = f"{place}.session_{number}"
        written = member(conversation, f"session_{number}_date_time", str, place)
        at = moment(written, _DATES, f"{where}_date_time")
        yield Session(number, at, member(conversation, f"session_{number}", list, place), where)


def _turns(name: str, session: Session, turns: Prepared) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for index, turn in enumerate(session.turns):
        place = f"{session.place}[{index}]"
        said = expect(turn, dict, place)
        cited = _CITED.fullmatch(member(said, "dia_id", str, place))
        if cited is None:
            raise BadSource(f"{place}.dia_id: must look like D1:2, is {said['dia_id']!r}")
        caption = said.get("blip_caption")
        text = member(said, "text", str, place).strip()
        shown = f"[shares {expect(caption, str, f'{place}.blip_caption').strip()}]" if caption else ""
        row = {
            "id": _turn_id(name, cited),
            "conversation": name,
            "session": f"session_{session.number}",
            "speaker": member(said, "speaker", str, place),
            "text": f"{text} {shown}".strip(),
            "timestamp": stamp(session.at + index * _TURN),
            "memory_type": "episodic",
            **({"meta": {"image_caption": caption}} if caption else {}),
        }
        if row["text"]:
            rows.append(row)
        else:
            turns.left_out["turns without text"] += 1
    turns.corpus += rows
    return rows


def _observations(
    name: str, sample: dict[str, Any], place: str, sessions: Sequence[Session], facts: Prepared
) -> dict[str, list[str]]:
    """Ids of the observations by the turn that they cite."""
    stated: dict[str, list[str]] = {}
    observations = expect(sample.get("observation", {}), dict, f"{place}.observation")
    for session in sessions:
        where = f"{place}.observation.session_{session.number}_observation"
        for speaker, texts in expect(
            observations.get(f"session_{session.number}_observation", {}), dict, where
        ).items():
            for index, pair in enumerate(expect(texts, list, f"{where}.{speaker}")):
                text, cited = _observation(pair, name, f"{where}.{speaker}[{index}]")
                row_id = f"{name}:obs:{session.number}:{speaker}:{index}"
                facts.corpus.append(
                    {
                        "id": row_id,
                        "conversation": name,
                        "session": f"session_{session.number}",
                        "speaker": speaker,
                        "text": text,
                        "timestamp": stamp(session.at),
                        "memory_type": "semantic",
                        "meta": {"evidence": cited},
                    }
                )
                for turn in cited:
                    stated.setdefault(turn, []).append(row_id)
    return stated


def _observation(value: Any, name: str, place: str) -> tuple[str, list[str]]:
    pair = expect(value, list, place)
    if len(pair) != 2:
        raise BadSource(f"{place}: must be a text and its citations, has {len(pair)} members")
    text = expect(pair[0], str, f"{place}[0]").strip()
    if not text:
        raise BadSource(f"{place}[0]: must not be blank")
    cited = pair[1] if isinstance(pair[1], list) else [pair[1]]
    return text, _cited(cited, name, f"{place}[1]")


def _query(question: dict[str, Any], place: str, name: str, known: set[str], turns: Prepared) -> dict[str, Any]:
    category = member(question, "category", int, place)
    if category not in CATEGORIES:
        raise BadSource(f"{place}.category: must be 1 to 5, is {category}")
    cited = _cited(member(question, "evidence", list, place), name, f"{place}.evidence")
    evidence = [turn for turn in cited if turn in known]
    turns.left_out["citations of missing turns"] += len(cited) - len(evidence)
    query = {"text": member(question, "question", str, place), "category": CATEGORIES[category]}
    if category == UNANSWERABLE:
        return {**query, "answerable": False, "evidence": [], "forbidden": evidence}
    return {**query, "answerable": True, "evidence": evidence, "answer": str(question.get("answer", ""))}


def _cited(cited: Sequence[Any], name: str, place: str) -> list[str]:
    """Ids of the cited turns, each once; some citations name several turns in one text."""
    matches = (match for text in cited for match in _CITED.finditer(expect(text, str, place)))
    return list(dict.fromkeys(_turn_id(name, match) for match in matches))


def _turn_id(name: str, cited: re.Match[str]) -> str:
    return f"{name}:D{int(cited[1])}:{int(cited[2])}"


def _about_facts(query: dict[str, Any], stated: dict[str, list[str]]) -> dict[str, Any] | None:
    """`query` with observations as evidence; None if a turn that it cites has no observation."""
    turns = query["evidence"]
    if not turns or any(turn not in stated for turn in turns):
        return None
    return query | {"evidence": list(dict.fromkeys(fact for turn in turns for fact in stated[turn]))}
