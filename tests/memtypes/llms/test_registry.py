"""The registry of models: lookup by name, windows, budgets and registry files."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.config import InvalidConfigFile
from memtypes.llms.registry import (
    EXACT_TOKENIZERS,
    LARGE_WINDOW,
    WIDEST_MARGIN,
    Allocation,
    KnownModel,
    Registry,
    RegistrySource,
    default_file,
    parse_registry,
)
from memtypes.model.errors import NotFound

DEFAULT = Registry.from_files(default_file())

OVERRIDES = """
providers:
  house: {detect: [house-], window: 4000, tokenizer: cl100k_base, margin: 0.2}
models:
  - {provider: house, names: [house-one, h1], window: 10000, tokenizer: o200k_base}
  - {provider: house, names: [house-two], window: 20000, tokenizer: sentencepiece}
"""


@pytest.mark.parametrize(
    ("name", "listed", "provider", "window", "tokenizer"),
    [
        ("gpt-4o", "gpt-4o", "openai", 128_000, "o200k_base"),
        ("GPT-4o-2024-11-20", "gpt-4o", "openai", 128_000, "o200k_base"),
        ("gpt-4", "gpt-4", "openai", 8_192, "cl100k_base"),
        ("gpt-4-0613", "gpt-4", "openai", 8_192, "cl100k_base"),
        ("openai/gpt-4.1-mini", "gpt-4.1-mini", "openai", 1_047_576, "o200k_base"),
        ("openrouter/openai/gpt-4o:free", "gpt-4o", "openai", 128_000, "o200k_base"),
    ],
)
def test_a_listed_model_is_counted_exactly(
    name: str, listed: str, provider: str, window: int, tokenizer: str
) -> None:
    """A listed model is found whatever the case, prefix or suffix of its name. Its tokens are
    counted exactly.
    """
    model = DEFAULT.find(name)
    assert (model.name, model.provider, model.window, model.tokenizer) == (
        listed,
        provider,
        window,
        tokenizer,
    )
    assert model.margin == 0


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("claude-sonnet-4-5-20250929", "anthropic"),
        ("anthropic/claude-next", "anthropic"),
        ("gemini-9-ultra", "google"),
        ("llama3.1:8b", "meta"),
        ("mistral/anything-at-all", "mistral"),
    ],
)
def test_an_unlisted_model_of_a_known_provider_has_a_margin(name: str, provider: str) -> None:
    """The provider is recognised by the model's name.

    Its tokenizer for unlisted models is inexact, so a margin is added.
    """
    model = DEFAULT.find(name)
    assert model.provider == provider
    assert model.tokenizer in EXACT_TOKENIZERS
    assert 0 < model.margin < WIDEST_MARGIN
    assert model.allocation is not None


def test_an_unknown_model_has_the_widest_margin_and_no_window() -> None:
    """The widest margin is added to token counts for an unknown model.

    Its context window is unknown, so it has no budget for memories.
    """
    model = DEFAULT.find("some-model-nobody-lists")
    assert (model.name, model.provider, model.window) == (
        "some-model-nobody-lists",
        "unknown",
        None,
    )
    assert (model.margin, model.allocation) == (WIDEST_MARGIN, None)


def test_a_listed_name_must_end_at_a_separator() -> None:
    """The listed name "gpt-4" does not match the model "gpt-45", because no separator follows the
    4.
    """
    assert DEFAULT.find("gpt-45").name == "gpt-45"


def test_every_provider_of_a_default_model_has_an_entry() -> None:
    assert {entry.provider for entry in DEFAULT.models} <= DEFAULT.providers.keys()


def test_a_file_overrides_the_default_registry(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        OVERRIDES
        + "  - {provider: openai, names: [gpt-4o], window: 1000, tokenizer: cl100k_base}\n"
    )
    registry = RegistrySource(path)()
    assert registry.find("h1").window == 10_000
    assert (registry.find("house-two").tokenizer, registry.find("house-two").margin) == (
        "cl100k_base",
        0.2,
    )
    assert registry.find("house-new").window == 4_000
    assert (registry.find("gpt-4o").window, registry.find("gpt-4o-mini").window) == (1_000, 128_000)


def test_a_changed_registry_file_is_reloaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed registry file is read at the next call.

    An invalid one is logged once, and the last valid one is used.
    """
    path = tmp_path / "models.yaml"
    source = _written(path, OVERRIDES, 1)
    assert source().find("house-one").window == 10_000
    _write(path, OVERRIDES.replace("10000", "11000"), 2)
    assert source().find("house-one").window == 11_000
    with caplog.at_level(logging.ERROR):
        _write(path, "models: {", 3)
        assert source().find("house-one").window == 11_000
        assert source().find("house-one").window == 11_000
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    path.unlink()
    assert source().find("house-one").window == 11_000
    _write(path, OVERRIDES, 4)
    assert source().find("house-one").window == 10_000


