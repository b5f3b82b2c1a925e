"""How a model's context window is shared out. Pure arithmetic; knows no model."""

from __future__ import annotations

from dataclasses import dataclass

LARGE_WINDOW = 300_000
"""Tokens from which a window leaves a smaller part for the response."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Tokens of each part. content and response make up the window; files, history, memory and prompt the content."""

    window: int
    content: int
    response: int
    files: int
    history: int
    memory: int
    prompt: int


def allocate(window: int) -> Allocation:
    """The parts of a window of so many tokens.

    Below LARGE_WINDOW 60 % are content, of it 30 % files and 50 % history; from there on 80 %, 40 % and 40 %. Half of
    the rest of the content is for recalled memories, which is 7,680 tokens of a window of 128,000.
    """
    content_share, files_share, history_share = (60, 30, 50) if window < LARGE_WINDOW else (80, 40, 40)
    content = window * content_share // 100
    files = content * files_share // 100
    history = content * history_share // 100
    rest = content - files - history
    return Allocation(window, content, window - content, files, history, rest // 2, rest - rest // 2)
