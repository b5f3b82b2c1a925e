"""The registry of language models, which has the provider, names, context window and tokenizer of
each.

An entry describes one model, or a family of models whose names match a pattern. A name that no
entry matches is assigned to a provider by its beginning, such as "gpt-"; a name without a version,
such as "gemini-pro", stands for the newest model of that family. The token counts of an unknown
model get the widest safety margin. An operator's YAML file overrides members of the default
registry and is read again when it changes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias, TypeVar

import re2
from cachetools import LRUCache
from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from memtypes.config import InvalidConfigFile, parse_yaml, re2_pattern, read_text
from memtypes.model.errors import NotFound
from memtypes.model.memory import Number, StrictModel, Whole
from memtypes.model.scope import Name

EXACT_TOKENIZERS = ("cl100k_base", "o200k_base")
"""The tokenizers that the service has. The first counts stored content, and is the default for
other models.
"""

WIDEST_MARGIN = 0.5
"""Margin for unknown models: a model's own tokenizer may count up to 1.5 times as many tokens as
ours.
"""

LARGE_WINDOW = 300_000
"""From this many tokens on, a context window leaves a smaller share to the response (see
`KnownModel.allocation`).
"""

_Entry = TypeVar("_Entry", bound=StrictModel)

_CACHED_NAMES = 1_000  # number of model names whose registry entry is cached

_log = logging.getLogger(__name__)


Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Margin = Annotated[Number, Field(ge=0.0, le=4.0)]
Window = Annotated[Whole, Field(ge=256, le=100_000_000)]

MAX_BUDGET = 1_000_000
Tokens: TypeAlias = Annotated[Whole, Field(ge=0, le=MAX_BUDGET)]
"""A token budget for a context that a caller asks for."""


class CountKind(StrEnum):
    """API of an endpoint that counts tokens. openai: OpenAI's API, or the tokenizer route of a
    server such as vLLM.
    """

    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    COHERE = "cohere"
    OPENAI = "openai"


class CountEndpoint(StrictModel):
    """An endpoint that counts tokens. url: may contain `{model}`. key_env: variable with the API
    key, if any.
    """

    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    kind: CountKind
    key_env: Word | None = None


class ProviderEntry(StrictModel):
    """Defaults for the models of a provider. detect: beginnings of its models' names, such as
    "gpt-".

    window: context window, in tokens, of models that no entry lists. tokenizer: the tokenizer for
    models whose own is not available. margin: by what share a model's own token count may exceed
    the count of that tokenizer. count: the provider's endpoint for counting tokens; None to request
    no counts from the provider.
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
            raise ValueError(
                f"must be one of the available tokenizers: {', '.join(EXACT_TOKENIZERS)}"
            )
        return tokenizer


class ModelEntry(StrictModel):
    """An entry of a registry file: one model, or a family of models.

    names: the model's name, then its aliases. pattern: an RE2 pattern that matches the beginning of
    the family's names, in lower case and without the provider's prefix. window: maximum tokens of
    input and output together. max_input, max_output: maximum tokens of input and of output; None if
    only the window limits them. categories: what the model is good for, in any words; "fast",
    "long" and "code" are those of the default registry. tokenizer, margin: None for the defaults
    of the model's `ProviderEntry`. source: where the figures come from, and their date. An entry
    for a name that the default registry lists keeps the members that it does not give; any other
    must have provider and window.
    """

    provider: Word | None = None
    names: list[Word] = Field(min_length=1)
    pattern: (
        Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(re2_pattern)]
        | None
    ) = None
    window: Window | None = None
    max_input: Window | None = None
    max_output: Window | None = None
    categories: list[Name] = Field(default_factory=list)
    tokenizer: Word | None = None
    margin: Margin | None = None
    source: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None


class TaskEntry(StrictModel):
    """What a task, such as code review, needs of a language model.

    needs: categories that a model for this task must all have. window: least context window.
    prefer: names of models, the best first; of those that meet the needs, they come before others.
    """

    needs: list[Name] = Field(default_factory=list)
    window: Window | None = None
    prefer: list[Word] = Field(default_factory=list)


class RegistryFile(StrictModel):
    """Contents of a registry file. sources: texts by a short name, which the `source` of a
    `ModelEntry` may be. tasks: by name; a category of models is a task, too.
    """

    sources: dict[Word, str] = Field(default_factory=dict)
    providers: dict[Word, ProviderEntry] = Field(default_factory=dict)
    tasks: dict[Name, TaskEntry] = Field(default_factory=dict)
    models: list[ModelEntry] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names: set[str] = set()
        for entry in self.models:
            for name in entry.names:
                if name.lower() in names:
                    raise ValueError(f"two models are named {name!r}; names must be unique")
                names.add(name.lower())
        return self


