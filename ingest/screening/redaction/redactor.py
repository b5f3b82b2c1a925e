r"""Applies a tenant's rules for secrets: remove them, refuse the text that contains them, or allow
them.

Rules come from YAML:

default: {policy: redact, kinds: {email: allow}, patterns: [{name: badge, regex: 'B-\d{6}'}]}
tenants:
  acme: {policy: refuse, never_keep_roles: [system], never_keep_types: [working]}

If redaction cannot run, it raises Unavailable, so that nothing unscreened is stored. Ids are
addresses, so they are not redacted: an id that contains a token or key of a known format is
refused. Personal data, such as an e-mail address, may be an id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import re2
from pydantic import AfterValidator, Field, StringConstraints, field_validator

from ingest.screening.redaction.patterns import BUILT_IN, KINDS, Pattern
from ingest.screening.redaction.rules import compile_re2
from ingest.screening.redaction.scan import Redaction, may_hold_secrets, secrets_in
from ingest.screening.submission import Rejection, RejectionCause, Submission
from memtypes.config import InvalidConfigFile, parse_yaml, read_text
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.memory import MAX_LABEL, MAX_TAG, Draft, Memory, StrictModel
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload

ID_FIELDS = frozenset(
    {
        "id",
        "tenant",
        "namespace",
        "content_hash",
        "type",
        "session_id",
        "agent_id",
        "todo_id",
        "visibility",
    }
    | {"superseded_by", "source_sessions", "links"}
)
_SCREENED_IDS = ("id", "session_id", "agent_id", "todo_id", "superseded_by", "source_sessions")
_KINDS_IN_IDS = frozenset({"private_key", "url_password", "jwt", "azure_key"})
"""Built-in kinds of secrets that are refused in ids, in addition to vendors' tokens and the
tenant's patterns.
"""

_LABELS = ("title", "concept", "procedure_name", "speaker")
_MAX_LINE = 10_000

ValueT = TypeVar("ValueT")
"""Type of a value to redact: any JSON."""


class SecretsRefused(InvalidRequest):
    """A text has secrets of kinds that the tenant's rules refuse. The message names these kinds,
    never a secret.
    """


class Treatment(StrEnum):
    """What to do about a secret: redact it, refuse the text that contains it, or allow it."""

    REDACT = "redact"
    REFUSE = "refuse"
    ALLOW = "allow"


def _checked_regex(regex: str) -> str:
    try:
        compiled = compile_re2(regex)
    except re2.error as error:
        raise ValueError(f"can't run in linear time: {error}") from error
    if compiled.search("") is not None:
        raise ValueError("matches the empty text, so it would match everywhere")
    return regex


class CustomPattern(StrictModel):
    """A kind of secret that a tenant's rules define. regex: in RE2 syntax, whose time is linear in
    the text.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    regex: Annotated[
        str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(_checked_regex)
    ]

    def compiled(self) -> Pattern:
        """The pattern with its regex compiled by RE2. Raises re2.error."""
        # One of these signs may also stand for itself. Then the pattern counts as anchored, which
        # only costs time.
        anchored = any(sign in self.regex for sign in ("^", "$", r"\A", r"\z"))
        return Pattern(self.name, compile_re2(self.regex), anchored=anchored)


class RedactionRules(StrictModel):
    """The redaction rules of one tenant.

    policy: treatment of kinds of secrets that are not in `kinds`. patterns: kinds that the tenant
    defines. never_keep_roles, never_keep_types: roles of speakers, and memory types, whose texts
    are not stored.
    """

    policy: Treatment = Treatment.REDACT
    kinds: dict[str, Treatment] = Field(default_factory=dict)
    patterns: tuple[CustomPattern, ...] = Field(default=(), max_length=50)
    never_keep_roles: frozenset[str] = frozenset()
    never_keep_types: frozenset[MemoryType] = frozenset()

    @field_validator("never_keep_roles")
    @classmethod
    def _casefolded(cls, roles: frozenset[str]) -> frozenset[str]:
        return frozenset(role.casefold() for role in roles)

    def treatment(self, kind: str) -> Treatment:
        """What to do about secrets of this `kind`."""
        return self.kinds.get(kind, self.policy)

    def active_patterns(self) -> tuple[Pattern, ...]:
        """The patterns of every kind that is not allowed, the tenant's own patterns first. Raises
        re2.error.
        """
        custom = (pattern.compiled() for pattern in self.patterns)
        return tuple(
            pattern
            for pattern in (*custom, *BUILT_IN)
            if self.treatment(pattern.kind) != Treatment.ALLOW
        )

    def objection(self, draft: Draft | Memory) -> str | None:
        """Why the rules exclude `draft`, by its memory type or its speaker's role; None if they do
        not exclude it.
        """
        kind = getattr(draft, "type", None)
        if kind in self.never_keep_types:
            return f"memories of type {kind} are not stored here"
        roles = {
            str(role).casefold()
            for role in (getattr(draft, "speaker", None), draft.metadata.get("role"))
            if role
        }
        return "texts of this role are not stored here" if roles & self.never_keep_roles else None


