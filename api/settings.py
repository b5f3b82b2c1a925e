"""The settings of the service: command-line flags come first, then environment variables, then
defaults.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from memtypes.config import message_of
from memtypes.model.errors import RemembrancerError

PREFIX = "REMEMBRANCER_"


class BadSettings(RemembrancerError):
    """A setting is invalid, or cannot be used on this machine. The message names the setting."""


def default_data_dir() -> Path:
    """The default data folder: `remembrancer` in XDG_DATA_HOME if that is set, else
    `~/.remembrancer`.
    """
    base = os.environ.get("XDG_DATA_HOME")
    return Path(base) / "remembrancer" if base else Path.home() / ".remembrancer"


_HttpUrl: TypeAlias = Annotated[str, StringConstraints(pattern=r"^https?://")]


def _expanded(path: Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises for `~nobody`


_FilePath: TypeAlias = Annotated[Path, AfterValidator(_expanded)]
"""The path of a file or folder; a leading `~` stands for the home folder."""


class Settings(BaseSettings):
    """The settings of the service. Each can be set by an environment variable, such as
    REMEMBRANCER_PORT for `port`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on. Without keys: loopback only."
    )
    port: int = Field(8707, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    data_dir: _FilePath = Field(
        default_factory=default_data_dir,
        description=(
            "Folder of memories, the encoder and import journals; in XDG_DATA_HOME if that is set."
        ),
        json_schema_extra={"shown": "~/.remembrancer"},
    )
    keys: _FilePath | None = Field(
        None,
        description=(
            'JSON list of {"key", "tenant", "role", "agents"?, "namespace"?}. Without it '
            "no key is needed."
        ),
    )
    models: _FilePath | None = Field(
        None, description="YAML registry of models, in addition to the built-in one."
    )
    policies: _FilePath | None = Field(None, description="YAML file of thread policies and agents.")
    calls_per_minute: int = Field(
        0, ge=0, le=1_000_000, description="Calls per minute and key; 0 sets no limit."
    )
    shutdown_s: int = Field(
        30, ge=1, le=600, description="Seconds for running calls to finish after SIGTERM."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    embedder: Literal["onnx", "sentence-transformers"] = Field(
        "onnx", description="Embedding engine; sentence-transformers needs the extra `torch`."
    )
    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        description="Model name or folder, for sentence-transformers.",
    )
    encoder_dir: _FilePath | None = Field(
        None, description="Folder of the encoder; by default `encoder` in the data folder."
    )
    reader: Literal["auto", "off"] = Field(
        "auto", description="Use the reader if it is prepared, or `off`."
    )
    reader_dir: _FilePath | None = Field(
        None, description="Folder of the reader; by default `reader` in the data folder."
    )
    reader_hits: int = Field(
        12,
        ge=2,
        le=100,
        description="Best hits that the reader reads together with a query.",
    )
    candidate_depth: int = Field(
        200,
        ge=50,
        le=2_000,
        description="Candidates to rank per type and search leg; more finds more and costs more.",
    )
    receipt_days: int = Field(
        30, ge=1, le=3_650, description="Days to keep the receipt of a retrieval."
    )
    upkeep_minutes: int = Field(
        60, ge=0, le=525_600, description="Minutes between rounds of upkeep; 0 turns it off."
    )
    todo_hours: int = Field(
        24,
        ge=1,
        le=720,
        description="Hours without use after which working items of an unfinished to-do expire.",
    )
    thread_ttl_hours: float = Field(
        3,
        gt=0,
        le=8_760,
        description=(
            "Hours without use after which a thread expires, unless its policy has a ttl; also as "
            "`CONVERSATION_TIMEOUT_HOURS`."
        ),
    )
    workflow_ttl_hours: float = Field(
        24,
        gt=0,
        le=8_760,
        description=(
            "Hours after the last event of it or of a descendant until a workflow expires; also "
            "as `WORKFLOW_TTL_HOURS`."
        ),
    )
    workflow_snapshot_events: int = Field(
        50,
        ge=1,
        le=1_000,
        description="Events between two snapshots of a workflow; a read folds at most as many.",
    )
    ended_log_hours: float = Field(
        24,
        gt=0,
        le=8_760,
        description="Hours to keep the events of an ended workflow that no live child needs.",
    )
    expired_days: int = Field(
        30,
        ge=0,
        le=36_500,
        description="Days to keep expired memories for `as_of` before upkeep deletes them.",
    )
    forget_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description=(
            "Days without use after which upkeep forgets a memory, for good after 30 more; "
            "by default never."
        ),
    )
    promote: bool = Field(
        False,
        description="Whether upkeep turns what was said in at least three sessions into facts.",
    )
    compact: bool = Field(
        False,
        description="Whether upkeep merges memories of the same wording, which embeds each again.",
    )
    redaction: Literal["redact", "refuse", "allow"] = Field(
        "redact", description="Secrets in texts: `redact` them, `refuse` the text, or `allow` them."
    )
    redaction_rules: _FilePath | None = Field(
        None,
        description=(
            "YAML with redaction rules by kind and tenant, custom patterns, and texts "
            "never to store."
        ),
    )
    reviewer_url: _HttpUrl | None = Field(
        None, description="OpenAI-compatible endpoint for reviews; by default local models review."
    )
    reviewer_model: str = Field("default", min_length=1, description="Model for reviews.")
    reviewer_key: SecretStr | None = Field(None, description="API key of the review endpoint.")
    reviewer_seats: Literal["both", "importance", "relevance"] = Field(
        "both",
        description=(
            "Scores that the endpoint gives: importance, relevance or both; the others are local."
        ),
    )
    summariser_url: _HttpUrl | None = Field(
        None,
        description=(
            "OpenAI-compatible endpoint for thread summaries; by default they are made by rule."
        ),
    )
    summariser_model: str = Field("default", min_length=1, description="Model for summaries.")
    summariser_key: SecretStr | None = Field(None, description="API key of the summary endpoint.")
    qdrant_url: _HttpUrl | None = Field(
        None, description="URL of a Qdrant server instead of the embedded store."
    )
    qdrant_api_key: SecretStr | None = Field(None, description="API key of the Qdrant server.")
    qdrant_shards: int = Field(1, ge=1, le=1_024, description="Shards of each new collection.")
    qdrant_replicas: int = Field(1, ge=1, le=64, description="Replicas of each new collection.")
    qdrant_write_consistency: int = Field(
        1, ge=1, le=64, description="Replicas that must acknowledge a write."
    )
    qdrant_quantization: Literal["none", "int8"] = Field(
        "none", description="Quantization of dense vectors."
    )
    redis_url: str | None = Field(
        None,
        description=(
            "URL of a Redis or Valkey server instead of the embedded one; also "
            "`redis+sentinel://`, `redis+cluster://`."
        ),
    )

    @property
    def encoder_path(self) -> Path:
        """Folder that contains the default embedder's model files."""
        return self.encoder_dir or self.data_dir / "encoder"

    @property
    def reader_path(self) -> Path:
        """Folder that contains the reader's model files, if it is prepared."""
        return self.reader_dir or self.data_dir / "reader"

    @property
    def store_path(self) -> Path:
        """Folder that contains the files of the embedded memory store."""
        return self.data_dir / "memories"

    @property
    def live_path(self) -> Path:
        """Folder that contains the files of the embedded live store (Redis)."""
        return self.data_dir / "live"


