"""Resources that the service opens at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.embedded import client_of
from api.settings import Settings
from api.wiring.services import open_services

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


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