class RuleBook(StrictModel):
    """The rules of all tenants. A field that a tenant's rules leave out is taken from `default`."""

    default: RedactionRules = RedactionRules()
    tenants: dict[str, RedactionRules] = Field(default_factory=dict)

    def of_tenant(self, tenant: str) -> RedactionRules:
        """The rules of `tenant`, completed by the default rules."""
        rules = self.tenants.get(tenant)
        if rules is None:
            return self.default
        return self.default.model_copy(
            update={name: getattr(rules, name) for name in rules.model_fields_set}
        )


def read_rules(path: Path | None, policy: Treatment) -> RuleBook:
    """The redaction rules in the YAML file `path`, or the default rules if it is None. Raises
    InvalidConfigFile.

    policy: treatment of secrets if the file sets no default policy.
    """
    if path is None:
        return RuleBook(default=RedactionRules(policy=policy))
    name = f"redaction rules {path}"
    book = parse_yaml(read_text(path, "redaction rules"), RuleBook, name)
    for rules in (book.default, *(book.of_tenant(tenant) for tenant in book.tenants)):
        if unknown := sorted(
            set(rules.kinds) - KINDS - {pattern.name for pattern in rules.patterns}
        ):
            raise InvalidConfigFile(
                f"{name}: no kind {unknown[0]!r}; known are {', '.join(sorted(KINDS))}"
            )
    if "policy" in book.default.model_fields_set:
        return book
    return book.model_copy(update={"default": book.default.model_copy(update={"policy": policy})})


@dataclass(frozen=True, slots=True)
class RedactedValue(Generic[ValueT]):
    """A value with markers such as [redacted:email] in place of secrets. counts: number of secrets,
    by kind.
    """

    value: ValueT
    counts: Mapping[str, int]