def read_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from `flags`, by setting name, and the environment. Flags that are not None
    take precedence.

    Raises BadSettings, also for a variable that begins with REMEMBRANCER_ but is no setting: it is
    probably misspelt.
    """
    overrides = {name: value for name, value in (flags or {}).items() if value is not None}
    overrides = _from_bare_names() | overrides
    for name in sorted(os.environ):
        upper = name.upper()
        if (
            upper.startswith(PREFIX)
            and upper.removeprefix(PREFIX) not in _NAMES
            and not upper.startswith(_TEST_PREFIX)
        ):
            close = difflib.get_close_matches(upper.removeprefix(PREFIX), _NAMES, n=1, cutoff=0.7)
            advice = (
                f"did you mean {PREFIX}{close[0]}?"
                if close
                else "unset it; `remembrancer settings` lists all"
            )
            raise BadSettings(f"{name} is not a setting: {advice}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        bare = [bare for bare, setting in BARE_NAMES.items() if setting == name]
        if bare and name in _from_bare_names() and name not in (flags or {}):
            raise BadSettings(f"{bare[0]}: {message_of(first)}") from None
        flag = f"--{name.replace('_', '-')} or " if name in (flags or {}) else ""
        raise BadSettings(f"{flag}{PREFIX}{name.upper()}: {message_of(first)}") from None


def _from_bare_names() -> dict[str, str]:
    """Settings, by name, from the variables of BARE_NAMES that are set, unless the variable with
    PREFIX is set, too.
    """
    variables = {name.upper(): value for name, value in os.environ.items()}
    return {
        setting: variables[name]
        for name, setting in BARE_NAMES.items()
        if variables.get(name) and not variables.get(f"{PREFIX}{setting.upper()}")
    }


def secret(name: str) -> str | None:
    """The value of the environment variable `name`, such as an API key of a model's provider; None
    if it is not set.
    """
    return os.environ.get(name)


def is_loopback(host: str) -> bool:
    """Whether `host` is localhost or a loopback address; False for other names, which are not
    resolved.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


BARE_NAMES = {
    "WORKFLOW_TTL_HOURS": "workflow_ttl_hours",
    "CONVERSATION_TIMEOUT_HOURS": "thread_ttl_hours",
}
"""Environment variables without PREFIX that set a setting, because programs that keep threads and
workflows commonly have them.
"""

_NAMES = (*map(str.upper, Settings.model_fields), "KEY", "URL", "NAMESPACE")
"""Names of the environment variables without PREFIX. The last three are for clients."""

_TEST_PREFIX = PREFIX + "TEST_"


def settings_table() -> str:
    """All settings with their defaults and descriptions, as a Markdown table."""
    rows = ["| variable | default | what it sets |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = extra.get("shown", field.default)
        shown = "" if default is None else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
