"""The registry of language models: provider, names, context window and tokenizer.

A model that is not listed is recognised by its provider's naming scheme. An unrecognised one gets the widest safety
margin. An operator's YAML file overrides the default registry and is read again when it changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import Field, StringConstraints, field_validator, model_validator

from memtypes.config import InvalidConfigFile, parse_yaml, read_text
from memtypes.model.memory import Model, Number, Whole

EXACT_TOKENIZERS = ("cl100k_base", "o200k_base")
"""Tokenizers that are available here. The first stands in for unknown ones."""

WIDEST_MARGIN = 0.5
"""Margin of unknown models, whose tokenizers may give half as many tokens again."""

LARGE_WINDOW = 300_000
"""Tokens from which a smaller share of a context window is left to the response."""

_log = logging.getLogger(__name__)

Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Margin = Annotated[Number, Field(ge=0.0, le=4.0)]
Window = Annotated[Whole, Field(ge=256, le=100_000_000)]


class CountEndpoint(Model):
    """A provider's endpoint that counts tokens. key_env: environment variable with the API key."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    kind: Annotated[str, StringConstraints(pattern="^(anthropic|google)$")]
    key_env: Word | None = None


class ProviderEntry(Model):
    """Defaults for the models of a provider.

    detect: prefixes of its models' names. window: context window of models that are not listed. tokenizer: stands
    in for one that is not available. margin: share by which the model's own count may exceed the stand-in's.
    """

    detect: list[Word] = Field(default_factory=list)
    window: Window | None = None
    tokenizer: Word = EXACT_TOKENIZERS[0]
    margin: Margin = WIDEST_MARGIN
    count: CountEndpoint | None = None

    @field_validator("tokenizer")
    @classmethod
    def _is_available(cls, tokenizer: str) -> str:
        if tokenizer not in EXACT_TOKENIZERS:
            raise ValueError(f"must be one of the available tokenizers: {', '.join(EXACT_TOKENIZERS)}")
        return tokenizer


class ModelEntry(Model):
    """A model in a registry file. names: its name, then aliases. tokenizer: None for the provider's stand-in."""

    provider: Word
    names: list[Word] = Field(min_length=1)
    window: Window
    tokenizer: Word | None = None
    margin: Margin | None = None


class RegistryFile(Model):
    """The content of a registry file."""

    providers: dict[Word, ProviderEntry] = Field(default_factory=dict)
    models: list[ModelEntry] = Field(default_factory=list)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[str] = set()
        for entry in self.models:
            for name in entry.names:
                if name.lower() in seen:
                    raise ValueError(f"two models are named {name!r}; names must be unique")
                seen.add(name.lower())
        return self


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What the registry knows about a model named in a request.

    window: None if unknown. tokenizer: the available one that counts. margin: 0 if it counts exactly, else the share
    by which the model's own count may be higher. endpoint: the provider's, which counts tokens.
    """

    name: str
    provider: str
    window: int | None
    tokenizer: str
    margin: float
    endpoint: CountEndpoint | None = None

    @property
    def memory_budget(self) -> int | None:
        """Tokens of the window for recalled memories; None if the window is unknown.

        Below LARGE_WINDOW 60 % of the window are content, of which files take 30 % and history 50 %; from there on
        80 %, 40 % and 40 %. Memories get half of the remaining content: 7,680 tokens of a window of 128,000.
        """
        if self.window is None:
            return None
        content, files_share, history_share = self._content(self.window)
        return (content - content * files_share // 100 - content * history_share // 100) // 2

    @property
    def history_budget(self) -> int | None:
        """Tokens of the window for a conversation's history, see `memory_budget`; None if the window is unknown."""
        if self.window is None:
            return None
        content, _, history_share = self._content(self.window)
        return content * history_share // 100

    @staticmethod
    def _content(window: int) -> tuple[int, int, int]:
        """Tokens of the content of a window, and the percentages of it for files and history."""
        content_share, files_share, history_share = (60, 30, 50) if window < LARGE_WINDOW else (80, 40, 40)
        return window * content_share // 100, files_share, history_share


