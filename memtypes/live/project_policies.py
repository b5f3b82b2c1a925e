"""Converts a Compozy project's memory resources and agents to a policy file.

The input is parsed YAML: documents with `resource: memory` or `resource: agent`, single agents, or
lists of `memories` and `agents`, with Go-style placeholders such as `{{ .workflow.id }}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memtypes.config import InvalidConfigFile

_FLUSHING = {
    "type": "flush.strategy",
    "threshold": "flush.threshold",
    "summarize_threshold": "flush.threshold",
    "summary_tokens": "flush.summary_tokens",
    "summarize_oldest_percent": "flush.oldest",
}
_FIELDS: Mapping[str, str] = {
    **{
        name: name
        for name in ("type", "max_tokens", "max_messages", "max_context_ratio", "model", "key")
    },
    **{
        f"{part}.{name}": field
        for part in ("flushing_strategy", "flushing")
        for name, field in _FLUSHING.items()
    },
    **{
        f"token_allocation.{name}": f"allocation.{name}"
        for name in ("system", "short_term", "long_term")
    },
    **{f"locking.{name}_ttl": f"locks.{name}" for name in ("append", "clear", "flush")},
    "message_limit": "max_messages",
    "token_provider.model": "model",
    "token_allocation.user_defined": "allocation.custom",
    "eviction_policy.type": "eviction.policy",
    "eviction_policy.priority_keywords": "eviction.keywords",
    "persistence.ttl": "ttl",
    "privacy_policy.redact_patterns": "privacy.redact",
    "privacy_policy.non_persistable_message_types": "privacy.never_keep_roles",
    "default_key_template": "key",
    "memory_key": "key",
}
"""Field of a thread policy, by the field of a memory resource that is converted to it. Dots
separate nested names.
"""

_SILENT = {
    "resource",
    "id",
    "description",
    "version",
    "persistence.type",
    "token_provider.provider",
}
"""Fields of a memory resource that are dropped without a message, because a policy does not need
them.
"""

_PLACEHOLDER = re.compile(r"\{\{-?\s*\.([A-Za-z_][\w.]*)\s*-?\}\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def converted_policies(
    documents: Sequence[Mapping[str, Any]], model: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Convert a Compozy project's YAML documents to a policy file, which sets the limits of
    threads.

    Returns (content of the policy file, paths of the fields that a policy file cannot express).
    model: language model of memory resources whose agents name none; limits that are a share of a
    context window need a model. Raises InvalidConfigFile if the documents have neither a memory
    resource nor an agent that refers to one, or not the expected form.
    """
    try:
        return _converted(documents, model)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise InvalidConfigFile(
            f"the resources do not have the expected form: {type(error).__name__}: {error}"
        ) from error


def is_project(document: object) -> bool:
    """Whether a YAML document is one of a Compozy project, and not a policy file."""
    if not isinstance(document, Mapping):
        return False
    if {"resource", "memories", "memory", "memory_key"} & document.keys():
        return True
    agents = document.get("agents")
    if isinstance(agents, Mapping):
        entries = [entry for entry in agents.values() if isinstance(entry, Mapping)]
        return any("memory_key" in entry for entry in entries)
    return isinstance(agents, list)


def _converted(
    documents: Sequence[Mapping[str, Any]], model: str | None
) -> tuple[dict[str, Any], list[str]]:
    memories = [
        memory for document in documents for memory in _resources(document, "memory", "memories")
    ]
    agent_resources = [
        agent for document in documents for agent in _resources(document, "agent", "agents")
    ]
    agents = {
        str(agent.get("id")): policy for agent in agent_resources if (policy := _agent(agent))
    }
    if not memories and not agents:
        raise InvalidConfigFile(
            "no memory resource: none with `resource: memory`, no list of `memories`, and no agent "
            "that refers to one"
        )
    nameless = [agent for agent in agent_resources if not agent.get("id") and _references(agent)]
    if nameless:
        raise InvalidConfigFile("an agent that refers to memory resources needs an id")
    named = [(agent, name) for agent in agent_resources if (name := _model(agent))]
    models = {reference["id"]: name for agent, name in named for reference in _references(agent)}
    left_out: list[str] = []
    threads: dict[str, Any] = {}
    for document in documents:
        threads |= document.get("threads") or {}
    for memory in memories:
        threads[str(memory.get("id"))] = _policy(memory, models.get(memory.get("id"), model))
        handled = _FIELDS.keys() | _SILENT
        left_out += [
            f"memories.{memory.get('id')}.{path}"
            for path, _ in _flat(memory)
            if path not in handled
        ]
    parts = {"threads": threads, "agents": agents}
    return {name: part for name, part in parts.items() if part}, left_out


