"""Which language models there are: provider, names, context window and tokenizer.

Knows names and figures; reads no file and counts no token. A model that is not listed is recognised by its provider's
way of naming, and one that nobody recognises is counted with the widest margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self, TypeAlias

from pydantic import Field, StringConstraints, field_validator, model_validator

from memtypes.llms.allocation import Allocation, allocate
from memtypes.model.memory import Model, Number, Whole

ON_HAND = ("cl100k_base", "o200k_base")
"""The tokenizers that count exactly here. The first stands in where nothing better is known."""

WIDEST_MARGIN = 0.5
"""Of a model of which nothing is known: its tokenizer may make half as many tokens again."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Margin = Annotated[Number, Field(ge=0.0, le=4.0)]
Window = Annotated[Whole, Field(ge=256, le=100_000_000)]


class Endpoint(Model):
    """Where a provider counts tokens. key_env: the environment variable that holds the key, sent in `header`."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    kind: Annotated[str, StringConstraints(pattern="^(anthropic|google)$")]
    key_env: Word | None = None


class ProviderEntry(Model):
    """What holds for a provider's models unless they say otherwise.

    detect: beginnings of its models' names. window: of a model that is not listed. tokenizer, margin: what counts when
    the model's own is not on hand, and the share that is added to stay on the safe side.
    """

    detect: list[Word] = Field(default_factory=list)
    window: Window | None = None
    tokenizer: Word = ON_HAND[0]
    margin: Margin = WIDEST_MARGIN
    count: Endpoint | None = None

    @field_validator("tokenizer")
    @classmethod
    def _counts(cls, tokenizer: str) -> str:
        if tokenizer not in ON_HAND:
            raise ValueError(f"must be a tokenizer that is on hand: {', '.join(ON_HAND)}")
        return tokenizer


class ModelEntry(Model):
    """A model. names: the first is its own, the others are aliases. tokenizer: the provider's stand-in if absent."""

    provider: Word
    names: list[Word] = Field(min_length=1)
    window: Window
    tokenizer: Word | None = None
    margin: Margin | None = None


class RegistryFile(Model):
    """The whole of a registry file."""

    providers: dict[Word, ProviderEntry] = Field(default_factory=dict)
    models: list[ModelEntry] = Field(default_factory=list)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[str] = set()
        for entry in self.models:
            for name in entry.names:
                if name.lower() in seen:
                    raise ValueError(f"two models are named {name!r}; a name may be given once")
                seen.add(name.lower())
        return self


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What a request's model means.

    window: None when it is not known. tokenizer: the one on hand that counts; margin: 0 when it counts exactly, else
    the share that the model's own count may be higher by.
    """

    name: str
    provider: str
    window: int | None
    tokenizer: str
    margin: float

    @property
    def allocation(self) -> Allocation | None:
        """The parts of its window; None when the window is not known."""
        return None if self.window is None else allocate(self.window)


@dataclass(frozen=True, slots=True)
class Registry:
    """The models by lower-case name, and the providers."""

    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    providers: Mapping[str, ProviderEntry] = field(default_factory=dict)

    @classmethod
    def of(cls, *files: RegistryFile) -> Registry:
        """The registry of `files`; a later one's models and providers take the place of an earlier one's."""
        models: dict[str, ModelEntry] = {}
        providers: dict[str, ProviderEntry] = {}
        for file in files:
            models |= {name.lower(): entry for entry in file.models for name in entry.names}
            providers |= file.providers
        return cls(models, providers)

    def find(self, name: str) -> KnownModel:
        """What `name` means; never fails.

        A provider's prefix ("openai/gpt-4o") and what follows a listed name after a sign ("gpt-4o-2024-11-20") do not
        matter; the longest listed name wins.
        """
        bare = name.lower().rsplit("/", 1)[-1]
        entry = self.models.get(name.lower()) or self._listed(bare)
        provider = entry.provider if entry else self.provider_of(name)
        settings = self.providers.get(provider, ProviderEntry())
        if entry is None:
            return KnownModel(name, provider, settings.window, settings.tokenizer, settings.margin)
        if entry.tokenizer in ON_HAND:
            return KnownModel(entry.names[0], provider, entry.window, entry.tokenizer, entry.margin or 0.0)
        margin = settings.margin if entry.margin is None else entry.margin
        return KnownModel(entry.names[0], provider, entry.window, settings.tokenizer, margin)

    def endpoint(self, name: str) -> Endpoint | None:
        """Where the provider of the model `name` counts tokens, if the registry says so."""
        settings = self.providers.get(self.find(name).provider)
        return settings.count if settings else None

    def provider_of(self, name: str) -> str:
        """The provider of a model's name: by its prefix, else by its beginning; "unknown" when none is recognised."""
        first, _, rest = name.lower().partition("/")
        if rest and first in self.providers:
            return first
        bare = name.lower().rsplit("/", 1)[-1]
        beginnings = [
            (len(begin), provider)
            for provider, settings in self.providers.items()
            for begin in settings.detect
            if bare.startswith(begin.lower())
        ]
        return max(beginnings)[1] if beginnings else "unknown"

    def _listed(self, bare: str) -> ModelEntry | None:
        ends = [len(bare), *(place for place, sign in enumerate(bare) if sign in "-:@._")]
        return next((self.models[bare[:end]] for end in sorted(ends, reverse=True) if bare[:end] in self.models), None)


Models: TypeAlias = Callable[[], Registry]
"""Gives the registry as it is now."""
