"""Answers about threads that are worked out of what is kept: context, stats, health."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from anyio import to_thread

from api.http.routes.thread_bodies import ContextPost
from api.wiring.container import Services
from ingest.conversations.threads import Threads
from memtypes.live.thread_policy import PolicyType
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.threads import EvictedBacklog, EvictedTurns, Thread, ThreadContent
from retrieval.context.thread import Context, thread_context

_DEFAULT = "cl100k_base"


def threads_of(services: Services) -> Threads:
    """The threads. Raises Unavailable where there is no live state."""
    if services.threads is None:
        raise Unavailable("live state is away")
    return services.threads


def thread_members(threads: Threads, thread: Thread) -> dict[str, Any]:
    """The thread as answers show it."""
    names = ("id", "version", "tokens", "turns", "parent_id", "resource", "key", "agent_id", "initial_context")
    shown = {name: getattr(thread, name) for name in (*names, "last_flush_at", "ttl_s")}
    told = {"created_at": rfc3339(thread.created_at), "summary": thread.summary or None}
    return {**shown, **told, "policy": threads.policies.name(thread.resource)}


async def context_of(
    services: Services, threads: Threads, scope: Scope, thread_id: str, asked: ContextPost
) -> dict[str, Any]:
    """The context in the budget; its turns count as used. A stand-in's count keeps its margin free."""
    chain = await threads.chain(scope, thread_id)
    known = None if asked.model is None else services.models().find(asked.model)
    name = asked.tokenizer or (known.tokenizer if known else _DEFAULT)
    margin = known.margin if known and asked.tokenizer is None else 0.0
    policy = threads.policies.of(chain.threads[-1].thread)
    share = threads.policies.window_share(policy)
    limit = asked.budget if share is None else min(asked.budget, share)
    room = math.floor(limit / (1.0 + margin))
    tokenizer = services.tokenizers[name]

    def build() -> Context:
        return thread_context(chain.threads, room, tokenizer, policy.allocation, files=asked.include_files)

    built = await to_thread.run_sync(build)
    await threads.store.use(scope, thread_id, [index for one, index in built.turns if one == thread_id])
    return {
        "context": built.text,
        "turns": [{"thread_id": one, "index": index} for one, index in built.turns],
        "files": [asdict(place) for place in built.files],
        "images": [asdict(place) for place in built.images] if asked.include_files else [],
        "omitted": {"turns": built.omitted_turns, "files": built.omitted_files},
        "metadata": {
            "total_tokens": math.ceil(built.tokens * (1.0 + margin)),
            "budget": asked.budget,
            "tokenizer": name,
            "allocation": dict(built.parts),
            "gap": chain.gap,
        },
    }


def stats_of(threads: Threads, thread: Thread, backlog: EvictedBacklog) -> dict[str, Any]:
    """What the thread holds of its limits, and what left it and is not kept yet."""
    policy = threads.policies.of(thread)
    limits = threads.policies.limits(policy)
    bounds = [(thread.tokens, limits.tokens), (thread.turns, limits.messages), (thread.turns, limits.turns)]
    distances = [
        max(0, math.ceil(policy.flush.threshold * limit) - have) for have, limit in bounds[:2] if limit is not None
    ]
    flushes = policy.type is not PolicyType.BUFFER and distances
    return {
        "turns": thread.turns,
        "tokens": thread.tokens,
        "max_tokens": limits.tokens,
        "max_messages": limits.messages,
        "max_turns": limits.turns,
        "utilization": max(have / limit for have, limit in bounds if limit),
        "distance_to_flush": distances[0] if flushes else None,
        "last_flush_at": thread.last_flush_at,
        "ttl_s": thread.ttl_left_s,
        "resource": thread.resource,
        "policy": threads.policies.name(thread.resource),
        "waiting": backlog.waiting,
        "set_aside": len(backlog.set_aside),
        "next_try_at": None if backlog.retry_at is None else rfc3339(backlog.retry_at),
    }


def health_of(threads: Threads, content: ThreadContent, backlog: EvictedBacklog) -> dict[str, Any]:
    """One check for each limit, for the count of tokens, for its life, and for what left it."""
    thread = content.thread
    limits = threads.policies.limits(threads.policies.of(thread))
    counted = sum(turn.tokens for turn in content.turns) + thread.summary_tokens
    checks = {
        "tokens_add_up": counted == thread.tokens,
        "within_max_tokens": limits.tokens is None or thread.tokens <= limits.tokens,
        "within_max_messages": limits.messages is None or thread.turns <= limits.messages,
        "within_max_turns": thread.turns <= limits.turns,
        "expires": thread.ttl_left_s > 0,
        "nothing_set_aside": not backlog.set_aside,
    }
    told: list[dict[str, Any]] = [{"name": name, "ok": ok} for name, ok in checks.items()]
    if backlog.set_aside:
        told[-1]["detail"] = "; ".join(map(_apart, backlog.set_aside))
    return {"ok": all(checks.values()), "checks": told}


def _apart(batch: EvictedTurns) -> str:
    """Which turns could not be kept, why, and when that is tried again."""
    indices = ", ".join(str(turn.index) for turn in batch.turns)
    again = "" if batch.retry_at is None else f"; tried again at {rfc3339(batch.retry_at)}"
    return f"turns {indices}: {batch.reason}{again}"
