"""The commands `remembrancer verify`, which checks a saved receipt, and `reembed`, which embeds all
memories again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.options import FAILED, AsJson, DataDir, present, run
from api.cli.service import require_store, settings_from
from api.cli.tables import names_table, verdict_view
from api.wiring.data_folder import DataFolder
from api.wiring.resources import Reembedding, open_tokenizers, prepared_embedder
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.errors import InvalidRequest
from memtypes.ports.encoders import Tokenizer
from memtypes.stores.operations.schema import Collection
from retrieval.receipts.checks import counter_for, verify_file

MAX_RECEIPT_BYTES = 64 * 1024 * 1024

_UNUSED_DATA_DIR = typer.Option("--data-dir", hidden=True)
"""Accepted because earlier versions read the tokenizers' rank files from the data folder, and
scripts pass it.
"""


def verify(
    file: Annotated[Path, typer.Argument(help="A receipt from GET /v1/receipts/ID?contents=true.")],
    as_json: AsJson = False,
    _data_dir: Annotated[Path | None, _UNUSED_DATA_DIR] = None,
) -> None:
    """Check a saved receipt of a retrieval, without a service or a store. Exit code 1 if it is not
    valid.
    """

    async def work() -> dict[str, Any]:
        raw = _read_receipt(file)
        tokenizers = await open_tokenizers()
        return verify_file(raw, lambda receipt: _counter(receipt, tokenizers)).model_dump(
            mode="json"
        )

    verdict = run(work)
    present(verdict, verdict_view(verdict), as_json=as_json)
    if not verdict["valid"]:
        raise typer.Exit(FAILED)


def _read_receipt(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_RECEIPT_BYTES:
            raise InvalidRequest(f"{file} is larger than any receipt")
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}") from error


def _counter(
    receipt: Mapping[str, Any], tokenizers: Mapping[str, Tokenizer]
) -> Callable[[str], int] | None:
    """A function that counts tokens with the tokenizer of `receipt`; None if this program lacks
    that tokenizer.
    """
    named = receipt.get("tokenizer")
    tokenizer = tokenizers.get(str(named.get("name"))) if isinstance(named, dict) else None
    if tokenizer is None or not isinstance(named, dict) or named.get("sha256") != tokenizer.sha256:
        return None
    request = receipt.get("request")
    return counter_for(str(request.get("format")) if isinstance(request, dict) else "", tokenizer)


def reembed(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Embed every memory again with the embedder that the settings name. Services on the store must
    be stopped.
    """

    async def work() -> dict[Collection, int]:
        settings = settings_from({"data_dir": data_dir})
        require_store(settings)
        DataFolder(settings).version()  # raises for a folder that a newer program wrote
        embedder = await prepared_embedder(settings)
        try:
            return await Reembedding(settings, embedder, Bm25Encoder()).run()
        finally:
            await embedder.aclose()

    counts = run(work)
    by_name = {str(kind): count for kind, count in counts.items()}
    present(by_name, names_table(by_name), as_json=as_json)
