"""Policies from a YAML file."""

from __future__ import annotations

from pathlib import Path

from memtypes.config.yaml_file import Source
from memtypes.live.thread_policy import Policies
from memtypes.model.errors import RemembrancerError


class BadPolicies(RemembrancerError):
    """A policy file can't be used; the text names file, key, value and what is allowed."""


def read_policies(path: Path | None) -> Policies:
    """The policies of a file; none without one. Raises BadPolicies."""
    return Policies() if path is None else parse(_source(str(path)).text(path), str(path))


def parse(text: str, file: str) -> Policies:
    """The policies of `text`; `file` names it in errors. Raises BadPolicies."""
    return _source(file).parsed(text, Policies)


def _source(file: str) -> Source:
    return Source(f"policy file {file}", BadPolicies)