def _resources(document: Mapping[str, Any], kind: str, plural: str) -> list[Mapping[str, Any]]:
    """A document's resources of one kind: itself if it is a resource, else the entries of its list
    `plural`.
    """
    is_agent = "agents" not in document and {"memory", "memory_key"} & document.keys()
    stands_for = document.get("resource", "agent" if is_agent else None)
    if stands_for in {"memory", "agent"}:
        return [document] if stands_for == kind else []
    value = document.get(plural)
    if isinstance(value, Mapping):
        return [
            {"id": name, **entry} for name, entry in value.items() if isinstance(entry, Mapping)
        ]
    return [entry for entry in value or [] if isinstance(entry, Mapping)]


def _policy(memory: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """The thread policy for a memory resource. model: language model of an agent that uses it; None
    if unknown.
    """
    policy: dict[str, Any] = {}
    for path, value in _flat(memory):
        if (field := _FIELDS.get(path)) is not None and value is not None:
            section, _, name = field.rpartition(".")
            (policy.setdefault(section, {}) if section else policy)[name] = _value(field, value)
    if "max_context_ratio" in policy and model is not None:
        policy.setdefault("model", model)
    if policy.get("type") == "token_based" and not policy.keys() & {
        "max_tokens",
        "max_context_ratio",
    }:
        policy["type"] = "message_count_based"
    flush = policy.get("flush", {})
    if flush.get("threshold", 1) <= 0.5:  # the default of its target
        flush["target"] = flush["threshold"] / 2
    return policy


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of each nested field; `token_allocation.user_defined` whole, for
    its sum.
    """
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, Mapping) and path != "token_allocation.user_defined":
            yield from _flat(inner, f"{path}.")
        else:
            yield path, inner


def _value(field: str, value: Any) -> Any:
    """The value of a memory resource in the form of the policy's `field`, such as 0.3 for 30
    percent.
    """
    if field == "key":
        return _template(value)
    if field == "flush.oldest":
        return value / 100 if isinstance(value, int | float) and value > 1 else value
    if field == "flush.strategy":
        return "simple_fifo" if value == "fifo" else value
    if field == "allocation.custom" and isinstance(value, Mapping):
        return round(sum(value.values()), 6)
    if field == "ttl" or field.startswith("locks."):
        durations = _DURATION.findall(str(value))
        is_plain = len(durations) == 1 and durations[0][1] != "ms"
        return (
            value
            if is_plain or not durations
            else sum(float(number) * _SECONDS[unit] for number, unit in durations)
        )
    return value


def _template(value: Any) -> Any:
    """A key template with Jinja placeholders instead of Go-style ones: `{{ .user.id }}` becomes `{{
    user.id }}`.
    """
    return _PLACEHOLDER.sub(r"{{ \1 }}", value) if isinstance(value, str) else value


def _agent(agent: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's entry in a policy file, with a key template for all its resources; {} if it uses
    no resources.
    """
    references = _references(agent)
    key = _template(agent.get("memory_key") or agent.get("key"))
    shared = {"key": key} if key else {}
    if isinstance(agent.get("memory"), str):
        return {"memory": agent["memory"], **shared}
    fields = ("id", "key", "mode")
    memories = [
        {name: _template(reference[name]) for name in fields if name in reference}
        for reference in references
    ]
    return {"memories": memories, **shared} if memories else {}


def _references(agent: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """References to the memory resources that a Compozy agent uses, as objects that have at least
    an id.
    """
    memory = agent.get("memory")
    entries = (
        [memory]
        if isinstance(memory, str)
        else memory
        if isinstance(memory, list)
        else [memory]
        if isinstance(memory, Mapping)
        else agent.get("memories")
    )
    return [entry if isinstance(entry, Mapping) else {"id": entry} for entry in entries or []]


def _model(agent: Mapping[str, Any]) -> str | None:
    """The model that an agent names, in the form `provider/model`; None if the agent names no
    model.
    """
    config = agent.get("config")
    name = config.get("model") if isinstance(config, Mapping) else None
    name = name or agent.get("model")
    return str(name).replace(":", "/", 1) if isinstance(name, str) else None
