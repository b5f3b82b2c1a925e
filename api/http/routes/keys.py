"""Keys made while the service runs: the operator's calls."""

from __future__ import annotations

from litestar import Response, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from api.auth.keys import Role
from api.http.endpoint import Call, HttpRequest, answer, read_body, safe_get
from api.wiring.container import Services
from memtypes.model.memory import Model
from memtypes.model.scope import Name

TAG = "Admin"


class KeyPost(Model):
    """Whose key, and what it may do."""

    tenant: Name
    role: Role


class MadeKey(TypedDict):
    """A new key, shown this once."""

    id: str
    key: str
    tenant: str
    role: Role


class ListedKey(TypedDict):
    """A key without its secret. created_at: null for one of the keys file."""

    id: str
    tenant: str
    role: Role
    created_at: str | None


class KeysAnswer(TypedDict):
    """Every key."""

    keys: list[ListedKey]


POST: TypeAdapter[KeyPost] = TypeAdapter(KeyPost)

_POST = Call("Make a key; it is shown once", TAG, {201: MadeKey}, role=Role.ADMIN, body=POST, may_fail=(503,))
_LIST = Call("List keys without their secrets", TAG, {200: KeysAnswer}, role=Role.ADMIN)
_DELETE = Call("Take a key back", TAG, {204: None}, role=Role.ADMIN, may_fail=(404, 409, 503))


@post("/v1/admin/keys", opt=_POST.opt())
async def post_key(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """201 with the key."""
    asked = await read_body(request, POST)
    key_id, key = await services.keys.make(asked.tenant, asked.role, services.clock)
    return answer({"id": key_id, "key": key, "tenant": asked.tenant, "role": asked.role}, 201)


@safe_get("/v1/admin/keys", opt=_LIST.opt())
async def list_keys(services: NamedDependency[Services]) -> Response[bytes]:
    """The keys of the file and those made here."""
    return answer({"keys": services.keys.known()})


@delete("/v1/admin/keys/{key_id:str}", opt=_DELETE.opt(), status_code=204)
async def delete_key(services: NamedDependency[Services], key_id: FromPath[str]) -> None:
    """Nothing, once it opens nothing any more."""
    await services.keys.remove(key_id)
