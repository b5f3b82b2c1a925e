"""The part of a text that an encoder can see, found without reading all of it.

Knows that an encoder reads its first few hundred tokens. Does not know any tokenizer.
"""

from __future__ import annotations

import re

CHARACTERS_PER_TOKEN = 64
"""Far above what a token covers: 4 characters on the average, 18 in the longest of BERT's.

Only words of more than 100 characters, which BERT reads as one unknown token each, can make the head shorter than what
the encoder would see.
"""

_BLANKS = re.compile(r"[ \t\r\n]{2,}")


def head_of(text: str, max_tokens: int) -> str:
    """The first part of `text` that has `max_tokens` tokens or more; all of it when it is short.

    In a long text runs of blanks count as one, as they do for BERT. A lone surrogate, which no encoder takes, becomes
    a question mark.
    """
    most = max_tokens * CHARACTERS_PER_TOKEN
    if len(text) > most:
        text = _BLANKS.sub(" ", text)[:most]
    return text.encode("utf-8", "replace").decode("utf-8")
