"""The command `remembrancer policies convert`, which makes a policy file from a Compozy project's
memory resources.

Fields that have no equivalent in a policy file, and policies that no file defines, are named on
stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from api.cli.options import end
from api.settings import BadSettings
from memtypes.config import YAML_ERRORS, InvalidConfigFile, read_text
from memtypes.live.project_policies import converted_policies
from memtypes.live.thread_policy import DEFAULT_POLICY, parse_policies

policies = typer.Typer(help="Thread policies.", no_args_is_help=True)


@policies.command("convert")
def convert(
    files: Annotated[list[Path], typer.Argument(help="YAML files of memory resources and agents.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default stdout.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model of resources with a ratio of a context window only.")
    ] = None,
) -> None:
    """Convert the memory resources and agents of a Compozy project into a policy file."""
    try:
        converted, left_out = converted_policies(
            [document for file in files for document in _documents(file)], model
        )
        missing = parse_policies(_dump(converted), "that would be written").missing
        for name in missing:
            defaults = DEFAULT_POLICY.model_dump(mode="json", exclude_unset=True)
            converted.setdefault("threads", {})[name] = defaults
    except InvalidConfigFile as error:
        end(error)
    text = _dump(converted)
    for name in missing:
        print(f"created with the defaults: threads.{name}", file=sys.stderr)
    for path in left_out:
        print(f"not converted: {path}", file=sys.stderr)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        end(BadSettings(f"--output {output}: {error.strerror}"))


def _documents(file: Path) -> list[Mapping[str, Any]]:
    try:
        loaded = yaml.safe_load_all(read_text(file, "resource file"))
        documents = [document for document in loaded if document is not None]
    except YAML_ERRORS as error:
        raise InvalidConfigFile(f"resource file {file}: not YAML: {error}") from error
    if not documents or not all(isinstance(document, Mapping) for document in documents):
        raise InvalidConfigFile(f"resource file {file}: must be an object")
    return documents


def _dump(converted: Mapping[str, Any]) -> str:
    return yaml.safe_dump(converted, sort_keys=False, allow_unicode=True)
