"""Typed requests to a store's engine, in this or in another process, and their encoding as
MessagePack.

A request class names the type of its answer: `ask(request: Request[T]) -> T`. Most requests are
calls of functions that take an engine; the decorator `request` makes a request class from such a
function. Arrays are sent as raw bytes.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable
from functools import cache
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    ParamSpec,
    TypeAlias,
    TypeVar,
    get_args,
    get_type_hints,
)

import msgspec
import numpy as np
from numpy.typing import NDArray

from memtypes.stores.operations.engine import EngineOperations

Answer = TypeVar("Answer")
Parameters = ParamSpec("Parameters")


class Request(msgspec.Struct, Generic[Answer], frozen=True, kw_only=True, tag_field="request"):
    """Base class of all requests. The type parameter is the type of the answer."""

    repeatable: ClassVar[bool] = True
    """True if sending the request twice has the same effect and answer as sending it once."""


class EngineRequest(Request[Answer], frozen=True, kw_only=True):
    """Base class of requests to call a `function` on an engine. The fields of a subclass are its
    other arguments.
    """

    function: ClassVar[Callable[..., Awaitable[Any]]]

    async def run(self, engine: EngineOperations) -> Answer:
        """Compute the answer to this request with the operations of `engine`."""
        answer: Answer = await self.function(engine, **msgspec.structs.asdict(self))
        return answer


EngineFunction: TypeAlias = Callable[Concatenate[EngineOperations, Parameters], Awaitable[Answer]]
RequestMaker: TypeAlias = Callable[Parameters, EngineRequest[Answer]]


def request(
    *, repeatable: bool = True
) -> Callable[[EngineFunction[Parameters, Answer]], RequestMaker[Parameters, Answer]]:
    """Decorator that turns an async function into a class of requests to an engine.

    The function takes the engine first, then keyword arguments that can be encoded as MessagePack.
    They become the fields of the class. `EngineRequest.run` calls the function. repeatable: True if
    a lost call may be sent again.
    """

    def to_request_class(
        function: EngineFunction[Parameters, Answer],
    ) -> RequestMaker[Parameters, Answer]:
        fields = get_type_hints(function)
        base: Any = EngineRequest[fields.pop("return")]  # type: ignore[misc]  # known at run time only
        del fields["engine"]
        members: dict[str, Any] = {"function": staticmethod(function), "repeatable": repeatable}
        members |= {
            "__annotations__": fields,
            "__module__": function.__module__,
            "__doc__": function.__doc__,
        }
        options = {"frozen": True, "kw_only": True, "tag": True}
        return types.new_class(
            function.__name__, (base,), options, lambda body: body.update(members)
        )

    return to_request_class


def answer_type(request: type[Request[Any]]) -> Any:
    """The answer's type for a request class: the T of its base class `Request[T]`."""
    (base,) = request.__orig_bases__  # type: ignore[attr-defined]  # typing sets it on every generic subclass
    return get_args(base)[0]


def decode(content: bytes | msgspec.Raw, message_type: Any) -> Any:
    """Decode MessagePack to a value of `message_type`. Raises msgspec.MsgspecError for any other
    content.
    """
    return _decoder(message_type).decode(content)


@cache
def _decoder(message_type: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(message_type, dec_hook=_decode_array)


def _encode_array(value: object) -> tuple[str, tuple[int, ...], bytes]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} can't be sent")
    return value.dtype.str, value.shape, value.tobytes()


def _decode_array(_: type, encoded: tuple[str, list[int], bytes]) -> NDArray[Any]:
    dtype, shape, content = encoded
    return np.frombuffer(content, dtype).reshape(shape)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array)

encode = _encoder.encode
"""Encode a value as MessagePack."""

encode_into = _encoder.encode_into
"""Encode a value as MessagePack into a bytearray from an offset on; anything after the value is cut
off.
"""
