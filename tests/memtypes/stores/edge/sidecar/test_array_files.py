"""Array files, whose rows are read through a memory mapping. test_token_vectors tests several rows
per memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memtypes.stores.edge.sidecar.array_files import RowFile
from memtypes.stores.edge.sidecar.slots import slots_of


def test_rows_have_the_values_last_written(tmp_path: Path) -> None:
    """Rows in a gap between written rows are zeros. Arrays that were read earlier show later
    changes to their rows.
    """
    file = RowFile(tmp_path / "new" / "rows.bin", np.dtype(np.int64))
    assert file.rows.tolist() == []
    file.put(slots_of([4, 1, 2]), np.array([40, 10, 20]))
    before = file.rows
    assert before.tolist() == [0, 10, 20, 0, 40]
    assert file.append(np.array([50])) == 5
    file.zero(1, 2)
    assert before.tolist() == [0, 0, 0, 0, 40]
    assert file.rows.tolist() == [0, 0, 0, 0, 40, 50]
    with pytest.raises(ValueError, match="read-only"):
        file.rows[0] = 1
    file.close()
