"""The payload fields that retrieval reads of each candidate."""

from __future__ import annotations

from memtypes.model.types import MEMORY_CLASSES
from memtypes.search.columns import TERMS, payload_fields
from retrieval.columns import COLUMNS


def test_each_column_is_a_field_of_some_type() -> None:
    """A misspelt field would be a column that never has a value."""
    fields = {
        name for memory_class in MEMORY_CLASSES.values() for name in memory_class.model_fields
    }
    assert set(payload_fields(COLUMNS)) <= fields | {TERMS}
