"""`remembrancer reembed`."""

from __future__ import annotations

from api.cli.commands.options import AsJson, DataDir, present, run, settings_from
from api.cli.tables import counts_table
from api.wiring.reembedding import Reembedding
from api.wiring.resources import prepared_embedder
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.policy import MemoryType


def reembed(data_dir: DataDir = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Move the store, embedded or on a server, to the embedder of the settings. Services must be stopped."""

    async def work() -> dict[MemoryType, int]:
        settings = settings_from({"data_dir": data_dir})
        embedder = await prepared_embedder(settings)
        try:
            return await Reembedding(settings, embedder, Bm25Encoder()).run(stop_engine=False)
        finally:
            await embedder.aclose()

    counts = run(work)
    present({str(kind): count for kind, count in counts.items()}, counts_table, as_json=as_json)
