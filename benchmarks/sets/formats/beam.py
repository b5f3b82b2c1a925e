"""Converts BEAM chats of one size (folder chats/100K, 500K or 1M) to a set. Each numbered folder is
a conversation.

BEAM gives no times of turns: the first turn of a day's batch gets nine o'clock, each later turn one
minute more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.sets.formats.source import BadSource, Prepared, parse_time, read_json, stamp

UNANSWERABLE = "abstention"
UPDATED = "updated_info"
"""Name of the list in source_chat_ids with the turns that state a fact as it is after it
changed.
"""

_MORNING = timedelta(hours=9)
_TURN = timedelta(minutes=1)
_MARK = re.compile(r"\s*->->\s*[\d,\s]+$")
"""Text that BEAM's generator left at the end of user turns, to be removed: `->-> 1,2`."""


class ChatTurn(msgspec.Struct):
    """A turn in chat.json. time_anchor: day of the turn, such as March-15-2024."""

    role: str
    id: int
    content: str
    time_anchor: str | None = None


class Batch(msgspec.Struct):
    """A batch in chat.json: the turns of one day, in groups."""

    batch_number: int
    turns: list[list[ChatTurn]]


class Probe(msgspec.Struct):
    """A question. source_chat_ids: ids of answering turns, in nested lists or objects. Another
    field has the answer.
    """

    question: str
    source_chat_ids: Any = ()
    answer: Any = None
    ideal_answer: Any = None
    ideal_summary: Any = None


def prepare_beam(path: Path, limit: int | None = None) -> list[Prepared]:
    """A list with one set, made of at most `limit` conversations in the folder `path`. Raises
    BadSource.
    """
    if not path.is_dir():
        raise BadSource(f"{path} is not a folder of numbered conversations")
    folders = sorted(
        (entry for entry in path.iterdir() if entry.name.isdigit()),
        key=lambda entry: int(entry.name),
    )
    if not folders:
        raise BadSource(f"{path} has no numbered folder")
    prepared = Prepared(f"beam_{path.name.lower()}")
    for folder in folders[:limit]:
        _add(folder, prepared)
    return [prepared]


def _add(folder: Path, prepared: Prepared) -> None:
    name = f"beam-{folder.name}"
    chat = folder / "chat.json"
    rows = list(_rows(name, read_json(chat, list[Batch]), chat))
    if not rows:
        raise BadSource(f"{chat}: has no turn")
    counts = Counter(row["id"] for row in rows)
    unique = [row for row in rows if counts[row["id"]] == 1 and row["text"]]
    prepared.left_out["turns with a duplicate id or without text"] += len(rows) - len(unique)
    prepared.corpus += unique
    last_time = max(datetime.fromisoformat(row["timestamp"]) for row in rows)
    asked_at = stamp(last_time.replace(hour=9, minute=0, second=0) + timedelta(days=1))
    turn_ids = {row["id"] for row in unique}
    path = folder / "probing_questions" / "probing_questions.json"
    for category, probes in read_json(path, dict[str, list[Probe]]).items():
        for index, probe in enumerate(probes):
            query = _query(probe, category, f"{path}.{category}[{index}]", name)
            cited = query["evidence"]
            for member in ("evidence", "current_evidence"):
                if member in query:
                    query[member] = [turn for turn in query[member] if turn in turn_ids]
            prepared.left_out["citations of missing turns"] += len(cited) - len(query["evidence"])
            prepared.queries.append(
                query
                | {"id": f"{name}:{category}:{index}", "conversation": name, "asked_at": asked_at}
            )


def _rows(name: str, batches: list[Batch], chat: Path) -> Iterator[dict[str, Any]]:
    """Yield a row of corpus.jsonl for each turn. A batch without a date is dated one day after the
    previous batch.
    """
    at: datetime | None = None
    for index, batch in enumerate(batches):
        turns = [turn for group in batch.turns for turn in group]
        anchor = next((turn.time_anchor for turn in turns if turn.time_anchor), None)
        if anchor:
            at = parse_time(anchor, "%B-%d-%Y", f"{chat}[{index}].time_anchor") + _MORNING
        elif at is None:
            raise BadSource(f"{chat}[{index}]: the first batch has no time_anchor")
        else:
            at += timedelta(days=1)
        for minute, turn in enumerate(turns):
            yield {
                "id": f"{name}:m{turn.id}",
                "conversation": name,
                "session": f"batch_{batch.batch_number}",
                "speaker": turn.role,
                "text": _MARK.sub("", turn.content).strip(),
                "timestamp": stamp(at + minute * _TURN),
                "memory_type": "episodic",
            }


def _query(probe: Probe, category: str, location: str, name: str) -> dict[str, Any]:
    answerable = category != UNANSWERABLE
    source = probe.source_chat_ids if answerable else ()
    answer = next(
        (
            text
            for text in (probe.answer, probe.ideal_answer, probe.ideal_summary)
            if text is not None
        ),
        "",
    )
    query = {
        "text": probe.question,
        "category": category,
        "answerable": answerable,
        "evidence": _cited(source, name, location),
        "answer": str(answer),
    }
    if isinstance(source, dict) and UPDATED in source:
        query["current_evidence"] = _cited(source[UPDATED], name, location)
    return query


def _cited(source: Any, name: str, location: str) -> list[str]:
    """Distinct corpus ids of the turns that the nested `source` names. location: named in
    errors.
    """
    if isinstance(source, int):
        return [f"{name}:m{source}"]
    if not isinstance(source, dict | list | tuple):
        raise BadSource(f"{location}.source_chat_ids: must have whole numbers, has {source!r}")
    nested = source.values() if isinstance(source, dict) else source
    return list(
        dict.fromkeys(
            turn for nested_source in nested for turn in _cited(nested_source, name, location)
        )
    )
