"""Backups of cleared threads. A backup's id names its namespace, so that the id alone is enough to read it."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.http.bodies import MaybeNamespace
from api.http.endpoint import Call, HttpRequest, answer, read_query, safe_get, scope_of
from api.http.routes.thread_answers import BackupAnswer, turn_members
from api.http.routes.thread_views import threads_of
from api.wiring.container import Services
from memtypes.model.errors import NotFound
from memtypes.model.scope import clean_name

_BACKUP = Call(
    "The turns of a cleared thread", "Threads", {200: BackupAnswer}, query=MaybeNamespace, may_fail=(404, 503)
)


def public_id(namespace: str, backup_id: str) -> str:
    """The id that callers get: the backup's own, a dot, and the namespace in URL-safe Base64."""
    return f"{backup_id}.{urlsafe_b64encode(namespace.encode()).decode().rstrip('=')}"


def place_of(sent: str) -> tuple[str, str]:
    """The namespace and the own id in a public id. Raises NotFound."""
    backup_id, _, coded = sent.rpartition(".")
    try:
        return clean_name(urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()), backup_id
    except (binascii.Error, ValueError) as error:
        raise _unknown() from error


@safe_get("/v1/threads/backups/{backup_id:str}", opt=_BACKUP.opt())
async def get_backup(
    request: HttpRequest, services: NamedDependency[Services], backup_id: FromPath[str]
) -> Response[bytes]:
    """The turns as they were."""
    asked = read_query(request, MaybeNamespace).namespace
    namespace, own = place_of(backup_id)
    if not own or asked not in (None, namespace):
        raise _unknown()
    turns = await threads_of(services).store.backup(scope_of(request, namespace), own)
    return answer({"turns": [turn_members(turn) for turn in turns]})


def _unknown() -> NotFound:
    return NotFound("there is no such backup; one is kept for 24 hours")
