"""The inspector's first page: the namespaces, and the size, newest memories and latest retrievals of one of them."""

from __future__ import annotations

from litestar import Response

from api.http.inspector.charts import Part, stacked
from api.http.inspector.page import LivePage
from api.http.inspector.view import View, read_address
from api.http.request import ApiRequest, MaybeNamespace
from api.wiring.container import AppServices
from memtypes.model.filters import All
from memtypes.ports.memory_store import Listing

NEWEST = 12


@View("GET /")
async def overview(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The page of the namespace in the query, or of the only one that exists; else a list of namespaces."""
    namespace = read_address(request, MaybeNamespace).namespace
    if namespace is None:
        names = await page.names.of(request.auth.tenant, fresh=True)
        if len(names) != 1:
            return await page.show("namespaces.html")
        (namespace,) = names
    scope = request.scope_in(namespace)
    # Tokens are counted after the page is shown: in a large namespace that takes longer than the rest.
    (sizes,) = await services.store.counts(scope, [All(())])
    total, now = sum(sizes.values()), services.clock()
    parts = [Part(f"type-{kind}", count, f"{count:,} {kind}") for kind, count in sizes.items()]
    newest = await services.store.page(scope, Listing(limit=NEWEST))
    return await page.show(
        "overview.html",
        namespace=namespace,
        sizes=sizes,
        total=total,
        bar_segments=stacked(parts, total),
        newest=[memory.at(now) for memory in newest.memories],
    )
