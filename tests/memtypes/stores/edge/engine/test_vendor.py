"""Errors of the qdrant-edge library, the embedded engine, become errors of this product."""

from __future__ import annotations

import pytest

from memtypes.model.errors import InvalidRequest, RemembrancerError, StoreInUse, Unavailable
from memtypes.stores.edge.engine.vendor import engine_call


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Exception("Can't init WAL: Kind(WouldBlock)"), StoreInUse),
        (Exception("disk full"), Unavailable),
        (ValueError("invalid JSON path"), InvalidRequest),
        (TypeError("wrong"), InvalidRequest),
    ],
)
def test_errors_are_translated_with_their_text(
    raised: Exception, expected: type[RemembrancerError]
) -> None:
    """An exception of the qdrant-edge library becomes an error of this product with the same
    text.
    """

    def fail() -> None:
        raise raised

    with pytest.raises(expected, match=str(raised).split("(")[0]):
        engine_call(fail)
