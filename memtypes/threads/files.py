"""Policies from a YAML file, and what a name in a request means by them."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from memtypes.errors import RemembrancerError
from memtypes.threads.policy import Policies


class BadPolicies(RemembrancerError):
    """A policy file can't be used; the text names file, key, value and what is allowed."""


def read_policies(path: Path | None) -> Policies:
    """The policies of a file; none without one. Raises BadPolicies."""
    if path is None:
        return Policies()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadPolicies(f"policy file {path}: can't be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Policies:
    """The policies of `text`; `file` names it in errors. Raises BadPolicies."""
    try:
        return Policies.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise BadPolicies(f"policy file {file}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        got = first["input"] if isinstance(first["input"], str | int | float | bool | None) else "what stands there"
        raise BadPolicies(f"policy file {file}: {place}: {message} (got {got!r})") from error
