"""Converts LoCoMo (locomo10.json) to two sets: the turns, and the observations, facts that LoCoMo
states about turns.

In the file, session_N has the turns of session N and session_N_date_time its time. LoCoMo gives no
times of turns: the first turn gets the time of its session, each later turn 20 seconds more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

from benchmarks.sets.formats.source import BadSource, Prepared, parse_time, read_json, stamp

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
"""Categories of questions: number in the file, name in the paper."""

UNANSWERABLE = 5
_TURN = timedelta(seconds=20)
_DATE = "%I:%M %p on %d %B, %Y"
_SESSION = re.compile(r"session_(\d+)")
_CITED = re.compile(r"D(\d+):(\d+)")

DialogSession: TypeAlias = tuple[int, datetime, list["DialogTurn"]]
"""A session of a conversation: its number, its time and its turns."""

Observations: TypeAlias = dict[str, list[tuple[str, str | list[str]]]]
"""Observations of a session by speaker, each as (text, ids of the turns that the observation
cites).
"""


class DialogTurn(msgspec.Struct):
    """A turn of a session. blip_caption: description of an image that the speaker shared."""

    speaker: str
    dia_id: Annotated[str, msgspec.Meta(pattern=r"^D\d+:\d+$")]
    text: str
    blip_caption: str | None = None


class LocomoQuestion(msgspec.Struct):
    """A question about a conversation. evidence: ids of the turns that answer it."""

    question: str
    evidence: list[str]
    category: Annotated[int, msgspec.Meta(ge=1, le=5)]
    answer: Any = ""


class Sample(msgspec.Struct):
    """A conversation with questions (`qa`) and with observations, the facts that LoCoMo states
    about its turns.
    """

    sample_id: str
    conversation: dict[str, str | list[DialogTurn]]
    qa: list[LocomoQuestion]
    observation: dict[str, Observations] = {}


def prepare_locomo(path: Path, limit: int | None = None) -> list[Prepared]:
    """The set of turns, and the set of observations if any, of at most `limit` conversations.
    Raises BadSource.
    """
    turns = Prepared("locomo_turns")
    facts = Prepared("locomo_observations")
    for index, sample in enumerate(read_json(path, list[Sample])[:limit]):
        _add(sample, f"{path}[{index}]", turns, facts)
    return [turns, *([facts] if facts.corpus else [])]


def _add(sample: Sample, location: str, turns: Prepared, facts: Prepared) -> None:
    sessions = list(_sessions(sample, location))
    if not sessions:
        raise BadSource(f"{location}.conversation: has no session")
    turn_ids = {
        row["id"] for session in sessions for row in _add_turns(sample.sample_id, session, turns)
    }
    observations = _add_observations(sample, location, sessions, facts)
    _, last_time, _ = sessions[-1]
    asked_at = stamp(last_time + timedelta(days=1))
    for number, question in enumerate(sample.qa):
        query = _query(question, sample.sample_id, turn_ids, turns)
        query |= {
            "id": f"{sample.sample_id}:q{number}",
            "conversation": sample.sample_id,
            "asked_at": asked_at,
        }
        turns.queries.append(query)
        cited = query["evidence"]
        if cited and all(turn in observations for turn in cited):
            about = list(dict.fromkeys(fact for turn in cited for fact in observations[turn]))
            facts.queries.append(query | {"evidence": about})


def _sessions(sample: Sample, location: str) -> Iterator[DialogSession]:
    numbers = sorted(
        int(match[1]) for name in sample.conversation if (match := _SESSION.fullmatch(name))
    )
    for number in numbers:
        date, turns = (
            sample.conversation.get(f"session_{number}{suffix}") for suffix in ("_date_time", "")
        )
        if not isinstance(date, str) or not isinstance(turns, list):
            raise BadSource(
                f"{location}.conversation.session_{number}: needs turns and "
                f"session_{number}_date_time"
            )
        yield number, parse_time(date, _DATE, f"{location}.session_{number}_date_time"), turns


def _add_turns(name: str, session: DialogSession, turns: Prepared) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    number, at, session_turns = session
    for index, turn in enumerate(session_turns):
        caption = turn.blip_caption
        text = f"{turn.text.strip()} {f'[shares {caption.strip()}]' if caption else ''}".strip()
        if not text:
            turns.left_out["turns without text"] += 1
            continue
        rows.append(
            {
                "id": _turn_ids([turn.dia_id], name)[0],
                "conversation": name,
                "session": f"session_{number}",
                "speaker": turn.speaker,
                "text": text,
                "timestamp": stamp(at + index * _TURN),
                "memory_type": "episodic",
                **({"meta": {"image_caption": caption}} if caption else {}),
            }
        )
    turns.corpus += rows
    return rows


def _add_observations(
    sample: Sample, location: str, sessions: Sequence[DialogSession], facts: Prepared
) -> dict[str, list[str]]:
    """Add a conversation's observations (facts) to `facts`. Returns ids of observations by the turn
    that they cite.
    """
    by_turn: dict[str, list[str]] = {}
    for number, at, _ in sessions:
        for speaker, texts in sample.observation.get(f"session_{number}_observation", {}).items():
            for index, (text, citations) in enumerate(texts):
                if not text.strip():
                    raise BadSource(
                        f"{location}.observation of session {number}: must not be blank"
                    )
                cited = _turn_ids(
                    [citations] if isinstance(citations, str) else citations, sample.sample_id
                )
                row_id = f"{sample.sample_id}:obs:{number}:{speaker}:{index}"
                row = {
                    "id": row_id,
                    "conversation": sample.sample_id,
                    "session": f"session_{number}",
                    "speaker": speaker,
                    "text": text.strip(),
                    "timestamp": stamp(at),
                    "memory_type": "semantic",
                    "meta": {"evidence": cited},
                }
                facts.corpus.append(row)
                for turn in cited:
                    by_turn.setdefault(turn, []).append(row_id)
    return by_turn


def _query(
    question: LocomoQuestion, name: str, turn_ids: set[str], turns: Prepared
) -> dict[str, Any]:
    cited = _turn_ids(question.evidence, name)
    evidence = [turn for turn in cited if turn in turn_ids]
    turns.left_out["citations of missing turns"] += len(cited) - len(evidence)
    query = {"text": question.question, "category": CATEGORIES[question.category]}
    if question.category == UNANSWERABLE:
        return {**query, "answerable": False, "evidence": [], "forbidden": evidence}
    return {**query, "answerable": True, "evidence": evidence, "answer": str(question.answer)}


def _turn_ids(citations: Sequence[str], name: str) -> list[str]:
    matches = (match for text in citations for match in _CITED.finditer(text))
    return list(dict.fromkeys(f"{name}:D{int(match[1])}:{int(match[2])}" for match in matches))
