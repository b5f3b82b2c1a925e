"""Calls for operators, which need an admin key: export, import, erasure, API keys and upkeep."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from remembrancer_client.answers import Erased, JobReport, KeysAnswer, NewKey, ReembedAnswer
from remembrancer_client.calls import Call, ConnectionT_co, Each, Group
from remembrancer_client.options import JobOptions, Scoped
from remembrancer_client.request import (
    Description,
    Line,
    Lines,
    Request,
    Upload,
    UploadAnswer,
    encode,
    segment,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Admin(Group[ConnectionT_co]):
    """The group `client.admin`: calls for operators, which need an admin key."""

    @Each
    def export(self, **options: Unpack[Scoped]) -> Lines[dict[str, Any]]:
        """Yield the namespace's memories, newest first, then its items, as JSON objects. `restore`
        imports them.
        """
        return Lines(self._ask("/v1/admin/export", dict[str, Any], options))

    @Call
    def restore(
        self, lines: Iterable[Line] | AsyncIterable[Line], **options: Unpack[Scoped]
    ) -> Description[UploadAnswer]:
        """Import exported memories with their original times, in parts of 1,000 lines. Returns how
        many were stored.

        lines: the objects that `export` yields, or the lines of a file with them. Memories that are
        stored already are not stored twice, so a failed import may be repeated from the beginning.
        """
        return Upload(lines, "/v1/admin/import", self._query(options))

    @Call
    def erase(self, memory_id: str | None = None, **options: Unpack[Scoped]) -> Description[Erased]:
        """Erase one memory, or the whole namespace if `memory_id` is None. The answer counts
        entries by store.
        """
        named = {} if memory_id is None else {"memory_id": memory_id}
        return self._post("/v1/admin/erase", Erased, options, **named)

    @Call
    def keys(self) -> Description[KeysAnswer]:
        """All API keys, without their secrets."""
        return Request("GET", "/v1/admin/keys", KeysAnswer, repeatable=True)

    @Call
    def create_key(
        self,
        tenant: str,
        role: Literal["reader", "writer", "admin"],
        agents: Sequence[str] | None = None,
        namespace: str | None = None,
    ) -> Description[NewKey]:
        """Create an API key; only this answer shows its secret. agents: the agents that it may act
        as; None for all.

        namespace: used for an MCP client's calls that do not name a namespace.
        """
        bound = {} if agents is None else {"agents": list(agents)}
        body = encode({"tenant": tenant, "role": role, "namespace": namespace, **bound})
        return Request("POST", "/v1/admin/keys", NewKey, body=body)

    @Call
    def revoke_key(self, key_id: str) -> Description[None]:
        """Revoke an API key that was made with `create_key`."""
        return Request("DELETE", f"/v1/admin/keys/{segment(key_id)}", NoneType)

    @Call
    def job(
        self, job: Literal["promote", "forget", "expire", "compact"], **options: Unpack[JobOptions]
    ) -> Description[JobReport]:
        """Run an upkeep job and report what it did; by default a dry run, which reports what it
        would do.
        """
        body = encode({"namespace": self._namespace, **options})
        return Request("POST", f"/v1/admin/jobs/{job}", JobReport, body=body)

    @Call
    def reembed(self) -> Description[ReembedAnswer]:
        """Embed all memories and items again, and return how many. Blocks the store meanwhile; set
        a long timeout.
        """
        return Request("POST", "/v1/admin/reembed", ReembedAnswer)
