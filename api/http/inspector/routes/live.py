"""Inspector pages that show threads (conversations) with their turns, and workflows with their
events.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from api.auth.keys import Caller
from api.http.endpoint import Params
from api.http.inspector.page import Html, Page
from api.http.inspector.view import PageScope, View
from api.http.request import InNamespace, QueryWhole
from api.http.shapes.threads import ListedTurn, ThreadAnswer
from api.wiring.container import AppServices, Services
from memtypes.model.errors import AccessDenied
from memtypes.model.scope import Scope
from memtypes.ports.threads import ThreadQuery
from memtypes.ports.workflows import WorkflowListing

PAGE = 50
TURNS = 200
EVENTS = 200


class PagedAddress(InNamespace):
    """Parameters of a list with several pages. cursor: where the page begins; by default at the
    first entry.
    """

    cursor: Annotated[str, Field(max_length=2_048)] | None = None


class ThreadAddress(InNamespace):
    """Parameters of the page about a thread. after: show only turns with a higher index than
    this.
    """

    id: Annotated[str, Field(max_length=256)]
    after: Annotated[QueryWhole, Field(ge=-1, le=2**53)] = -1


class WorkflowAddress(InNamespace):
    """Parameters of the page about a workflow. after: show only events with a higher version than
    this.
    """

    id: Annotated[str, Field(max_length=256)]
    after: Annotated[QueryWhole, Field(ge=0, le=2**53)] = 0


@View("GET /threads")
async def list_threads(
    services: AppServices, page: Page, params: Params[PagedAddress], namespace: PageScope
) -> Html:
    """The page that lists the threads that the visitor may read, the last changed first."""
    scopes = _scopes(page.caller, params.namespace)
    threads = await services.threads.store.page_of_threads(
        namespace, ThreadQuery(PAGE, params.cursor)
    )
    access = services.threads.policies.access
    readable = [
        each
        for each in threads.threads
        if any(access(scope, each.resource, each.key) for scope in scopes)
    ]
    answers = [ThreadAnswer.from_thread(services.threads, thread) for thread in readable]
    return await page.show("threads.html", params, threads=answers, next_cursor=threads.next_cursor)


@View("GET /thread")
async def show_thread(services: AppServices, page: Page, params: Params[ThreadAddress]) -> Html:
    """The page of a thread: its turns, and the turns that were moved to memories, even if the
    thread has expired.
    """
    scope = await _reading_scope(services, _scopes(page.caller, params.namespace), params.id)
    turns = [
        ListedTurn.from_turn(entry)
        for entry in await services.threads.turns(scope, params.id, include_flushed=True)
    ]
    later = [turn for turn in turns if turn.index > params.after]
    is_live = any(not turn.flushed for turn in turns) or not turns
    chain = await services.threads.chain(scope, params.id) if is_live else []
    return await page.show(
        "thread.html",
        params,
        thread=ThreadAnswer.from_thread(services.threads, chain[-1]) if chain else None,
        ancestors=chain[:-1],
        turns=later[:TURNS],
        total=len(turns),
        next_after=later[TURNS - 1].index if len(later) > TURNS else None,
    )


def _scopes(caller: Caller, namespace: str) -> list[Scope]:
    """The scopes of the visitor: one for each agent that the API key is bound to, else one without
    an agent.
    """
    return [caller.scope(namespace, None, agent) for agent in caller.agents or (None,)]


async def _reading_scope(services: Services, scopes: Sequence[Scope], thread_id: str) -> Scope:
    """The first of `scopes` whose agent may read the thread. Raises AccessDenied if there is none,
    and NotFound.
    """
    for scope in scopes[:-1]:
        with suppress(AccessDenied):
            await services.threads.check_access(scope, thread_id, write=False)
            return scope
    await services.threads.check_access(scopes[-1], thread_id, write=False)
    return scopes[-1]


@View("GET /workflows")
async def list_workflows(
    services: AppServices, page: Page, params: Params[PagedAddress], namespace: PageScope
) -> Html:
    """The page that lists the workflows of a namespace, latest created first."""
    listing = WorkflowListing(limit=PAGE, cursor=params.cursor)
    workflows = await services.workflows.store.page(namespace, listing)
    return await page.show(
        "workflows.html", params, workflows=workflows.workflows, next_cursor=workflows.next_cursor
    )


@View("GET /workflow")
async def show_workflow(
    services: AppServices, page: Page, params: Params[WorkflowAddress], namespace: PageScope
) -> Html:
    """The page of a workflow: its state, steps, resources and events, and the workflows that
    continue it.
    """
    log = await services.workflows.store.load(namespace, params.id)
    events = (
        ()
        if log.lost
        else await services.workflows.store.events(namespace, params.id, params.after, EVENTS)
    )
    children = await services.workflows.store.page(
        namespace, WorkflowListing(parent_id=params.id, limit=PAGE)
    )
    return await page.show(
        "workflow.html",
        params,
        log=log,
        state=log.state,
        events=events,
        children=children.workflows,
        next_after=events[-1].version if events and events[-1].version < log.version else None,
    )
