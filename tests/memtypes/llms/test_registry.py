"""Which model a name means, and the file that says so."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from memtypes.llms.registry import ON_HAND, WIDEST_MARGIN, Registry
from memtypes.llms.registry_file import BadRegistry, RegistrySource, default_file, parse

DEFAULT = Registry.of(default_file())

OWN = """
providers:
  house: {detect: [house-], window: 4000, tokenizer: cl100k_base, margin: 0.2}
models:
  - {provider: house, names: [house-one, h1], window: 10000, tokenizer: o200k_base}
  - {provider: house, names: [house-two], window: 20000, tokenizer: sentencepiece}
"""


@pytest.mark.parametrize(
    ("name", "own", "provider", "window", "tokenizer"),
    [
        ("gpt-4o", "gpt-4o", "openai", 128_000, "o200k_base"),
        ("GPT-4o-2024-11-20", "gpt-4o", "openai", 128_000, "o200k_base"),
        ("gpt-4", "gpt-4", "openai", 8_192, "cl100k_base"),
        ("gpt-4-0613", "gpt-4", "openai", 8_192, "cl100k_base"),
        ("openai/gpt-4.1-mini", "gpt-4.1", "openai", 1_047_576, "o200k_base"),
        ("openrouter/openai/gpt-4o:free", "gpt-4o", "openai", 128_000, "o200k_base"),
    ],
)
def test_a_listed_model_counts_exactly(name: str, own: str, provider: str, window: int, tokenizer: str) -> None:
    """Case, prefixes and dates behind the name do not matter; the longest listed name wins."""
    found = DEFAULT.find(name)
    assert (found.name, found.provider, found.window, found.tokenizer) == (own, provider, window, tokenizer)
    assert found.margin == 0


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
def test_a_model_without_its_tokenizer_has_a_margin(name: str, provider: str) -> None:
    """The provider is recognised by the name; a tokenizer on hand stands in, with a stated margin."""
    found = DEFAULT.find(name)
    assert found.provider == provider
    assert found.tokenizer in ON_HAND
    assert 0 < found.margin < WIDEST_MARGIN
    assert found.allocation is not None


def test_an_unknown_model_has_the_widest_margin_and_no_window() -> None:
    """Nothing is made up about it."""
    found = DEFAULT.find("some-model-nobody-lists")
    assert (found.name, found.provider, found.window) == ("some-model-nobody-lists", "unknown", None)
    assert (found.margin, found.allocation) == (WIDEST_MARGIN, None)


def test_a_name_is_not_found_inside_a_word() -> None:
    """gpt-4 is not the beginning of gpt-45."""
    assert DEFAULT.find("gpt-45").name == "gpt-45"


def test_every_default_provider_is_described() -> None:
    """No listed model falls back to what is said about unknown ones."""
    assert {entry.provider for entry in DEFAULT.models.values()} <= DEFAULT.providers.keys()


def test_an_own_file_goes_over_the_default(tmp_path: Path) -> None:
    """Its models are known, and the default's stay."""
    path = tmp_path / "models.yaml"
    path.write_text(OWN + "  - {provider: openai, names: [gpt-4o], window: 1000, tokenizer: cl100k_base}\n")
    registry = RegistrySource(path)()
    assert registry.find("h1").window == 10_000
    assert (registry.find("house-two").tokenizer, registry.find("house-two").margin) == ("cl100k_base", 0.2)
    assert registry.find("house-new").window == 4_000
    assert (registry.find("gpt-4o").window, registry.find("gpt-4o-mini").window) == (1_000, 128_000)


def test_a_changed_file_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A change is followed at the next question; a broken or missing file leaves the last good one, and is logged."""
    path = tmp_path / "models.yaml"
    source = _written(path, OWN, 1)
    assert source().find("house-one").window == 10_000
    _write(path, OWN.replace("10000", "11000"), 2)
    assert source().find("house-one").window == 11_000
    with caplog.at_level(logging.ERROR):
        _write(path, "models: {", 3)
        assert source().find("house-one").window == 11_000
        assert source().find("house-one").window == 11_000
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    path.unlink()
    assert source().find("house-one").window == 11_000
    _write(path, OWN, 4)
    assert source().find("house-one").window == 10_000


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
        ("models: [{provider: p, names: [a]}]", r"models\.0\.window: is required"),
        ("models: [{provider: p, names: [a], window: 12}]", r"models\.0\.window: .*256.*got 12"),
        ("models: [{provider: p, names: [a], window: '9000'}]", r"window: .*integer.*got '9000'"),
        ("models: [{provider: p, names: [], window: 9000}]", r"models\.0\.names: "),
        ("models: [{provider: p, names: [a, A], window: 9000}]", "two models are named 'A'"),
        ("providers: {p: {tokenizer: gpt2}}", r"providers\.p\.tokenizer: .*cl100k_base, o200k_base.*got 'gpt2'"),
        ("providers: {p: {margin: -1}}", r"providers\.p\.margin: .*0"),
        ("providers: {p: {count: {url: ftp://x, kind: google}}}", r"providers\.p\.count\.url: "),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    """File, key, what is allowed and what stood there."""
    with pytest.raises(BadRegistry, match=message) as raised:
        parse(text, "own.yaml")
    assert "own.yaml" in str(raised.value)


def test_a_file_that_is_not_there_refuses_to_start(tmp_path: Path) -> None:
    """A wrong path is found at start, not at the first question."""
    with pytest.raises(BadRegistry, match=r"none\.yaml: can't be read"):
        RegistrySource(tmp_path / "none.yaml")