class Allocation(StrictModel):
    """Tokens of a model's context window for each part of a call, such as history; their sum is at
    most the window.
    """

    system: int = 0
    history: int = 0
    files: int = 0
    memory: int = 0
    response: int = 0


@dataclass(frozen=True, slots=True)
class KnownModel:
    """Properties of a language model, from the registry.

    window: context window in tokens; None if unknown. tokenizer: name of the tokenizer that counts
    tokens for the model: its own, or the provider's default if that is not available. margin: 0 if
    these counts are exact, else the share by which the model's own count may be higher. endpoint:
    the provider's endpoint that counts tokens; None if there is none. For the other fields, see
    `ModelEntry`.
    """

    name: str
    provider: str
    window: int | None
    tokenizer: str
    margin: float
    endpoint: CountEndpoint | None = None
    max_input: int | None = None
    max_output: int | None = None
    categories: tuple[str, ...] = ()
    source: str | None = None

    @property
    def allocation(self) -> Allocation | None:
        """How many tokens of the context window each part of a model call gets; None if the window
        is unknown.

        Input gets 60 % of a window below LARGE_WINDOW, 80 % of a larger one, but at most max_input.
        The response gets the rest, but at most max_output. Of the input, files get 30 % and history
        50 % (in a larger window, 40 % each). The system prompt and memories share the remainder
        equally: 7,680 tokens each with a window of 128,000.
        """
        if self.window is None:
            return None
        content_share, files_share, history_share = (
            (60, 30, 50) if self.window < LARGE_WINDOW else (80, 40, 40)
        )
        content = min(self.window * content_share // 100, self.max_input or self.window)
        files = content * files_share // 100
        history = content * history_share // 100
        memory = (content - files - history) // 2
        response = min(self.window - content, self.max_output or self.window)
        system = content - files - history - memory
        return Allocation(
            system=system, history=history, files=files, memory=memory, response=response
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """Finds language models by name and by task. models: the entries of all registry files, those
    of the operator's file first.
    """

    models: tuple[ModelEntry, ...] = ()
    providers: Mapping[str, ProviderEntry] = field(default_factory=dict)
    tasks: Mapping[str, TaskEntry] = field(default_factory=dict)
    _patterns: tuple[tuple[Any, ModelEntry], ...] = ()
    _entries: LRUCache[str, tuple[str, ModelEntry] | None] = field(
        default_factory=lambda: LRUCache(_CACHED_NAMES)
    )

    @classmethod
    def from_files(cls, *files: RegistryFile) -> Registry:
        """Merge registry files. Models, providers and tasks of a later file override the members
        that they give of those with the same names.
        """
        models: list[ModelEntry] = []
        providers: dict[str, ProviderEntry] = {}
        tasks: dict[str, TaskEntry] = {}
        for file in files:
            models = _merged(models, file)
            for name, provider in file.providers.items():
                providers[name] = _overridden(providers.get(name), provider)
            for name, task in file.tasks.items():
                tasks[name] = _overridden(tasks.get(name), task)
        patterns = tuple((_compiled(entry), entry) for entry in models)
        return cls(tuple(models), providers, tasks, patterns)

    def find(self, name: str) -> KnownModel:
        """Return the properties of the model `name`; for a name that no entry matches, its
        provider's defaults.

        A provider prefix ("openai/gpt-4o") and a suffix after a listed name ("gpt-4o-2024-11-20")
        are ignored. If several names or patterns match, the longest match wins. If these are
        equally long, the operator's entry wins. A name without a version ("gemini-pro") stands for
        the newest listed model of that family.
        """
        lower = name.lower()
        if name not in self._entries:
            self._entries[name] = self._listed(lower) or self._newest_of_family(lower)
        match = self._entries[name]
        if match is not None:
            return self.known(*match)
        provider = self._provider_of(lower)
        defaults = self.providers.get(provider, ProviderEntry())
        return KnownModel(
            name, provider, defaults.window, defaults.tokenizer, defaults.margin, defaults.count
        )

    def for_task(self, task: str) -> list[KnownModel]:
        """The listed models that can do `task`, the best first; empty if there is none.

        These are the models that name the task as one of their categories, and those that meet
        what its entry needs. The entry's preferred models come first, in its order, then those
        that name the task, then the others; within each group the registry's order holds. Raises
        NotFound for a task that is neither listed nor a category of any model.
        """
        entry = self.tasks.get(task)
        listed = self.listed()
        naming = [model for model in listed if task in model.categories]
        if entry is None:
            if not naming:
                categories = {name for model in listed for name in model.categories}
                known = ", ".join(sorted(self.tasks.keys() | categories))
                raise NotFound(f"the registry has no task or category {task!r}; it has: {known}")
            return naming
        able = [
            model
            for model in listed
            if set(entry.needs) <= set(model.categories)
            and (model.window or 0) >= (entry.window or 0)
        ]
        preferred = [self.find(name).name for name in entry.prefer]
        fit = {model.name: model for model in (*naming, *able)}
        first = [fit.pop(name) for name in preferred if name in fit]
        return [*first, *fit.values()]

    def known(self, name: str, entry: ModelEntry) -> KnownModel:
        """The properties of the listed model `name`: those of its `entry`, else its provider's
        defaults.
        """
        provider = entry.provider or "unknown"
        defaults = self.providers.get(provider, ProviderEntry())
        tokenizer = defaults.tokenizer
        margin = defaults.margin
        if entry.tokenizer in EXACT_TOKENIZERS:
            tokenizer = entry.tokenizer
            margin = 0.0
        return KnownModel(
            name=name,
            provider=provider,
            window=entry.window,
            tokenizer=tokenizer,
            margin=margin if entry.margin is None else entry.margin,
            endpoint=defaults.count,
            max_input=entry.max_input,
            max_output=entry.max_output,
            categories=tuple(entry.categories),
            source=entry.source,
        )

    def listed(self, category: str | None = None) -> list[KnownModel]:
        """The listed models of `category`, or of all categories if it is None; those of the
        operator's file first.
        """
        entries = (
            entry for entry in self.models if category is None or category in entry.categories
        )
        return [self.known(name, entry) for entry in entries for name in entry.names]

    def _listed(self, name: str) -> tuple[str, ModelEntry] | None:
        """The listed name and the entry of the model `name`; None if no entry matches. Slow, so
        `find` caches it.

        The entry with the longest match wins. The listed name is the one that matched, or the
        entry's first name if its pattern matched. Entries whose names have no slash are compared
        with the part of `name` after its last slash.
        """
        bare = name.rsplit("/", 1)[-1]
        matches = [
            (match.end(1) - match.start(1), match.group(1), entry)
            for pattern, entry in self._patterns
            if (match := pattern.search(name if "/" in "".join(entry.names) else bare)) is not None
        ]
        if not matches:
            return None
        _, text, entry = max(matches, key=lambda match: match[0])
        names = (listed for listed in entry.names if _letters(listed) == _letters(text))
        return next(names, entry.names[0]), entry

    def _provider_of(self, name: str) -> str:
        """The provider of a model name in lower case, by its prefix or its beginning; "unknown" if
        they do not tell.
        """
        prefix, _, suffix = name.partition("/")
        if suffix and prefix in self.providers:
            return prefix
        bare = name.rsplit("/", 1)[-1]
        detected = [
            (len(beginning), provider)
            for provider, entry in self.providers.items()
            for beginning in map(str.lower, entry.detect)
            if bare.startswith(beginning) or bare == beginning.rstrip("-")
        ]
        return max(detected, default=(0, "unknown"))[1]

    def _newest_of_family(self, name: str) -> tuple[str, ModelEntry] | None:
        """The listed model with the highest version of the family `name`, such as "gemini-pro" or
        "claude"; None if `name` has a version or its provider lists no such family.

        A family whose words are just those of `name` is preferred to one that has more words.
        """
        bare = name.rsplit("/", 1)[-1].removesuffix("-latest")
        words = _family(bare)
        if not words or any(letter.isdigit() for letter in bare):
            return None
        provider = self._provider_of(name)
        candidates = [
            (listed, entry)
            for entry in self.models
            if entry.provider == provider
            for listed in entry.names
            if words <= _family(listed)
        ]
        return max(
            candidates,
            key=lambda candidate: (_family(candidate[0]) == words, _version(candidate[0])),
            default=None,
        )


def _merged(models: Sequence[ModelEntry], file: RegistryFile) -> list[ModelEntry]:
    """`models` after the entries of `file`, which come first and take the names that they list.

    An entry keeps, for each of its names, the members of the entry that listed the name before. A
    new name that stands beside such names is an alias of the first of them. The pattern of a family
    stays with the names of the family that are left; if none are, the entry gets it.
    """
    places = {name.lower(): place for place, entry in enumerate(models) for name in entry.names}
    taken = {name.lower() for entry in file.models for name in entry.names}
    left = [[name for name in entry.names if name.lower() not in taken] for entry in models]
    added: list[ModelEntry] = []
    for entry in file.models:
        source = file.sources.get(entry.source or "", entry.source)
        if source is not None:
            entry = entry.model_copy(update={"source": source})  # noqa: PLW2901 - the same entry
        found = [places.get(name.lower()) for name in entry.names]
        bases = list(dict.fromkeys(place for place in found if place is not None))
        if not bases:
            added.append(entry)
        for base in bases:
            earlier = models[base]
            if left[base]:
                earlier = earlier.model_copy(update={"pattern": None})
            owned = (base, None) if base == bases[0] else (base,)
            names = [name for name, place in zip(entry.names, found, strict=True) if place in owned]
            change = _overridden(earlier, entry).model_copy(update={"names": names})
            added.append(change)
    return [
        *added,
        *(
            entry.model_copy(update={"names": names})
            for entry, names in zip(models, left, strict=True)
            if names
        ),
    ]


def _overridden(earlier: _Entry | None, entry: _Entry) -> _Entry:
    """`entry`, with the members of `earlier` that it does not give."""
    if earlier is None:
        return entry
    given = {name: getattr(entry, name) for name in entry.model_fields_set}
    return earlier.model_copy(update=given)


def _family(name: str) -> frozenset[str]:
    """The words of a model's name without its version: gemini and pro of "gemini-3.1-pro"."""
    parts = re.split(r"[^a-z0-9]+", name.lower())
    words = (re.match(r"[a-z]+$|[a-z]{2,}", part) for part in parts)
    return frozenset(word[0] for word in words if word)


def _version(name: str) -> tuple[int, ...]:
    """The version in a model's name: (3, 1) of "gemini-3.1-pro", without dates and numbers of
    parameters such as 70b.
    """
    numbers = re.findall(r"\d+", re.sub(r"\d+(x\d+)?b\b", "", name.lower()))
    return tuple(int(number) for number in numbers if len(number) <= 2)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _compiled(entry: ModelEntry) -> Any:
    """A compiled RE2 pattern whose group 1 matches a name or the `pattern` of an entry, between
    separators.
    """
    names = [re.escape(name.lower()) for name in sorted(entry.names, key=len, reverse=True)]
    alternatives = "|".join([*([f"(?:{entry.pattern})"] if entry.pattern else []), *names])
    options = re2.Options()
    options.longest_match = True
    return re2.compile(f"(?:^|[.:_-])({alternatives})(?:$|[^a-z0-9])", options)


Models: TypeAlias = Callable[[], Registry]
"""A function that returns the current registry of models."""


def parse_registry(text: str, file: str, earlier: RegistryFile | None = None) -> RegistryFile:
    """Parse the text of a registry file. file: its name for error messages. earlier: the file whose
    entries it overrides. Raises InvalidConfigFile.
    """
    name = f"models file {file}"
    parsed = parse_yaml(text, RegistryFile, name)
    known = (
        {listed.lower() for entry in earlier.models for listed in entry.names} if earlier else ()
    )
    for place, model in enumerate(parsed.models):
        if any(listed.lower() in known for listed in model.names):
            continue
        for member in ("provider", "window"):
            if getattr(model, member) is None:
                raise InvalidConfigFile(
                    f"{name}: models.{place}.{member}: is required, as {model.names[0]!r} is not "
                    "in the default registry"
                )
    registry = Registry.from_files(*filter(None, (earlier, parsed)))
    names = {model.name for model in registry.listed()}
    for task, entry in parsed.tasks.items():
        for preferred in entry.prefer:
            if registry.find(preferred).name not in names:
                raise InvalidConfigFile(
                    f"{name}: tasks.{task}.prefer: there is no model {preferred!r}; list it in "
                    "`models`"
                )
    return parsed


class RegistrySource:
    """Callable that returns the `Registry`: default entries, and an operator's file, which is read
    when it changes.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read the operator's file. Raises InvalidConfigFile if it is invalid; a later mistake is
        only logged.
        """
        self._path = path
        self._version = self._file_version()
        self._registry = self._read()
        self._problem: str | None = None

    def __call__(self) -> Registry:
        """Return the registry of the current file. If it is missing or invalid, return the last
        valid registry.
        """
        version = self._file_version()
        if version != self._version:
            self._version = version
            try:
                self._registry = self._read()
            except InvalidConfigFile as error:
                self._problem = f"the previous models stay in use: {error}"
                _log.error("%s", self._problem)
            else:
                self._problem = None
                _log.info("models file %s: reloaded", self._path)
        return self._registry

    def problem(self) -> str | None:
        """What is wrong with the operator's file since it was changed; None if it is in use."""
        self()
        return self._problem

    def _file_version(self) -> tuple[int, int, int] | None:
        """Modification time, size and inode of the operator's file, which change if it does; None
        without a file.
        """
        if self._path is None:
            return None
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> Registry:
        if self._path is None:
            return Registry.from_files(default_file())
        text = read_text(self._path, "models file")
        own = parse_registry(text, str(self._path), default_file())
        return Registry.from_files(default_file(), own)


@cache
def default_file() -> RegistryFile:
    """The package's default registry file, parsed once in a process."""
    text = resources.files(__package__).joinpath("default.yaml").read_text(encoding="utf-8")
    return parse_registry(text, "default.yaml")
