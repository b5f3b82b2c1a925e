"""The HTTP application, put together from services that are handed in ready-made."""

from __future__ import annotations

from litestar import Litestar
from litestar.datastructures import ResponseHeader
from litestar.di import Provide

from api.auth.gate import Gate
from api.auth.local import from_here
from api.http.metrics import CountCalls
from api.http.problems import SAFE_HEADERS, answer_problem
from api.http.routes import (
    backups,
    batch,
    examination,
    health,
    hooks,
    keys,
    memories,
    moving,
    prospective,
    receipts,
    reembed,
    reference,
    search,
    threads,
    upkeep,
    workflows,
    working,
)
from api.http.timeouts import BodyDeadline
from api.wiring.container import Services

BODY_BYTES = 2 * 1024 * 1024

ROUTES = (
    memories.post_memory,
    memories.list_memories,
    memories.erase_memories,
    memories.get_memory,
    memories.patch_memory,
    memories.delete_memory,
    memories.post_feedback,
    batch.post_batch,
    prospective.get_due,
    prospective.complete,
    prospective.cancel,
    prospective.snooze,
    hooks.session_stop,
    hooks.prompt_submit,
    upkeep.run_job,
    examination.post_classify,
    examination.post_review,
    search.post_search,
    search.post_retrieve,
    receipts.get_receipt,
    receipts.verify_receipt,
    receipts.replay_receipt,
    working.post_working,
    working.list_working,
    working.clear_working,
    working.todo_created,
    working.todo_completed,
    threads.post_thread,
    backups.get_backup,
    threads.get_thread,
    threads.post_turn,
    threads.put_turns,
    threads.get_chain,
    threads.post_context,
    threads.post_flush,
    threads.post_clear,
    threads.get_stats,
    threads.get_health,
    threads.delete_thread,
    workflows.post_workflow,
    workflows.post_event,
    workflows.get_workflow,
    workflows.get_workflow_chain,
    workflows.get_workflow_resources,
    workflows.get_events,
    workflows.post_continue,
    keys.post_key,
    keys.list_keys,
    keys.delete_key,
    reembed.post_reembed,
    moving.post_export,
    moving.post_import,
    moving.post_erase,
    health.stats,
    health.live,
    health.ready,
    health.metrics,
    reference.openapi_json,
    reference.docs,
)


def create_app(services: Services, *, local_only: bool = False) -> Litestar:
    """The application over `services`, which stay the caller's to close.

    local_only: calls that a browser made for a page from elsewhere are refused; meant for a service without keys.

    Litestar's own reading of bodies and its own OpenAPI document are not used: `api.http.endpoint` says what a call
    takes,
    is stricter about JSON, and documents exactly what is checked.
    """
    return Litestar(
        route_handlers=ROUTES,
        dependencies={"services": Provide(lambda: services, sync_to_thread=False, use_cache=True)},
        guards=[Gate(services.keys, services.rate), *([from_here] if local_only else [])],
        middleware=[CountCalls(services.metrics), BodyDeadline()],
        exception_handlers={Exception: answer_problem},
        response_headers=[ResponseHeader(name=name, value=value) for name, value in SAFE_HEADERS.items()],
        request_max_body_size=BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )
