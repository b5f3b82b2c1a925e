"""Finds the existing threads that the policy file lists for an agent.

Nothing is created, and no thread counts as used. `Threads.open_for_agent` creates what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.conversations.threads import OpenRequest, Threads, thread_key
from memtypes.live.thread_policy import AccessMode, ResourceReference
from memtypes.live.workflows import JsonObject
from memtypes.model.scope import Scope
from memtypes.ports.threads import ThreadQuery


@dataclass(frozen=True, slots=True)
class AgentThread:
    """A thread that the policy file lets an agent use. key: the key by which it is found; None without one."""

    resource: str
    mode: AccessMode
    key: str | None
    thread_id: str


async def threads_of_agent(threads: Threads, scope: Scope, variables: JsonObject) -> list[AgentThread]:
    """The existing threads of the scope's agent, in the order of the policy file; none if the file has no agents.

    For a resource without a key, this is the thread of the resource that the agent opened and used last. Raises
    InvalidRequest for an agent that the file does not have, and if `variables` lack a value that a key needs.
    """
    agent_id = scope.agent_id
    if agent_id is None or not threads.policies.policies.agents:
        return []
    request = OpenRequest(agent_id=agent_id, variables=variables)
    found = []
    for reference in threads.policies.references(agent_id):
        key = thread_key(reference.key or threads.policies.of(reference.id).key, request)
        thread_id = await _thread_id(threads, scope, reference, key)
        if thread_id is not None:
            found.append(AgentThread(reference.id, reference.mode, key, thread_id))
    return found


async def _thread_id(threads: Threads, scope: Scope, reference: ResourceReference, key: str | None) -> str | None:
    if key is not None:
        return await threads.store.find(scope, reference.id, key)
    query = ThreadQuery(limit=1, resource=reference.id, agent_id=scope.agent_id)
    return next((thread.id for thread in (await threads.store.page_of_threads(scope, query)).threads), None)
