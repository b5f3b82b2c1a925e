"""What follows a kept event: a snapshot now and then, and the record of what has ended.

Their failure never fails the event: a missing snapshot costs a longer fold, a missing record is made up for later.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from memtypes.live.workflow_state import WorkflowStatus, fold, needs_snapshot
from memtypes.model.errors import NotFound, RemembrancerError
from memtypes.model.scope import Scope
from memtypes.ports.workflows import Recorder, WorkflowStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Keeps snapshots and records of the workflows in `store`."""

    store: WorkflowStore
    recorder: Recorder

    async def follow(self, scope: Scope, workflow_id: str, version: int, status: WorkflowStatus) -> dict[str, str]:
        """The ids of the memories that keep the workflow, where the event `version` ended it. status: after it."""
        if needs_snapshot(version, status):
            await self._snapshot(scope, workflow_id, version)
        return await self._record(scope, workflow_id) if status.ended else {}

    async def record_ended(self) -> int:
        """How many ended workflows were recorded whose record had been missed."""
        done = 0
        async for scope, workflow_id in self.store.unrecorded():
            done += bool(await self._record(scope, workflow_id))
        return done

    async def _snapshot(self, scope: Scope, workflow_id: str, version: int) -> None:
        try:
            log = await self.store.load(scope, workflow_id, version)
            await self.store.snapshot(scope, workflow_id, fold(log.base, log.events))
        except RemembrancerError as error:
            _log.warning("no snapshot of a workflow at version %s: %s", version, type(error).__name__)

    async def _record(self, scope: Scope, workflow_id: str) -> dict[str, str]:
        """The ids of the memories that keep an ended workflow; none when another records it, or when it must wait."""
        try:
            if not await self.store.claim(scope, workflow_id):
                return {}
            log = await self.store.load(scope, workflow_id)
            memories = await self.recorder.record(scope, workflow_id, fold(log.base, log.events))
            await self.store.recorded(scope, workflow_id)
        except NotFound:
            await self.store.recorded(scope, workflow_id)
            return {}
        except RemembrancerError as error:
            _log.warning("an ended workflow is not recorded yet: %s", type(error).__name__)
            return {}
        return memories
