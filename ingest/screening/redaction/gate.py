"""The first gate: what a tenant does not want kept is taken out, or the draft is refused, before anything else sees it.

Whatever goes wrong in it raises, so that nothing is stored that was not looked through. Ids (session, agent, to-do,
namespace) are left as they are: they are addresses, and what they address would be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import re2

from ingest.screening.gates import Rejection
from ingest.screening.redaction.patterns import Pattern
from ingest.screening.redaction.policy import RuleBook, Rules, Treatment
from ingest.screening.redaction.scan import Redaction, may_hold_secrets
from ingest.writing.drafts import Submission
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.memory import MAX_LABEL, MAX_TAG, Draft, Memory
from memtypes.model.scope import Scope
from memtypes.offload import offload

IDS = frozenset(
    {"id", "tenant", "namespace", "content_hash", "type", "session_id", "agent_id", "todo_id", "visibility"}
    | {"superseded_by", "related", "source_sessions"}
)
"""Fields that are addresses, not texts."""

_LABELS = ("title", "concept", "procedure_name", "speaker")
_LINE = 10_000


class Refused(InvalidRequest):
    """The tenant's policy refuses texts with such secrets; the text names the kinds, never the secret."""


class Book(Protocol):
    """The rules of each tenant."""

    def of(self, tenant: str) -> Rules:
        """The rules of `tenant`."""
        ...


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A value without its secrets. counts: secrets removed, by kind."""

    value: Any
    counts: Mapping[str, int]


class Redactor:
    """Looks values through by the rules of their tenant."""

    def __init__(self, book: Book | None = None) -> None:
        self._book: Book = book or RuleBook()
        self._patterns: dict[str, tuple[Rules, tuple[Pattern, ...]]] = {}

    def rules(self, tenant: str) -> Rules:
        """The rules of `tenant`."""
        return self._book.of(tenant)

    def keeps(self, tenant: str, role: str) -> bool:
        """Whether texts of this role may be kept at all."""
        return role.casefold() not in self.rules(tenant).never_keep_roles

    def clean(self, tenant: str, value: Any) -> Cleaned:
        """`value`, any JSON, without the secrets that `tenant` does not allow. Raises Refused and Unavailable."""
        cleaned = self.asked(tenant, value)
        rules = self.rules(tenant)
        refused = sorted(kind for kind in cleaned.counts if rules.treatment(kind) is Treatment.REFUSE)
        if refused:
            raise Refused(f"holds what may not be kept here: {', '.join(refused)}; take it out and send it again")
        return cleaned

    def asked(self, tenant: str, value: Any) -> Cleaned:
        """The same for what is asked: the question of a tenant that refuses secrets is answered without them."""
        patterns = self._sought(tenant)
        redaction = Redaction(patterns)
        with _failing_closed():
            if not may_hold_secrets(value, patterns):
                return Cleaned(value, {})
            return Cleaned(redaction.value(value), dict(redaction.counts))

    def _sought(self, tenant: str) -> tuple[Pattern, ...]:
        rules = self._book.of(tenant)
        known = self._patterns.get(tenant)
        if known is None or known[0] != rules:
            with _failing_closed():
                known = self._patterns[tenant] = (rules, rules.sought())
        return known[1]


@contextmanager
def _failing_closed() -> Iterator[None]:
    try:
        yield
    except (re2.error, ArithmeticError, LookupError, TypeError, UnicodeError, ValueError) as error:
        # The class alone: its text may quote what was looked through.
        raise Unavailable(f"not stored: redaction could not run ({type(error).__name__})") from error


@dataclass(frozen=True, slots=True)
class RedactionGate:
    """Takes secrets out of every text of a draft, and keeps out roles and types that must not be kept."""

    redactor: Redactor

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission without secrets, the same object when there are none. Raises Unavailable."""
        draft = submission.draft
        objection = unwanted(self.redactor.rules(scope.tenant), draft)
        if objection:
            return Rejection(objection)
        try:
            texts = (str(value) for value in _texts(draft).values())
            cleaned = await offload(texts, lambda: cleaned_draft(self.redactor, scope.tenant, draft))
        except Refused as error:
            return Rejection(str(error))
        if not cleaned.counts:
            return submission
        counts = Counter(submission.redactions) + Counter(cleaned.counts)
        return replace(submission, draft=cleaned.value, redactions=dict(counts))


def unwanted(rules: Rules, draft: Draft | Memory) -> str | None:
    """Why such a text is not kept at all; None when it may be."""
    kind = getattr(draft, "type", None)
    if kind in rules.never_keep_types:
        return f"memories of type {kind} are not kept here"
    roles = {str(role).casefold() for role in (getattr(draft, "speaker", None), draft.metadata.get("role")) if role}
    return "texts of this role are not kept here" if roles & rules.never_keep_roles else None


def cleaned_draft(redactor: Redactor, tenant: str, draft: Draft | Memory) -> Cleaned:
    """The draft, or a memory from elsewhere, without secrets; the same object, without counts, when it has none.

    Raises Refused and Unavailable.
    """
    texts = {name: value for name, value in _texts(draft).items() if name not in IDS}
    cleaned = redactor.clean(tenant, texts)
    if not cleaned.counts:
        return Cleaned(draft, {})
    changed = {name: _fitted(name, value) for name, value in cleaned.value.items() if value != texts[name]}
    return Cleaned(_with(draft, changed), cleaned.counts)


def _texts(draft: Draft | Memory) -> dict[str, Any]:
    return {name: getattr(draft, name) for name in draft.model_fields_set} | (
        {"source": draft.source.model_dump(exclude_none=True)} if draft.source else {}
    )


def _fitted(name: str, value: Any) -> Any:
    """`value` within its field's limit: a marker may be longer than what it stands for."""
    if name in _LABELS:
        return value[:MAX_LABEL]
    if name == "tags":
        return list(dict.fromkeys(tag[:MAX_TAG] for tag in value))
    return [line[:_LINE] for line in value] if isinstance(value, list) else value


def _with(draft: Draft | Memory, changed: dict[str, Any]) -> Draft | Memory:
    if "source" in changed and draft.source is not None:
        changed = {**changed, "source": draft.source.model_copy(update=changed["source"])}
    return draft.model_copy(update=changed)
