"""Finds the existing threads (stored conversations) that the policy file lets an agent use.

Finding a thread neither creates it nor extends its time to live. `Threads.open_for_agent` creates missing threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.conversations.threads import OpenRequest, Threads, thread_key
from memtypes.live.thread_policy import AccessMode
from memtypes.live.workflows import JsonObject
from memtypes.model.scope import Scope
from memtypes.ports.threads import ThreadQuery


@dataclass(frozen=True, slots=True)
class AgentThread:
    """A thread that the policy file lets an agent use.

    resource: name of the thread's policy. mode: whether the agent may also write. key: identifies the thread among the
    threads of its resource, such as a user's id; None if the threads of this resource have no keys.
    """

    resource: str
    mode: AccessMode
    key: str | None
    thread_id: str


async def threads_of_agent(threads: Threads, scope: Scope, variables: JsonObject) -> list[AgentThread]:
    """The existing threads of the scope's agent, in the order of the policy file; none if the file has no agents.

    Each resource (thread policy) of the agent gives at most one thread. If the resource has a key template, such as
    `{{ user.id }}`, it is the thread whose key `variables` give; otherwise, the last used thread the agent opened.
    Raises InvalidRequest if the file does not define the agent, or if `variables` lack a value that a key needs.
    """
    agent_id = scope.agent_id
    if agent_id is None or not threads.policies.policies.agents:
        return []
    request = OpenRequest(agent_id=agent_id, variables=variables)
    found = []
    for reference in threads.policies.references(agent_id):
        key = thread_key(reference.key or threads.policies.of(reference.id).key, request)
        if key is not None:
            thread_id = await threads.store.find(scope, reference.id, key)
        else:
            page = await threads.store.page_of_threads(scope, ThreadQuery(1, resource=reference.id, agent_id=agent_id))
            thread_id = page.threads[0].id if page.threads else None
        if thread_id is not None:
            found.append(AgentThread(reference.id, reference.mode, key, thread_id))
    return found
