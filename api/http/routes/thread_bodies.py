"""What the calls about threads take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from api.http.bodies import InNamespace, QueryWhole
from memtypes.live.events import JsonObject
from memtypes.live.thread_policy import FlushStrategy
from memtypes.live.turns import NewTurn, TurnText, Version
from memtypes.model.memory import Flag, Model, Whole
from memtypes.model.scope import Name

MAX_BUDGET = 1_000_000
MAX_TURNS = 1_000


class ThreadPost(Model):
    """A thread to begin or to find. variables: what the key's template reads."""

    namespace: Name
    key: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    parent_id: Name | None = None
    resource: Name | None = None
    agent_id: Name | None = None
    initial_context: TurnText | None = None
    variables: JsonObject = Field(default_factory=dict)


class TurnPost(NewTurn):
    """A turn. expected_version: refuse it when another version is current."""

    expected_version: Version | None = None


class ReplacePost(Model):
    """Turns in place of all others."""

    turns: list[NewTurn] = Field(max_length=MAX_TURNS)
    expected_version: Version | None = None


class ContextPost(Model):
    """Which context. model: whose tokenizer counts, unless tokenizer says which."""

    budget: Annotated[Whole, Field(ge=0, le=MAX_BUDGET)]
    tokenizer: Literal["cl100k_base", "o200k_base"] | None = None
    model: Name | None = None
    include_files: Flag = True


class FlushPost(Model):
    """How to flush. dry_run: only say what would leave. force: also below the threshold."""

    strategy: FlushStrategy | None = None
    dry_run: Flag = False
    force: Flag = False


class ClearPost(Model):
    """All turns go. backup: keep them for 24 hours."""

    confirm: Flag
    backup: Flag = False

    @model_validator(mode="after")
    def _confirmed(self) -> ClearPost:
        if not self.confirm:
            raise ValueError("confirm must be true")
        return self


class ByAgent(InNamespace):
    """Which agent asks, where its mode matters."""

    agent_id: Name | None = None


class PageQuery(InNamespace):
    """Which turns, oldest first."""

    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100
    offset: Annotated[QueryWhole, Field(ge=0, le=10_000_000)] = 0
