"""What `make run` shows before it serves: the sample memories, and one budgeted retrieval over them."""

from __future__ import annotations

from rich.console import Console

from api.auth.keys import DEFAULT_TENANT
from api.cli.backend import LocalBackend
from api.cli.tables import context_view
from api.wiring.container import Services
from ingest.files.samples import sample_items
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from retrieval.query.request import RetrieveRequest

NAMESPACE = "sample"
QUERY = "Why did we move the stock counter to Postgres advisory locks, and what is left to do?"
BUDGET = 700


async def show_samples(services: Services, console: Console | None = None) -> None:
    """Load the samples where the namespace is still empty, and print one retrieval."""
    out = console or Console()
    scope = Scope(DEFAULT_TENANT, NAMESPACE)
    if not any(one.count for one in (await services.store.stats(scope)).values()):
        out.print(f"Loading the sample memories into the namespace [bold]{NAMESPACE}[/bold] ...")
        outcomes = await services.ingestor.write(scope, [DRAFT.validate_python(item) for item in sample_items()])
        out.print(f"{sum(one.memory is not None for one in outcomes)} memories are there.")
    backend = LocalBackend(services, DEFAULT_TENANT)
    answer = await backend.retrieve(RetrieveRequest(query=QUERY, namespace=NAMESPACE, budget=BUDGET))
    out.print(f"\n[bold]{QUERY}[/bold]  (POST /v1/retrieve, budget {BUDGET} tokens)")
    out.print(context_view(answer))
