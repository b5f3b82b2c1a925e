"""The threads (stored conversations) that the policy file lets an agent use: opens them, or finds
the existing ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.conversations.threads import OpenedThread, OpenRequest, Threads, thread_key
from memtypes.live.thread_policy import AccessMode
from memtypes.live.workflows import JsonObject
from memtypes.model.scope import Scope
from memtypes.ports.threads import ThreadQuery


@dataclass(frozen=True, slots=True)
class AgentThread:
    """A thread that the policy file lets an agent use. resource: name of its policy. mode: whether
    it may be changed.

    key: identifies the thread among the threads of its resource, such as a user's id; None if these
    have no keys.
    """

    resource: str
    mode: AccessMode
    key: str | None
    thread_id: str


def opens_for_agent(threads: Threads, request: OpenRequest) -> bool:
    """Whether `request` opens all threads that the policy file lists for its agent, not only one
    thread.

    True if the request names an agent but no resource (policy name), and the file defines agents.
    """
    return (
        bool(threads.policies.policies.agents)
        and request.agent_id is not None
        and request.resource is None
    )


async def open_for_agent(
    threads: Threads, scope: Scope, request: OpenRequest
) -> list[OpenedThread]:
    """Find or create a thread for each resource (thread policy) that the policy file lists for the
    agent.

    A key in the request is used for all of them, instead of the keys in the file. If a variable
    that a key needs is missing, no thread is created. An agent creates no threads that it may only
    read: the service itself provides those that the file lists, empty and of no agent, so that the
    agent can read them once others have written.
    """
    references = threads.policies.references(request.agent_id or "")
    requests = []
    for reference in references:
        key = thread_key(
            request.key or reference.key or threads.policies.requested(reference.id).key, request
        )
        changes: dict[str, object] = {"key": key, "resource": reference.id}
        requests.append(request.model_copy(update=changes))
    opened = [
        await _opened(threads, scope, thread_request, reference.mode)
        for thread_request, reference in zip(requests, references, strict=True)
    ]
    return [
        replace(thread, mode=reference.mode)
        for thread, reference in zip(opened, references, strict=True)
    ]


async def _opened(
    threads: Threads, scope: Scope, request: OpenRequest, mode: AccessMode
) -> OpenedThread:
    if mode is AccessMode.READ_WRITE:
        return await threads.open(scope, request)
    agent = replace(scope, agent_id=scope.agent_id or request.agent_id)
    threads.policies.check_access(agent, request.resource, request.key, write=False)
    if request.parent_id is not None:
        await threads.check_access(agent, request.parent_id, write=False)
    provided = {"agent_id": None, "initial_context": None, "workflow_id": None}
    return await threads.open(
        replace(scope.unbound, agent_id=None), request.model_copy(update=provided)
    )


async def threads_of_agent(
    threads: Threads, scope: Scope, variables: JsonObject
) -> list[AgentThread]:
    """The existing threads of the scope's agent, in the order of the policy file; none if the file
    has no agents.

    Each resource (thread policy) of the agent gives at most one thread. If the resource has a key
    template, such as `{{ user.id }}`, it is the thread whose key `variables` give; otherwise, the
    last used thread the agent opened. Its time to live is not restarted. Raises InvalidRequest if
    the file does not define the agent, or if `variables` lack a value that a key needs.
    """
    if scope.agent_id is None or not threads.policies.policies.agents:
        return []
    request = OpenRequest(agent_id=scope.agent_id, variables=variables)
    existing = []
    for reference in threads.policies.references(scope.agent_id):
        key = thread_key(reference.key or threads.policies.of_resource(reference.id).key, request)
        if key is not None:
            thread_id = await threads.store.find(scope, reference.id, key)
        else:
            query = ThreadQuery(1, resource=reference.id, agent_id=scope.agent_id)
            page = await threads.store.page_of_threads(scope, query)
            thread_id = page.threads[0].id if page.threads else None
        if thread_id is not None:
            existing.append(AgentThread(reference.id, reference.mode, key, thread_id))
    return existing
