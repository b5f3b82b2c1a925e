"""What a text's own words say about its type: rules that a reader can check. Pure.

A how-to gives steps or commands; an intention asks to be reminded of something still to be done; an event is told by
somebody, with I and you, questions and exclamations, or with the time at which it happened; knowledge is stated of
things and people in the third person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.screening.classification.rule import Rule
from ingest.screening.classification.rules_abroad import RULES_ABROAD
from memtypes.model.policy import MemoryType

_I = re.IGNORECASE
_IM = re.IGNORECASE | re.MULTILINE


_EPISODIC, _SEMANTIC = MemoryType.EPISODIC, MemoryType.SEMANTIC
_PROSPECTIVE, _PROCEDURAL = MemoryType.PROSPECTIVE, MemoryType.PROCEDURAL

RULES: tuple[Rule, ...] = (
    Rule(
        _PROCEDURAL, 4.0, re.compile(r"^\s*(?:[-*]|\d+[.)]) .+\n\s*(?:[-*]|\d+[.)]) ", re.MULTILINE), "it lists steps"
    ),
    Rule(_PROCEDURAL, 4.0, re.compile(r"^[\w.+ -]{1,60}: .+\n+\s*- ", re.MULTILINE), "it lists the uses of a tool"),
    Rule(
        _PROCEDURAL,
        3.0,
        re.compile(r"^\s*how to\b|\bsteps? to\b|\bfirst,? .{3,200}\bthen\b", _IM | re.DOTALL),
        "it says how",
    ),
    Rule(
        _PROCEDURAL,
        3.0,
        re.compile(r"^(?:to|in order to) \w+[^.?!\n]{2,120}[,:] ?(?:first |you )?\w+", _I),
        "it says how",
    ),
    Rule(
        _PROCEDURAL,
        3.0,
        re.compile(r"```|`[^`\n]+ [^`\n]+`|^\s*\$ |\s--?[a-z][\w-]+\b.*\s--?[a-z]", re.MULTILINE),
        "it holds commands",
    ),
    Rule(
        _PROCEDURAL,
        2.5,
        re.compile(
            r"^(?:always |before \w+ing,? |when \w+ing,? )?(?:run|install|open|click|deploy|"
            r"restart|configure|build|copy|"
            r"export|press|execute)\b .{3,}\b(?:then|and then|with|before|after|using|by)\b",
            _I,
        ),
        "it tells what to run",
    ),
    Rule(
        _PROCEDURAL,
        3.0,
        re.compile(r"^(?!I\b|we\b|he\b|she\b|they\b)\w+ (?:the|a|an|your|all) [^.?!]{3,120}, (?:and )?then \w+", _I),
        "it tells what to do in turn",
    ),
    Rule(
        _PROSPECTIVE,
        5.0,
        re.compile(
            r"^(?:please )?remind(?:er)?\b|\bremind (?:me|us) (?!of|why)|\bbe reminded\b|"
            r"\breminders? (?:to|for|at|on|about)\b|"
            r"\b(?:set|add|create|make|delete|cancel|give|what|"
            r"any)\b.{0,30}\breminders?\b(?! of| that)|\bremember to\b|"
            r"\bdon'?t (?:let me )?forget (?:to|about|that)\b|\bwake me\b|"
            r"\bto[ -]?do(?: list)?\b(?! (?:with|that|it|this))",
            _I,
        ),
        "it asks to be reminded",
    ),
    Rule(
        _PROSPECTIVE,
        4.0,
        re.compile(
            r"\b(?:set|start|make|create|add|put|cancel|delete|remove|change|move|reset|stop|"
            r"schedule|book|have|need|want|check|"
            r"show|mark|update|clear|turn)\b.{0,60}\b(?:alarms?|timers?|calendars?|"
            r"appointments?|meetings?|meeting rooms?|events?|chores|"
            r"agenda|lists?|schedule|reservations?)\b",
            _I,
        ),
        "it asks for an alarm, an appointment or an entry in a list",
    ),
    Rule(
        _PROSPECTIVE,
        4.0,
        re.compile(
            r"\b(?:on|in|to|off|from) my (?:calendar|schedule|agenda|list|to[ -]?do|"
            r"shopping list|grocery list)\b|^(?:please )?"
            r"(?:schedule|reschedule|arrange)\b|\b(?:what|when|which)\b.{0,30}\b(?:meetings?|"
            r"appointments?|alarms?|timers?)\b|"
            r"\btimer\b|\balarm\b|\b(?:meeting|conference) (?:room|time)s?\b|\b(?:meet|"
            r"meeting) with \w+ (?:at|on|for)\b",
            _I,
        ),
        "it is about a calendar, a timer or a list",
    ),
    Rule(
        _PROSPECTIVE,
        3.5,
        re.compile(
            r"\b(?:need|needs|have|has|must|should|ought|want|going|plan|plans|promised|"
            r"agreed)\b(?: to)? .{2,120}\b(?:by|before|"
            r"until|tomorrow|tonight|next (?:week|month|year|\w+day)|on \w+day|at \d|"
            r"in \d+ (?:minutes|hours|days|weeks))\b",
            _I,
        ),
        "it has to be done by a time to come",
    ),
    Rule(
        _PROSPECTIVE,
        4.0,
        re.compile(
            r"^(?:when|once|as soon as|after|next time)\b[^.?!,]{3,80}, (?:please )?"
            r"(?:ask|tell|remind|check|send|call|show|give|mention|write|bring|look)\b",
            _I,
        ),
        "it waits for something to happen",
    ),
    Rule(
        _PROSPECTIVE,
        3.0,
        re.compile(
            r"^(?:follow[ -]?up|call|email|buy|pay|send|submit|renew|pick up|return|finish|ask|check)\b .{2,120}"
            r"\b(?:by|before|tomorrow|tonight|next|on \w+day|at \d|this (?:week|evening|afternoon))\b",
            _I,
        ),
        "it is a task with a time",
    ),
    Rule(
        _PROSPECTIVE,
        2.0,
        re.compile(r"\b(?:due|deadline|follow[ -]?up|when (?:we|i|you) (?:next|get|arrive))\b", _I),
        "it waits for its time",
    ),
    Rule(
        _EPISODIC,
        2.5,
        re.compile(r"\b(?:I|I'?m|I'?ve|I'?d|I'?ll|me|we|we'?re|we'?ve|us|you|your|you'?re|my|our)\b", _I),
        "somebody speaks",
    ),
    Rule(_EPISODIC, 2.0, re.compile(r"[!?]"), "it asks or exclaims"),
    Rule(
        _EPISODIC,
        1.5,
        re.compile(
            r"^(?:hi|hey|hello|wow|thanks|thank|yeah|yes|no|oh|sure|absolutely|congrats|great|cool|awesome|nice|"
            r"sounds|glad|good|that'?s|aww?|haha|bye|take care|same here|definitely|for sure|totally)\b",
            _I,
        ),
        "it answers somebody",
    ),
    Rule(
        _EPISODIC,
        3.0,
        re.compile(
            r"\b(?:yesterday|this morning|last (?:night|week|month|year|\w+day)|\d+ (?:days|weeks|hours) ago|"
            r"an hour ago|just now|earlier today)\b",
            _I,
        ),
        "it says when it happened",
    ),
    Rule(
        _EPISODIC,
        1.5,
        re.compile(r"\b(?:today|on \w+day,?)\b.*\w+ed\b|\w+ed\b.*\b(?:today|on \w+day)\b", _I),
        "it says when it happened",
    ),
    Rule(
        _SEMANTIC,
        6.0,
        re.compile(
            r"^(?:my (?:name|email|birthday|favou?rite [\w ]+|timezone|time zone|job|wife|"
            r"husband|partner|\w+'s name) "
            r"(?:is|are)|I (?:prefer|(?:am|'m) allergic|live in|come from|work (?:as|at|for)|"
            r"speak|(?:always|never) \w+|use|drink|like|hate|"
            r"dislike|love|(?:don't|do not|can't|cannot) (?:eat|drink|like|use|want|speak|work)) )"
            r"(?!to see|that you)[^!?]{2,120}$|^(?:the user|user(?! \w+ed\b| said| told| sent| wrote)|we use|"
            r"our \w+ (?:is|are|uses?|runs?)) [^!?]{2,200}$",
            _I,
        ),
        "it states what holds of somebody",
    ),
    Rule(
        _SEMANTIC,
        3.0,
        re.compile(
            r"^(?!I\b|We\b|You\b|My\b|Our\b|If\b|How\b|What\b|"
            r"That\b)[A-Z][\w'\u2019.-]*(?: [\w'\u2019.-]+){0,5}? (?:is|are|was|were|has|have|had|"
            r"does|do|can|cannot|will|would|must|uses?|means|\w+s|\w+ed|found|went|made|got|"
            r"took|felt|won|wrote|began|gave|bought|met|saw|"
            r"thinks|knows)\b"
        ),
        "it states something of somebody or something",
    ),
    Rule(
        _SEMANTIC,
        1.0,
        re.compile(
            r"\b(?:is|are) (?:a|an|the|not|called|known|defined|always|never|usually)\b|\bmeans\b|\bbecause\b", _I
        ),
        "it says what is",
    ),
)


@dataclass(frozen=True, slots=True)
class Leaning:
    """scores: what the rules give each type. reasons: of the rules that spoke, the heaviest first, by type."""

    scores: Mapping[MemoryType, float]
    reasons: Mapping[MemoryType, str]


def leaning(text: str) -> Leaning:
    """Where the rules see `text`; only its first 2,000 characters are read, where a text says what it is."""
    head = text[:2_000]
    spoke = [rule for rule in (*RULES, *RULES_ABROAD) if rule.pattern.search(head)]
    kinds = (_EPISODIC, _SEMANTIC, _PROSPECTIVE, _PROCEDURAL)
    scores = {kind: sum(rule.weight for rule in spoke if rule.type is kind) for kind in kinds}
    best = {
        kind: max((rule for rule in spoke if rule.type is kind), key=lambda rule: rule.weight, default=None)
        for kind in kinds
    }
    return Leaning(scores, {kind: rule.reason for kind, rule in best.items() if rule is not None})
