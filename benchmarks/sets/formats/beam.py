"""BEAM's folder of a tier (chats/100K, 500K, 1M) to a set: each numbered folder is a conversation.

N/chat.json: a list of {batch_number, turns: [[{role, id, content, time_anchor?}]]}. N/probing_questions/
probing_questions.json: {category: [{question, answer or the like, source_chat_ids}]}, the ids in a list, or in lists by
name. Turns have no times: a batch begins at nine on the day of its anchor, and turns follow by a minute.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.sets.formats.source import BadSource, Prepared, expect, member, moment, read_json, stamp

UNANSWERABLE = "abstention"
ANSWERS = ("answer", "ideal_answer", "ideal_summary")
"""Members that hold the answer, by category of question."""

UPDATED = "updated_info"
"""Member with the statements that still hold of a fact that changed."""

_ANCHOR = ("%B-%d-%Y",)
_MORNING = timedelta(hours=9)
_TURN = timedelta(minutes=1)
_MARK = re.compile(r"\s*->->\s*[\d,\s]+$")
"""Leftover of the generation at the end of user turns: their place in the plan."""


def prepare_beam(path: Path, limit: int | None = None) -> list[Prepared]:
    """The set, named after the tier. Raises BadSource."""
    if not path.is_dir():
        raise BadSource(f"{path} is not a folder of numbered conversations")
    folders = sorted((entry for entry in path.iterdir() if entry.name.isdigit()), key=lambda entry: int(entry.name))
    if not folders:
        raise BadSource(f"{path} has no numbered folder")
    prepared = Prepared(f"beam_{path.name.lower()}")
    for folder in folders[:limit]:
        _add(folder, prepared)
    return [prepared]


def _add(folder: Path, prepared: Prepared) -> None:
    name = f"beam-{folder.name}"
    chat = folder / "chat.json"
    rows = list(_turns(name, expect(read_json(chat), list, str(chat)), str(chat)))
    if not rows:
        raise BadSource(f"{chat}: has no turn")
    counts = Counter(row["id"] for row in rows)
    unique = [row for row in rows if counts[row["id"]] == 1 and row["text"]]
    prepared.left_out["turns with a duplicate id or without text"] += len(rows) - len(unique)
    prepared.corpus += unique
    last = max(datetime.fromisoformat(row["timestamp"]) for row in rows)
    asked_at = stamp(last.replace(hour=9, minute=0, second=0) + timedelta(days=1))
    questions = folder / "probing_questions" / "probing_questions.json"
    known = {row["id"] for row in unique}
    for category, asked in expect(read_json(questions), dict, str(questions)).items():
        for index, question in enumerate(expect(asked, list, f"{questions}.{category}")):
            place = f"{questions}.{category}[{index}]"
            query = _query(expect(question, dict, place), category, place, name)
            _keep_known(query, known, prepared)
            named = {"id": f"{name}:{category}:{index}", "conversation": name, "asked_at": asked_at}
            prepared.queries.append(query | named)


def _turns(name: str, batches: list[Any], place: str) -> Iterator[dict[str, Any]]:
    at: datetime | None = None
    for index, value in enumerate(batches):
        where = f"{place}[{index}]"
        batch = expect(value, dict, where)
        number = member(batch, "batch_number", int, where)
        said = list(_said(member(batch, "turns", list, where), f"{where}.turns"))
        at = _begins(said, at)
        for minute, (turn, here) in enumerate(said):
            yield {
                "id": f"{name}:m{member(turn, 'id', int, here)}",
                "conversation": name,
                "session": f"batch_{number}",
                "speaker": member(turn, "role", str, here),
                "text": _MARK.sub("", member(turn, "content", str, here)).strip(),
                "timestamp": stamp(at + minute * _TURN),
                "memory_type": "episodic",
            }


def _said(groups: list[Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each turn with its place in the file."""
    for index, group in enumerate(groups):
        for number, turn in enumerate(expect(group, list, f"{place}[{index}]")):
            here = f"{place}[{index}][{number}]"
            yield expect(turn, dict, here), here


def _begins(said: list[tuple[dict[str, Any], str]], before: datetime | None) -> datetime:
    """Nine on the day of the batch's anchor; without an anchor, a day after the previous batch."""
    for turn, place in said:
        if turn.get("time_anchor"):
            where = f"{place}.time_anchor"
            return moment(expect(turn["time_anchor"], str, where), _ANCHOR, where) + _MORNING
    if before is None:
        raise BadSource(f"{said[0][1] if said else 'a batch'}: the first batch has no time_anchor")
    return before + timedelta(days=1)


def _query(question: dict[str, Any], category: str, place: str, name: str) -> dict[str, Any]:
    answerable = category != UNANSWERABLE
    source = question.get("source_chat_ids", []) if answerable else []
    query = {
        "text": member(question, "question", str, place),
        "category": category,
        "answerable": answerable,
        "evidence": _cited(source, name, f"{place}.source_chat_ids"),
        "answer": next((str(question[name]) for name in ANSWERS if name in question), ""),
    }
    if isinstance(source, dict) and UPDATED in source:
        query["current_evidence"] = _cited(source[UPDATED], name, f"{place}.source_chat_ids.{UPDATED}")
    return query


def _cited(source: Any, name: str, place: str) -> list[str]:
    """The ids of the cited turns at any depth, each once, in order."""
    if isinstance(source, dict):
        return _distinct(cited for key, value in source.items() for cited in _cited(value, name, f"{place}.{key}"))
    if isinstance(source, list):
        return _distinct(
            cited for index, value in enumerate(source) for cited in _cited(value, name, f"{place}[{index}]")
        )
    return [f"{name}:m{expect(source, int, place)}"]


def _distinct(ids: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _keep_known(query: dict[str, Any], known: set[str], prepared: Prepared) -> None:
    for named in ("evidence", "current_evidence"):
        if named in query:
            kept = [cited for cited in query[named] if cited in known]
            prepared.left_out["citations of missing turns"] += (len(query[named]) - len(kept)) * (named == "evidence")
            query[named] = kept
