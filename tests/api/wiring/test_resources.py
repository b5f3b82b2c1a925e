"""Resources that the service opens at start."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from api.cli.diagnosis import Diagnosis
from api.cli.embedded import client_of
from api.cli.installation import diagnose_installation
from api.settings import Settings
from api.wiring.resources import left_out
from api.wiring.services import open_services
from memtypes.encoders.prepared import TOKENIZER_FILE
from memtypes.encoders.setup.prepare import FINGERPRINT
from tests.tiny_reader import write_tiny_reader


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
async def test_the_reader_is_used_where_it_is_prepared(
    tmp_path: Path, onnx_directory: Path
) -> None:
    directory = write_tiny_reader(tmp_path / "reader", onnx_directory / TOKENIZER_FILE)
    settings = Settings(data_dir=tmp_path, encoder_dir=onnx_directory, reader_dir=directory)
    async with open_services(settings) as services:
        assert await services.pings["reader"]() is None
        assert services.ingestor.reader is not None


@pytest.mark.anyio
@pytest.mark.slow
@pytest.mark.parametrize("reader", ["auto", "off"])
async def test_the_service_works_without_the_reader(
    tmp_path: Path, onnx_directory: Path, reader: Literal["auto", "off"]
) -> None:
    """Without its files, or where it is off, readiness and `doctor` say so and nothing fails."""
    if reader == "off":
        write_tiny_reader(tmp_path / "reader", onnx_directory / TOKENIZER_FILE)
    settings = Settings(data_dir=tmp_path, encoder_dir=onnx_directory, reader=reader, port=0)
    async with open_services(settings) as services, client_of(services) as client:
        readiness = await client.get("/health/ready")
        assert readiness["checks"]["reader"]["ok"]
        assert "off or not prepared" in readiness["checks"]["reader"]["detail"]
    diagnosis = Diagnosis()
    await diagnose_installation(settings, diagnosis)
    assert diagnosis.ok
    reasons = {"auto": "no prepared reader in", "off": "set REMEMBRANCER_READER=auto"}
    assert reasons[reader] in diagnosis.checks["reader"]["detail"]


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