def test_a_source_tells_what_is_wrong_with_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    source = _written(path, OVERRIDES, 1)
    assert source.problem() is None
    _write(path, OVERRIDES.replace("10000", "10"), 2)
    told = "stay in use: .*models\\.yaml: models\\.0\\.window: .*256"
    assert re.search(told, source.problem() or "")
    path.unlink()
    assert "can't be read" in (source.problem() or "")
    _write(path, OVERRIDES, 3)
    assert source.problem() is None


def of_file(text: str) -> Registry:
    """The registry of an operator's file with this text, over the default one."""
    return Registry.from_files(default_file(), parse_registry(text, "own.yaml", default_file()))


def test_an_override_of_a_model_keeps_what_it_does_not_give() -> None:
    before = DEFAULT.find("codellama")
    after = of_file("models: [{names: [codellama], window: 9000}]").find("codellama-13b")
    assert (after.window, after.margin, after.categories) == (9_000, 0.5, before.categories)
    assert (after.provider, after.tokenizer, after.source) == (
        before.provider,
        before.tokenizer,
        before.source,
    )


def test_an_override_of_a_provider_keeps_what_it_does_not_give() -> None:
    text = "providers: {anthropic: {count: {url: 'http://x/', kind: anthropic}}}"
    model = of_file(text).find("claude-next")
    before = DEFAULT.find("claude-next")
    assert (model.margin, model.window, model.provider) == (
        before.margin,
        before.window,
        "anthropic",
    )
    assert model.endpoint is not None


def test_each_name_of_an_override_keeps_its_own_members_and_a_new_name_is_an_alias() -> None:
    registry = of_file("models: [{names: [our-large, gpt-4.1, gpt-4o], margin: 0.2}]")
    models = [registry.find(name) for name in ("gpt-4.1", "our-large", "gpt-4o")]
    assert [model.window for model in models] == [1_047_576, 1_047_576, 128_000]
    assert {model.margin for model in models} == {0.2}


def test_the_pattern_of_a_family_stays_with_the_names_that_are_not_overridden() -> None:
    registry = of_file("models: [{names: [gpt-5.5], window: 9000}]")
    assert registry.find("gpt-5.5-2026-01-01").window == 9_000
    assert registry.find("gpt-5.6-terra").window == 1_050_000
    family = of_file("models: [{names: [devstral], window: 9000}]")
    assert family.find("devstral-medium-latest").window == 9_000


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gemini-pro", "gemini-3.1-pro"),
        ("google/gemini-pro", "gemini-3.1-pro"),
        ("gemini-pro-latest", "gemini-3.1-pro"),
        ("Gemini-Flash", "gemini-3.6-flash"),
        ("claude-haiku", "claude-haiku-5-5"),
        ("sonnet", "claude-sonnet-5-5"),
        ("gpt-mini", "gpt-5.4-mini"),
        ("llama", "llama-3.3"),
        ("deepseek", "deepseek-v4"),
        ("grok", "grok-4.5"),
        ("qwen-coder", "qwen3-coder"),
        ("kimi", "kimi-k2"),
    ],
)
def test_a_name_without_a_version_stands_for_the_newest_of_its_family(
    name: str, family: str
) -> None:
    assert DEFAULT.find(name) == DEFAULT.find(family)


def test_an_override_of_an_older_model_does_not_change_what_a_family_stands_for() -> None:
    registry = of_file("models: [{names: [gemini-2.5-pro], window: 9000}]")
    assert registry.find("gemini-pro") == DEFAULT.find("gemini-3.1-pro")


@pytest.mark.parametrize(
    "name", ["gemini-9-pro", "claude-x", "claude-instant", "gemini-ultra", "mini", "pro"]
)
def test_a_name_of_no_listed_family_is_not_guessed(name: str) -> None:
    assert DEFAULT.find(name).name == name


