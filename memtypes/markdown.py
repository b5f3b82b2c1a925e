"""Markdown list items: the form in which texts of others stand in the prompts that this service
writes.

Every piece of such a prompt (an item, a heading or a tag) ends with a newline, and begins with "-",
"#" or "<". No token of cl100k_base or o200k_base extends across such a border, so the tokens of a
prompt are exactly the sum of the tokens of its pieces (a property test checks this).
"""

from __future__ import annotations

import re

from memtypes.ports.encoders import Tokenizer

CUT_MARK = " [cut]"
"""Appended to a text of which a prompt shows only the beginning."""

_FENCE_TAG = re.compile(r"<(?=/?(?:working_)?memor)", re.IGNORECASE)
_OPENING = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
"""Replaces "<" in a text where it would begin a tag that delimits the memories of a context."""


def bullet(text: str) -> str:
    """`text` as one entry of a Markdown list. The "<" of tags such as `</memories>` is replaced by
    a similar sign.
    """
    lines = (_FENCE_TAG.sub(_OPENING, text) if "<" in text else text).splitlines() or [""]
    first = f"- {lines[0].strip()}\n"
    if len(lines) == 1:
        return first
    return first + "".join(f"  {line.rstrip()}\n" for line in lines[1:] if line.strip())


def cut_bullet(text: str, room: int, tokenizer: Tokenizer) -> tuple[str, int]:
    """`text` as a list entry cut to `room` tokens, with CUT_MARK, and its token count; ("", 0) if
    none fits.
    """
    limit = room
    while limit > 0:
        entry = bullet(tokenizer.truncate(text, limit) + CUT_MARK)
        tokens = tokenizer.count(entry)
        if tokens <= room:
            return entry, tokens
        limit -= tokens - room
    return "", 0