class Redactor:
    """Replaces secrets in values by markers such as [redacted:email], by the rules of each
    tenant.
    """

    def __init__(self, book: RuleBook | None = None) -> None:
        self._book = book or RuleBook()
        self._patterns: dict[str | None, tuple[Pattern, ...]] = {}

    def rules(self, tenant: str) -> RedactionRules:
        """The rules of `tenant`."""
        return self._book.of_tenant(tenant)

    def clean(self, tenant: str, value: ValueT) -> RedactedValue[ValueT]:
        """`value`, any JSON, with markers for its secrets. Raises SecretsRefused for refused kinds,
        and Unavailable.
        """
        cleaned = self.clean_query(tenant, value)
        rules = self.rules(tenant)
        if kinds := ", ".join(
            sorted(k for k in cleaned.counts if rules.treatment(k) is Treatment.REFUSE)
        ):
            raise SecretsRefused(
                f"contains secrets that are not stored here: {kinds}; remove them and send it again"
            )
        return cleaned

    def clean_query(self, tenant: str, value: ValueT) -> RedactedValue[ValueT]:
        """`value`, any JSON, with markers for its secrets, also those of kinds that are refused.
        Raises Unavailable.
        """
        patterns = self._active_patterns(tenant)
        redaction = Redaction(patterns)
        with _fail_closed():
            if not may_hold_secrets(value, patterns):
                return RedactedValue(value, {})
            return RedactedValue(redaction.value(value), dict(redaction.counts))

    def check_ids(self, tenant: str, ids: Mapping[str, str | Sequence[str] | None]) -> None:
        """Raise SecretsRefused if an id contains a token or key. ids: an id, a list of ids, or
        None, by field name.

        The message names the field and the kind of secret, never the id. Raises Unavailable if
        redaction cannot run.
        """
        kinds = _KINDS_IN_IDS | {pattern.name for pattern in self.rules(tenant).patterns}
        patterns = [
            active
            for active in self._active_patterns(tenant)
            if active.literals or active.kind in kinds
        ]
        for field, value in ids.items():
            texts = [value] if isinstance(value, str) else value or ()
            with _fail_closed():
                names = ", ".join(
                    sorted({secret.kind for text in texts for secret in secrets_in(text, patterns)})
                )
            if names:
                message = (
                    f"contains a secret ({names}), and ids are stored unchanged: use an id "
                    "without it"
                )
                raise SecretsRefused(message, path=field)

    def clean_draft(self, tenant: str, draft: Draft | Memory) -> RedactedValue[Any]:
        """`draft` with markers in place of secrets in its texts, and the number of secrets by kind.

        Raises SecretsRefused if the tenant's rules refuse a kind found, or an id contains a token
        or key. Raises Unavailable if redaction cannot run.
        """
        ids = {name: getattr(draft, name, None) for name in _SCREENED_IDS}
        self.check_ids(tenant, {**ids, "links": [link.to for link in draft.links]})
        texts = _texts(draft)
        cleaned = self.clean(tenant, texts)
        if not cleaned.counts:
            return RedactedValue(draft, {})
        changed = {
            name: _truncated(name, value)
            for name, value in cleaned.value.items()
            if value != texts[name]
        }
        if "source" in changed and draft.source is not None:
            changed["source"] = draft.source.model_copy(update=changed["source"])
        return RedactedValue(draft.model_copy(update=changed), cleaned.counts)

    def _active_patterns(self, tenant: str) -> tuple[Pattern, ...]:
        key = tenant if tenant in self._book.tenants else None
        if key not in self._patterns:
            with _fail_closed():
                self._patterns[key] = self.rules(tenant).active_patterns()
        return self._patterns[key]


@contextmanager
def _fail_closed() -> Iterator[None]:
    try:
        yield
    except (re2.error, ArithmeticError, LookupError, TypeError, UnicodeError, ValueError) as error:
        # Only the class of the error: its message may quote the text.
        raise Unavailable(
            f"not stored: redaction could not run ({type(error).__name__})"
        ) from error


def _texts(draft: Draft | Memory) -> dict[str, Any]:
    fields = {name: getattr(draft, name) for name in draft.model_fields_set - ID_FIELDS}
    return fields | ({"source": draft.source.model_dump(exclude_none=True)} if draft.source else {})


def _truncated(name: str, value: Any) -> Any:
    """`value` cut to the maximum length of the field `name`, since a marker may be longer than the
    secret.
    """
    if name in _LABELS:
        return value[:MAX_LABEL]
    if name == "tags":
        return list(dict.fromkeys(tag[:MAX_TAG] for tag in value))
    lines = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return [line[:_MAX_LINE] for line in value] if lines else value


@dataclass(frozen=True, slots=True)
class RedactionGate:
    """Screening step that removes secrets from drafts, and rejects drafts that the tenant's rules
    exclude.
    """

    redactor: Redactor

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission without secrets, or a rejection. Raises Unavailable if redaction cannot
        run.
        """
        draft = submission.draft
        if objection := self.redactor.rules(scope.tenant).objection(draft):
            return Rejection(objection)
        try:
            self.redactor.check_ids(
                scope.tenant, {"session_id": scope.session_id, "agent_id": scope.agent_id}
            )
            texts = (str(value) for value in _texts(draft).values())
            cleaned = await offload(texts, lambda: self.redactor.clean_draft(scope.tenant, draft))
        except SecretsRefused as error:
            reason = f"{error.path}: {error}" if error.path else str(error)
            return Rejection(reason, cause=RejectionCause.REFUSED)
        if not cleaned.counts:
            return submission
        counts = Counter(submission.redactions) + Counter(cleaned.counts)
        return replace(submission, draft=cleaned.value, redactions=dict(counts))