TASKS = """
tasks:
  code_review: {needs: [code, careful], prefer: [claude-opus, house-b]}
  supervisor: {window: 500000}
models:
  - {provider: house, names: [house-a], window: 10000, categories: [code, careful]}
  - {provider: house, names: [house-b], window: 20000, categories: [code, careful]}
  - {provider: house, names: [house-c], window: 20000, categories: [フロントエンド, feature_dev]}
"""


def names_for(registry: Registry, task: str) -> list[str]:
    """Names of the models that can do `task`, the best first."""
    return [model.name for model in registry.for_task(task)]


def test_a_task_gets_the_models_that_can_do_it_with_the_preferred_ones_first() -> None:
    """Preferred models that lack what the task needs are left out."""
    assert names_for(of_file(TASKS), "code_review") == ["house-b", "house-a"]


def test_a_model_that_names_a_task_comes_before_those_that_only_meet_its_needs() -> None:
    names = names_for(of_file(TASKS), "feature_dev")
    assert names[0] == "house-c"
    assert "gpt-5.6" in names
    assert names_for(of_file(TASKS), "フロントエンド") == ["house-c"]


def test_a_task_may_need_a_window() -> None:
    models = of_file(TASKS).for_task("supervisor")
    assert models
    assert all((model.window or 0) >= 500_000 for model in models)
    assert {"long"} <= set(models[0].categories), "the need of the default registry stays"


def test_an_unknown_task_is_refused_with_those_that_exist() -> None:
    with pytest.raises(NotFound, match=r"'poetry'; it has: .*code_review.*supervisor"):
        DEFAULT.for_task("poetry")


def test_the_example_of_the_documentation_is_valid(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "models.md"
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "models.yaml"
    path.write_text(example)
    registry = RegistrySource(path)()
    assert names_for(registry, "code_review")[0] == "claude-opus-5-5"
    gpt = registry.find("gpt-4o")
    assert (gpt.window, gpt.tokenizer) == (64_000, "o200k_base")
    assert registry.find("claude-haiku").endpoint is not None


def _written(path: Path, text: str, second: int) -> RegistrySource:
    _write(path, text, second)
    return RegistrySource(path)


def _write(path: Path, text: str, second: int) -> None:
    path.write_text(text)
    os.utime(path, (second, second))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [", "not YAML"),
        ("models: 3", r"models: .*list.*got 3"),
        ("- a", "the file: "),
        ("modles: []", "modles: unknown field"),
        ("models: [{provider: p, names: [a]}]", r"models\.0\.window: is required, as 'a' is not"),
        ("models: [{names: [a], window: 9000}]", r"models\.0\.provider: is required"),
        ("tasks: {t: {prefer: [nobody]}}", r"tasks\.t\.prefer: there is no model 'nobody'"),
        ("models: [{provider: p, names: [a], window: 12}]", r"models\.0\.window: .*256.*got 12"),
        ("models: [{provider: p, names: [a], window: '9000'}]", r"window: .*integer.*got '9000'"),
        ("models: [{provider: p, names: [], window: 9000}]", r"models\.0\.names: "),
        ("models: [{provider: p, names: [a, A], window: 9000}]", "two models are named 'A'"),
        (
            "providers: {p: {tokenizer: gpt2}}",
            r"providers\.p\.tokenizer: .*cl100k_base, o200k_base.*got 'gpt2'",
        ),
        ("providers: {p: {margin: -1}}", r"providers\.p\.margin: .*0"),
        ("providers: {p: {count: {url: ftp://x, kind: google}}}", r"providers\.p\.count\.url: "),
    ],
)
def test_errors_name_file_key_value_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(InvalidConfigFile, match=message) as raised:
        parse_registry(text, "own.yaml")
    assert "own.yaml" in str(raised.value)


