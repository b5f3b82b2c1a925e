"""JSON as the standard has it, with its errors in one sentence."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class NotJson(ValueError):
    """The text is not JSON; position: the character at which that shows."""

    def __init__(self, reason: str, position: int = 0) -> None:
        super().__init__(reason)
        self.position = position


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_value(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and where it ends. Raises NotJson."""
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON: {error.msg} at character {error.colno}", error.pos) from error
    except RecursionError as error:
        raise NotJson("is nested too deeply", start) from error
    except NotJson:
        raise
    except ValueError as error:
        raise NotJson(f"is not JSON that can be kept: {error}", start) from error


def skip_blank(text: str, start: int) -> int:
    """The position of the first character from `start` on that is not white space."""
    while start < len(text) and text[start] in " \t\r\n":
        start += 1
    return start


def parse_whole(text: str) -> Any:
    """The one JSON value that `text` is. Raises NotJson."""
    value, end = parse_value(text, skip_blank(text, 0))
    rest = skip_blank(text, end)
    if rest != len(text):
        raise NotJson(f"has more after the JSON value, from character {rest + 1} on", rest)
    return value
