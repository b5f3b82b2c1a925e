"""The sentence-transformers embedder: errors if the package or the model is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.setup.prepare import weights_directory
from memtypes.model.errors import SetupRequired

pytestmark = pytest.mark.anyio


async def test_a_missing_model_requires_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening without the model raises an error that names the model."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SetupRequired, match="nothing-here"):
        await SentenceTransformersEmbedder.open(SentenceTransformersSettings(str(tmp_path / "nothing-here")))


async def test_a_missing_package_requires_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening without the package raises an error that names the extra to install."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SetupRequired, match=r"pip install -e '.\[torch\]'"):
        await SentenceTransformersEmbedder.open(SentenceTransformersSettings(str(weights_directory())))
