"""Text that this service recalled itself and that comes back inside a conversation: recognised, so that it is left out.

Recognised by the form of a context alone, Markdown (also quoted with ">") or JSON, closed as the renderer closes it.
Knows nothing of contexts that were cut off or reworded; single memories that are quoted are found by `recall_guard`.
"""

from __future__ import annotations

import re

ALL_RECALLED = "recalled text that came back; nothing else was in it"
PART_RECALLED = "recalled text that came back was left out of it"

_QUOTE = r"^[ \t>]*"
_HEADINGS = "Events|Knowledge|Tasks|Procedures|Task at hand"
_MARKDOWN = re.compile(
    rf"{_QUOTE}<(memories|working_memory)>[ \t]*\r?\n{_QUOTE}## (?:{_HEADINGS})[ \t]*\r?\n"
    rf"(?s:.*?){_QUOTE}</\1>[ \t]*\r?$\n?",
    re.MULTILINE,
)
_JSON = re.compile(r'^\{\n"(?:memories|working_memory)":\{\n(?s:.*?)^\}\n\}[ \t]*$\n?', re.MULTILINE)


def without_recalled(text: str) -> str:
    """`text` without the contexts in it, unchanged where there is none; empty when nothing else was said."""
    rest = _JSON.sub("", _MARKDOWN.sub("", text))
    return text if rest == text else rest.strip()
