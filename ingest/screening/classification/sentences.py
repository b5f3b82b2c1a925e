"""A few sentences typical of each type, written for this; an unsure text is of the type that it is nearest to."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from memtypes.model.policy import MemoryType

SENTENCES: Mapping[MemoryType, tuple[str, ...]] = MappingProxyType(
    {
        MemoryType.EPISODIC: (
            "Wow, that sounds great, how did it go?",
            "We had a lovely time at the lake with the children.",
            "The deployment failed this morning and was rolled back.",
            "It's been a hard week, but it was worth it.",
            "Thanks, that means a lot to me.",
            "The customer called yesterday and complained about the invoice.",
        ),
        MemoryType.SEMANTIC: (
            "Paula works as a nurse in a small hospital.",
            "The payment service is written in Go and keeps its data in Postgres.",
            "The user prefers short answers without examples.",
            "Tom and his sister enjoy painting and hiking together.",
            "Water boils at a lower temperature at high altitude.",
            "Both teams agree on the importance of code review.",
        ),
        MemoryType.PROSPECTIVE: (
            "remind me to water the plants tomorrow",
            "set an alarm for six in the morning",
            "add milk to the shopping list",
            "book a room for the meeting on friday",
            "are any rooms free this afternoon",
            "the report has to be sent before the end of the month",
        ),
        MemoryType.PROCEDURAL: (
            "To restart the server, stop the service, clear the cache and start it again.",
            "Compress a folder into an archive with the tar command.",
            "How to release: run the tests, tag the commit, push the tag.",
            "Open the settings, choose network and press reset.",
            "Mix the flour with water, let it rest, then bake it for an hour.",
            "List all files of a directory: ls -la path",
        ),
    }
)
