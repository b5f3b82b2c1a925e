"""Every setting, read once: flags over environment variables over defaults. Nothing else reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.screening.redaction.redactor import Treatment
from memtypes.config.error_messages import message_of
from memtypes.model.errors import RemembrancerError

PREFIX = "REMEMBRANCER_"


class BadSettings(RemembrancerError):
    """A setting can't be used; the text names it."""


def default_data_dir() -> Path:
    """`remembrancer` in XDG_DATA_HOME where that is set, else `~/.remembrancer`."""
    base = os.environ.get("XDG_DATA_HOME")
    return Path(base) / "remembrancer" if base else Path.home() / ".remembrancer"


class Settings(BaseSettings):
    """What can be set, each as REMEMBRANCER_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on. Without keys only loopback.")
    port: int = Field(8707, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where memories, the encoder and journals are kept.",
        json_schema_extra={"shown": "~/.remembrancer"},
    )
    keys: Path | None = Field(None, description='JSON list of {"key", "tenant", "role"}; without it no key is needed.')
    models: Path | None = Field(None, description="YAML registry of models, over the one that comes with the package.")
    policies: Path | None = Field(None, description="YAML file of thread policies and agents.")
    calls_per_minute: int = Field(0, ge=0, le=1_000_000, description="Calls a minute and key; 0 sets no limit.")
    shutdown_s: int = Field(30, ge=1, le=600, description="Seconds that running calls get to finish after SIGTERM.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    embedder: Literal["onnx", "sentence-transformers"] = Field(
        "onnx", description="The engine that embeds; sentence-transformers needs the extra `torch`."
    )
    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        description="Model name or folder, for sentence-transformers.",
    )
    encoder_dir: Path | None = Field(None, description="Where the prepared encoder is; `encoder` in the data folder.")
    candidate_depth: int = Field(
        200, ge=50, le=2_000, description="Candidates a type and leg that are ranked: deeper finds more and costs more."
    )
    receipt_days: int = Field(30, ge=1, le=3_650, description="Days that a receipt of a retrieval is kept.")
    upkeep_minutes: int = Field(60, ge=0, le=525_600, description="Minutes between rounds of upkeep; 0 sets none.")
    expired_days: int = Field(
        30, ge=0, le=36_500, description="Days that what has expired is kept for `as_of`; then upkeep removes it."
    )
    forget_days: int | None = Field(
        None, ge=1, le=36_500, description="Days without use after which upkeep forgets a memory; never without."
    )
    promote: bool = Field(False, description="Whether upkeep makes facts of what was said in three sessions.")
    compact: bool = Field(False, description="Whether upkeep merges near-duplicates, for which it embeds all again.")
    redaction: Treatment = Field(
        Treatment.REDACT,
        description="Secrets in texts: `redact` them, `refuse` the text, or `allow` them.",
        json_schema_extra={"shown": "redact"},
    )
    redaction_rules: Path | None = Field(
        None, description="YAML with redaction for single kinds and tenants, own patterns, and what is never kept."
    )
    reviewer_url: str | None = Field(None, description="An OpenAI-compatible endpoint that reviews; local without.")
    reviewer_model: str = Field("default", min_length=1, description="The model that reviews there.")
    reviewer_key: SecretStr | None = Field(None, description="The key for that endpoint.")
    reviewer_seats: Literal["both", "importance", "relevance"] = Field(
        "both", description="Which scores the endpoint gives; the rest, and novelty always, is local."
    )
    summariser_url: str | None = Field(
        None, description="An OpenAI-compatible endpoint that summarises threads; by rule without."
    )
    summariser_model: str = Field("default", min_length=1, description="The model that summarises there.")
    summariser_key: SecretStr | None = Field(None, description="The key for that endpoint.")
    qdrant_url: str | None = Field(None, description="A Qdrant server in place of the embedded store.")
    qdrant_api_key: SecretStr | None = Field(None, description="The server's API key.")
    qdrant_shards: int = Field(1, ge=1, le=1_024, description="Shards of each collection that is created.")
    qdrant_replicas: int = Field(1, ge=1, le=64, description="Replicas of each collection that is created.")
    qdrant_write_consistency: int = Field(1, ge=1, le=64, description="Replicas that acknowledge a write.")
    qdrant_quantization: Literal["none", "int8"] = Field("none", description="Quantization of dense vectors.")

    redis_url: str | None = Field(
        None,
        description="A Redis or Valkey server in place of the own one; also `redis+sentinel://`, `redis+cluster://`.",
    )

    @property
    def encoder_path(self) -> Path:
        """Where the prepared encoder is."""
        return self.encoder_dir or self.data_dir / "encoder"

    @property
    def store_path(self) -> Path:
        """Where the embedded store is."""
        return self.data_dir / "memories"

    @property
    def live_path(self) -> Path:
        """Where the embedded server of live state keeps its files."""
        return self.data_dir / "live"


def read_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings; `flags` that are not None come before the environment. Raises BadSettings."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise BadSettings(f"--{name.replace('_', '-')} or {PREFIX}{name.upper()}: {message_of(first)}") from None


def secret(name: str) -> str | None:
    """The value of the environment variable `name`, which a registry of models names as holding a provider's key."""
    return os.environ.get(name)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """The variables that begin like a setting and are none; a typing error must not pass in silence."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environment if name.startswith(PREFIX) and name.upper() not in known)


def settings_table() -> str:
    """The settings as a Markdown table, for the README."""
    rows = ["| variable | default | what it sets |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = extra.get("shown", field.default)
        shown = "" if default is None else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
