r"""What a tenant wants done about secrets: a default for all, and what single tenants have otherwise. From YAML.

default: {policy: redact, kinds: {email: allow}, patterns: [{name: badge, regex: 'B-\d{6}'}]}
tenants:
  acme: {policy: refuse, never_keep_roles: [system], never_keep_types: [working]}
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import re2
import yaml
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, field_validator

from ingest.screening.redaction.patterns import BUILT_IN, KINDS, Pattern, compiled
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Model
from memtypes.model.policy import MemoryType


class BadRedactionRules(RemembrancerError):
    """The redaction rules can't be used; the text says why."""


class Treatment(StrEnum):
    """What happens to a secret, or to the text that holds it."""

    REDACT = "redact"
    REFUSE = "refuse"
    ALLOW = "allow"


def usable(pattern: str) -> str:
    """`pattern` itself when RE2 can run it and it can't match nothing at all."""
    try:
        made = compiled(pattern)
    except re2.error as error:
        raise ValueError(f"can't run in linear time: {error}") from error
    if made.search("") is not None:
        raise ValueError("matches the empty text, so it would match everywhere")
    return pattern


class OwnPattern(Model):
    """A caller's own kind of secret. regex: in RE2's syntax, whose time is linear in the text."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    regex: Annotated[str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(usable)]


class Rules(Model):
    """policy: for every kind that `kinds` does not name. never_keep_roles: speakers whose texts are not stored."""

    policy: Treatment = Treatment.REDACT
    kinds: dict[str, Treatment] = Field(default_factory=dict)
    patterns: tuple[OwnPattern, ...] = Field(default=(), max_length=50)
    never_keep_roles: frozenset[str] = frozenset()
    never_keep_types: frozenset[MemoryType] = frozenset()

    @field_validator("never_keep_roles")
    @classmethod
    def _in_any_case(cls, roles: frozenset[str]) -> frozenset[str]:
        return frozenset(role.casefold() for role in roles)

    def unknown_kinds(self) -> set[str]:
        """What `kinds` names that neither comes built in nor is a pattern of one's own."""
        return set(self.kinds) - KINDS - {own.name for own in self.patterns}

    def treatment(self, kind: str) -> Treatment:
        """What happens to secrets of `kind`."""
        return self.kinds.get(kind, self.policy)

    def sought(self) -> tuple[Pattern, ...]:
        """The patterns of every kind that is not allowed; one's own come first."""
        own = (Pattern(one.name, compiled(one.regex), anchored=_anchored(one.regex)) for one in self.patterns)
        return tuple(one for one in (*own, *BUILT_IN) if self.treatment(one.kind) is not Treatment.ALLOW)


class RuleBook(Model):
    """default: for every tenant; what a tenant's own rules leave out is as there."""

    default: Rules = Rules()
    tenants: dict[str, Rules] = Field(default_factory=dict)

    def of(self, tenant: str) -> Rules:
        """The rules of `tenant`."""
        own = self.tenants.get(tenant)
        if own is None:
            return self.default
        return self.default.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def read_rules(path: Path | None, policy: Treatment) -> RuleBook:
    """The rules in the file; `policy` is the default's unless the file says otherwise. Raises BadRedactionRules."""
    if path is None:
        return RuleBook(default=Rules(policy=policy))
    try:
        book = _book(yaml.safe_load(path.read_text("utf-8")) or {}, policy)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadRedactionRules(f"{path} can't be read as YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise BadRedactionRules(f"{path}: {where}: {first['msg']}") from error
    for tenant in (None, *book.tenants):
        rules = book.default if tenant is None else book.of(tenant)
        if unknown := sorted(rules.unknown_kinds()):
            raise BadRedactionRules(f"{path}: no kind {unknown[0]!r}; known are {', '.join(sorted(KINDS))}")
    return book


def _book(found: Any, policy: Treatment) -> RuleBook:
    book = RuleBook.model_validate(found)
    if "policy" in book.default.model_fields_set:
        return book
    return book.model_copy(update={"default": book.default.model_copy(update={"policy": policy})})


def _anchored(regex: str) -> bool:
    """Whether `regex` may look for the ends of a text; true for many that don't."""
    return any(sign in regex for sign in ("^", "$", r"\A", r"\z"))
