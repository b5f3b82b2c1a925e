"""Features of words that may be credentials."""

from __future__ import annotations

import os
import subprocess
import sys

_PRINT_FEATURES = """
import numpy as np
from ingest.screening.redaction.credential_features import word_features
words = ("Authorization", "2024-04-09T19:57:14Z", "tulip93!lake")
print([word_features(word, np.zeros((27, 27))) for word in words])
"""


def test_features_do_not_depend_on_the_hash_seed() -> None:
    """Processes whose strings have other hashes compute exactly the same features."""
    seeds = (
        {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        for seed in "123456"
    )
    commands = [
        subprocess.Popen([sys.executable, "-c", _PRINT_FEATURES], env=env, stdout=-1, text=True)
        for env in seeds
    ]
    outputs = {command.communicate()[0] for command in commands}
    assert len(outputs) == 1
    assert outputs.pop().startswith("[")
