"""Resources that the service opens at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.embedded import client_of
from api.settings import Settings
from api.wiring.resources import left_out
from api.wiring.services import open_services
from memtypes.encoders.setup.prepare import FINGERPRINT


def test_the_trained_models_know_the_default_encoder() -> None:
    assert left_out(FINGERPRINT) is None


def test_what_another_encoder_does_without_is_said() -> None:
    said = left_out("bge-small:0123456789abcdef:float32:512")
    assert said is not None
    assert "judged by their words alone" in said
    assert "overviews are not recognised" in said
    assert "floor is off" in said


@pytest.mark.anyio
@pytest.mark.slow
async def test_an_encoding_that_no_call_names_is_not_built(
    tmp_path: Path, onnx_directory: Path
) -> None:
    """A tokenizer's encoding (70 MB) is built by the first call that names it, not at start."""
    settings = Settings(data_dir=tmp_path, encoder_dir=onnx_directory)
    async with open_services(settings) as services, client_of(services) as client:
        for number, encoding in enumerate(services.tokenizers, 1):
            answer = await client.post(
                "/v1/retrieve", {"query": "tea", "namespace": "n", "tokenizer": encoding}
            )
            assert answer["metadata"]["tokenizer"] == encoding
            assert (
                sum("_encoding" in vars(tokenizer) for tokenizer in services.tokenizers.values())
                == number
            )