@dataclass(frozen=True, slots=True)
class Registry:
    """Models by lower-case name, and providers."""

    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    providers: Mapping[str, ProviderEntry] = field(default_factory=dict)

    @classmethod
    def of(cls, *files: RegistryFile) -> Registry:
        """Registry of all `files`; models and providers of later files replace those of earlier ones."""
        models: dict[str, ModelEntry] = {}
        providers: dict[str, ProviderEntry] = {}
        for file in files:
            models |= {name.lower(): entry for entry in file.models for name in entry.names}
            providers |= file.providers
        return cls(models, providers)

    def find(self, name: str) -> KnownModel:
        """Return the model for `name`, listed or not.

        A provider prefix ("openai/gpt-4o") and suffixes of a listed name ("gpt-4o-2024-11-20") are ignored; the longest
        listed name wins.
        """
        bare = name.lower().rsplit("/", 1)[-1]
        entry = self.models.get(name.lower()) or self._listed(bare)
        provider = entry.provider if entry else self._provider_of(name)
        defaults = self.providers.get(provider, ProviderEntry())
        if entry is None:
            return KnownModel(name, provider, defaults.window, defaults.tokenizer, defaults.margin, defaults.count)
        tokenizer, margin = defaults.tokenizer, defaults.margin
        if entry.tokenizer in EXACT_TOKENIZERS:
            tokenizer, margin = entry.tokenizer, 0.0
        margin = margin if entry.margin is None else entry.margin
        return KnownModel(entry.names[0], provider, entry.window, tokenizer, margin, defaults.count)

    def _provider_of(self, name: str) -> str:
        """Return the provider of a model name by its prefix or its first letters, or "unknown"."""
        first, _, rest = name.lower().partition("/")
        if rest and first in self.providers:
            return first
        bare = name.lower().rsplit("/", 1)[-1]
        matches = [
            (len(prefix), provider)
            for provider, entry in self.providers.items()
            for prefix in entry.detect
            if bare.startswith(prefix.lower())
        ]
        return max(matches)[1] if matches else "unknown"

    def _listed(self, bare: str) -> ModelEntry | None:
        """The model with the longest listed name that `bare` equals or continues after a separator; None without."""
        ends = [len(bare), *(index for index, sign in enumerate(bare) if sign in "-:@._")]
        return next((self.models[bare[:end]] for end in sorted(ends, reverse=True) if bare[:end] in self.models), None)


Models: TypeAlias = Callable[[], Registry]
"""Returns the current registry."""


def parse_registry(text: str, file: str) -> RegistryFile:
    """Parse a registry file; `file` names it in errors. Raises InvalidConfigFile."""
    return parse_yaml(text, RegistryFile, f"models file {file}")


class RegistrySource:
    """Returns the default registry, overridden by a file that may change while the service runs."""

    def __init__(self, path: Path | None = None) -> None:
        """path: of the overriding file. Raises InvalidConfigFile if it is invalid; later such changes are logged."""
        self._default = default_file()
        self._path = path
        self._version = self._file_version()
        self._registry = self._read()

    def __call__(self) -> Registry:
        """Return the registry with the file as it is now; the last valid one while it is missing or invalid."""
        version = self._file_version()
        if version != self._version:
            self._version = version
            try:
                self._registry = self._read()
            except InvalidConfigFile as error:
                _log.error("%s; the previous models stay in use", error)
            else:
                _log.info("models file %s: reloaded", self._path)
        return self._registry

    def _file_version(self) -> tuple[int, int, int] | None:
        """Modification time, size and inode of the overriding file; None if there is none."""
        if self._path is None:
            return None
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> Registry:
        if self._path is None:
            return Registry.of(self._default)
        return Registry.of(self._default, parse_registry(read_text(self._path, "models file"), str(self._path)))


def default_file() -> RegistryFile:
    """Return the package's default registry file, parsed."""
    text = resources.files(__package__).joinpath("default.yaml").read_text(encoding="utf-8")
    return parse_registry(text, "default.yaml")
