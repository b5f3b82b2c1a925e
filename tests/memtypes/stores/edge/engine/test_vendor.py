"""Translation of errors of the embedded engine's library."""

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
def test_errors_are_translated_with_their_text(raised: Exception, expected: type[RemembrancerError]) -> None:
    """Each bare exception of the library becomes an error of this product."""

    def fail() -> None:
        raise raised

    with pytest.raises(expected, match=str(raised).split("(")[0]):
        engine_call(fail)
