"""`remembrancer verify FILE`: checks a saved receipt without a service, a store or a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.commands.options import AsJson, DataDir, place, present, run
from api.cli.tables import verdict_view
from api.wiring.resources import open_tokenizers
from memtypes.model.errors import InvalidRequest
from memtypes.ports.tokenizer import Tokenizer
from retrieval.receipts.file import counter_for, verify_file

MAX_FILE = 64 * 1024 * 1024


def verify(
    file: Annotated[Path, typer.Argument(help="A receipt as GET /v1/receipts/ID?contents=true gives it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Whether a saved receipt holds; ends with 1 when it does not."""

    async def check() -> dict[str, Any]:
        raw = _read(file)
        tokenizers = await open_tokenizers(place(data_dir, None, None, "default").settings)
        return verify_file(raw, lambda receipt: _counter(receipt, tokenizers)).model_dump(mode="json")

    verdict = run(check)
    present(verdict, verdict_view, as_json=as_json)
    if not verdict["valid"]:
        raise typer.Exit(1)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_FILE:
            raise InvalidRequest(f"{file} is larger than any receipt")
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{file} can't be read: {error.strerror}") from error


def _counter(receipt: Mapping[str, Any], tokenizers: Mapping[str, Tokenizer]) -> Callable[[str], int] | None:
    """What counts the receipt's entries, when its very tokenizer is at hand."""
    named = receipt.get("tokenizer")
    tokenizer = tokenizers.get(str(named.get("name"))) if isinstance(named, dict) else None
    if tokenizer is None or not isinstance(named, dict) or named.get("sha256") != tokenizer.sha256:
        return None
    request = receipt.get("request")
    return counter_for(str(request.get("format")) if isinstance(request, dict) else "", tokenizer)