def test_a_missing_registry_file_is_an_error(tmp_path: Path) -> None:
    """Opening a registry whose file is missing raises an error at once, not at the first lookup."""
    with pytest.raises(InvalidConfigFile, match=r"none\.yaml: can't be read"):
        RegistrySource(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("name", "family", "window", "max_output"),
    [
        ("codellama-13b", "codellama", 16_384, None),
        ("TheBloke/CodeLlama-13B-Instruct-GGUF", "codellama", 16_384, None),
        ("Meta-Llama-3.1-8B", "llama-3.1", 131_072, None),
        ("hf.co/bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M", "llama-3.1", 131_072, None),
        ("accounts/fireworks/models/llama-v3p1-8b-instruct", "llama-3.3", 131_072, None),
        ("llama3:8b", "llama-3", 8_192, None),
        ("us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6", 1_000_000, 128_000),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5", 200_000, 64_000),
        ("gpt-5.1-codex-max", "gpt-5.1-codex", 400_000, 128_000),
        ("gemini-3-pro-preview", "gemini-3-pro", 1_048_576, 65_535),
        ("gpt-4.5-preview", "gpt-4.5", 128_000, 16_384),
        ("gemma4:e4b", "gemma-4", 128_000, None),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b", 32_768, None),
        ("deepseek-r1:14b", "deepseek-r1", 131_072, 65_536),
        ("Qwen/Qwen3-8B", "qwen3", 40_960, None),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", "qwen3-2507", 262_144, None),
        ("qwen2.5-coder:7b", "qwen2.5-coder", 32_768, None),
        ("gpt-oss:20b", "gpt-oss", 131_072, None),
    ],
)
def test_model_names_of_local_servers_and_hosts_are_recognised(
    name: str, family: str, window: int, max_output: int | None
) -> None:
    model = DEFAULT.find(name)
    assert (model.name, model.window, model.max_output) == (family, window, max_output)


def test_every_default_model_names_its_source_and_date() -> None:
    for entry in DEFAULT.models:
        assert re.search(r"20\d\d-\d\d-\d\d$", entry.source or ""), entry.names
        assert [DEFAULT.find(name).name for name in entry.names] == entry.names


def test_a_pattern_of_the_operator_wins_over_the_default() -> None:
    """If a pattern of the operator and a default pattern match equally long parts of a name, the
    operator's wins.

    The source of the operator's model may be any text.
    """
    text = (
        "models: [{provider: meta, names: [ours], pattern: 'llama-?3[.]1', window: 9000, "
        "source: our wiki}]"
    )
    model = Registry.from_files(default_file(), parse_registry(text, "own.yaml")).find(
        "llama3.1:8b"
    )
    assert (model.name, model.window, model.source) == ("ours", 9_000, "our wiki")


def allocation_of(window: int, **limits: int) -> Allocation:
    """How a model divides a context window of `window` tokens. limits: the model's `max_input` and
    `max_output`.
    """
    allocation = KnownModel("m", "p", window, "cl100k_base", 0.0, **limits).allocation  # type: ignore[arg-type]
    assert allocation is not None
    return allocation


@pytest.mark.parametrize(
    ("window", "memory"),
    [(128_000, 7_680), (200_000, 12_000), (LARGE_WINDOW - 1, 18_000), (LARGE_WINDOW, 24_000)],
)
def test_memories_get_a_tenth_of_the_content(window: int, memory: int) -> None:
    assert allocation_of(window).memory == memory


def test_an_allocation_respects_the_models_input_and_output_limits() -> None:
    """The response gets at most the model's largest output; the other parts together get at most
    its largest input.
    """
    full = allocation_of(128_000)
    short = allocation_of(128_000, max_output=16_384)
    assert (full.response, short.response) == (51_200, 16_384)
    assert (short.history, short.files) == (full.history, full.files) == (38_400, 23_040)
    large = allocation_of(400_000, max_input=272_000, max_output=128_000)
    assert large.response == 128_000
    assert large.system + large.history + large.files + large.memory == 272_000


@given(
    window=st.integers(0, 20_000_000),
    max_input=st.none() | st.integers(256, 1_000_000),
    max_output=st.none() | st.integers(256, 1_000_000),
)
def test_an_allocation_never_exceeds_the_window_or_the_models_limits(
    window: int, max_input: int | None, max_output: int | None
) -> None:
    """The parts fit the window and the model's input and output limits.

    Without such limits they add up to the window.
    """
    limits = {"max_input": max_input, "max_output": max_output}
    allocation = allocation_of(
        window, **{name: limit for name, limit in limits.items() if limit is not None}
    )
    values = allocation.model_dump()
    assert all(tokens >= 0 for tokens in values.values())
    assert sum(values.values()) <= window
    assert allocation.response <= (max_output or window)
    assert sum(values.values()) - allocation.response <= (max_input or window)
    if max_input is max_output is None:
        assert sum(values.values()) == window
