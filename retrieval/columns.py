"""The payload fields that retrieval reads of each candidate, without reading memories. The store is
opened with this list.
"""

from __future__ import annotations

from memtypes.search.columns import LINKS, TERMS, ColumnKind, ColumnKinds

TURNS = "source.turns"
"""Payload field with the numbers of the turns that a memory was taken from."""

COLUMNS: ColumnKinds = {
    "created_at": ColumnKind.TIME,
    "restated_at": ColumnKind.TIME,
    "due_at": ColumnKind.TIME,
    "lapses_at": ColumnKind.TIME,
    "closed_at": ColumnKind.TIME,
    "reopened_at": ColumnKind.TIME,
    "completed_at": ColumnKind.TIME,
    "last_used_at": ColumnKind.TIME,
    "said.at": ColumnKind.TIME,
    "valid_to": ColumnKind.TIME,
    "state_until": ColumnKind.TIME,
    "expires_at": ColumnKind.TIME,
    "access_count": ColumnKind.WHOLE,
    "usage_count": ColumnKind.WHOLE,
    "seq": ColumnKind.WHOLE,
    "tokens.count": ColumnKind.WHOLE,
    "tokens.line": ColumnKind.WHOLE,
    "importance": ColumnKind.WHOLE,
    "emotional_valence": ColumnKind.WHOLE,
    "priority": ColumnKind.WHOLE,
    "confidence": ColumnKind.NUMBER,
    "success_rate": ColumnKind.NUMBER,
    "gives_value": ColumnKind.FLAG,
    "tokens.tokenizer": ColumnKind.TEXT,
    "tokens.renderer": ColumnKind.TEXT,
    "speaker": ColumnKind.TEXT,
    "status": ColumnKind.TEXT,
    "todo_id": ColumnKind.TEXT,
    "session_id": ColumnKind.TEXT,
    "state": ColumnKind.TEXT,
    LINKS: ColumnKind.LIST,
    TURNS: ColumnKind.LIST,
    "content_hash": ColumnKind.DIGEST,
    TERMS: ColumnKind.TERMS,
}
"""Kind of each column, by the field's dotted path in a payload. Add a field here if ranking or the
choice for a context shall read it.
"""
