"""Rules that score the type of a text by its words: patterns with weights, which a reader can check. Pure.

Procedural texts give steps or commands. Prospective ones ask for a reminder or for something to be done later. Episodic
ones are told by someone, with I and you, questions and exclamations, or with the time at which something happened.
Semantic ones make statements in the third person. Other languages than English have only their clearest signs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from memtypes.model.policy import MemoryType

MAX_READ = 2_000
"""Characters that are read; a text shows its type at the beginning."""

_EPISODIC, _SEMANTIC = MemoryType.EPISODIC, MemoryType.SEMANTIC
_PROSPECTIVE, _PROCEDURAL = MemoryType.PROSPECTIVE, MemoryType.PROCEDURAL
_TYPES = (_EPISODIC, _SEMANTIC, _PROSPECTIVE, _PROCEDURAL)

# German, Spanish, French, Italian, Portuguese and Japanese
_FOREIGN_PAST = (
    r"\b(?:gestern|vorgestern|heute (?:früh|morgen)|letzte[nrs]? (?:woche|monat|jahr|nacht)|vorhin)\b",
    r"\b(?:ayer|anteayer|anoche|esta mañana|(?:la semana|el mes|el año) pasad[oa])\b",
    r"\b(?:hier|avant-hier|ce matin|(?:la semaine|le mois|l'année) derni(?:er|ère))\b",
    r"\b(?:ieri|stamattina|(?:la settimana|il mese|l'anno) scors[oa]|ontem|anteontem|(?:semana|mês|ano) passad[oa])\b",
    r"昨日|一昨日|今朝|先週|先月|昨年|昨夜",
)
_FOREIGN_TASKS = (
    r"\berinnere? mich\b|\bnicht vergessen\b|\bvergiss nicht\b|\b(?:muss|müssen|soll|sollen) .{0,40}\b(?:bis|vor)\b",
    r"\brecu[ée]rda(?:me|nos)\b|\bno (?:me |te )?olvid\w+",
    r"\b(?:tengo|tenemos|hay) que\b.{0,60}\b(?:antes|para el|hasta|mañana)\b|\brappelle[sz]?[- ](?:moi|nous)\b",
    r"\bn'oublie\w*|\b(?:il faut|je dois|on doit)\b.{0,60}\b(?:avant|d'ici|demain)\b|\bricorda(?:mi|ci)\b",
    r"\bnon dimenticare\b|\blembr(?:e|a)-?me\b|\bme lembr[ea]\b",
    r"\b(?:devo|preciso|bisogna)\b.{0,60}\b(?:entro|prima|até|antes)\b|忘れない|リマインド|思い出させ|までに.{0,40}(?:なければ|ないと|こと|必要)",
)
_FOREIGN_STEPS = (
    r"\b(?:zuerst|als erstes|erst)\b.{3,200}\b(?:dann|danach|anschließend)\b",
    r"\b(?:mischen|stoppen|öffnen|klicken|starten)\b.{0,80}\bdann\b|^wie man\b|^so \w+ man\b",
    r"\bprimero\b.{3,200}\b(?:luego|después|entonces)\b|^cómo \w+[^?]*:|^para \w+[^.?!]{0,60}:",
    r"\b(?:d'abord|premièrement)\b.{3,200}\b(?:puis|ensuite|enfin)\b|^comment \w+[^?]*:|^pour \w+[^.?!]{0,60} ?:",
    r"\bprima\b.{3,200}\bpoi\b|\bprimeiro\b.{3,200}\b(?:depois|então)\b|^come \w+[^?]*:|^como \w+[^?]*:",
    r"(?:まず|最初に).{3,200}(?:次に|その後|それから)|手順|やり方|方法[::]",
)
_FOREIGN_FACTS = (
    r"\bich (?:bin|wohne|arbeite|heiße|mag|bevorzuge|spreche|lebe|esse|trinke)\b",
    r"^(?:mein|meine|unser|unsere) \w+ (?:ist|heißt|sind|läuft|nutzt)\b",
    r"^(?:der|die|das) [\w-]+ (?:ist|sind|läuft|nutzt|verwendet|braucht|hat)\b",
    r"\b(?:vivo en|trabajo (?:en|como|para)|me llamo|prefiero|soy (?!el que)\w+|no como)\b",
    r"^(?:mi|nuestro|nuestra) \w+ (?:es|se llama|usa)\b|^(?:el|la|los|las) [\w ]{2,40} (?:es|son|usa|usan|tiene)\b",
    r"\bje (?:suis|travaille|m'appelle|préfère|mange|bois|parle)\b|\bj'habite\b",
    r"^(?:mon|ma|notre) \w+ (?:est|s'appelle|utilise)\b|^(?:le|la|les|l')[\w ]{2,40} (?:est|sont|utilise|utilisent)\b",
    r"\b(?:vivo a|lavoro (?:a|come|per)|mi chiamo|preferisco|moro em|trabalho (?:em|como|na|no)|meu nome é|prefiro)\b",
    r"^(?:mio|mia|il mio|la mia|meu|minha|o meu|a minha) \w+ (?:è|é|si chiama|se chama)\b",
    r"住んで(?:い|る)|働いて(?:い|る)|アレルギー|(?:は|が).{1,40}(?:です|だけを\w+ます|好きです|返します)。?$",
)


_RULES: Mapping[tuple[MemoryType, float, str], str] = {
    (_PROCEDURAL, 4.0, "it lists steps"): r"(?m)^\s*(?:[-*]|\d+[.)]) .+\n\s*(?:[-*]|\d+[.)]) ",
    (_PROCEDURAL, 4.0, "it lists the uses of a tool"): r"(?m)^[\w.+ -]{1,60}: .+\n+\s*- ",
    (_PROCEDURAL, 3.0, "it says how"): r"(?ims)^\s*how to\b|\bsteps? to\b|\bfirst,? .{3,200}\bthen\b",
    (_PROCEDURAL, 3.0, "it names a goal and how to reach it"): (
        r"(?i)^(?:to|in order to) \w+[^.?!\n]{2,120}[,:] ?(?:first |you )?\w+"
    ),
    (_PROCEDURAL, 3.0, "it holds commands"): r"(?m)```|`[^`\n]+ [^`\n]+`|^\s*\$ |\s--?[a-z][\w-]+\b.*\s--?[a-z]",
    (_PROCEDURAL, 2.5, "it says what to run"): (
        r"(?i)^(?:always |before \w+ing,? |when \w+ing,? )?(?:run|install|open|click|deploy|restart|configure|"
        r"build|copy|export|press|execute)\b .{3,}\b(?:then|and then|with|before|after|using|by)\b"
    ),
    (_PROCEDURAL, 3.0, "it gives steps in order"): (
        r"(?i)^(?!I\b|we\b|he\b|she\b|they\b)\w+ (?:the|a|an|your|all) [^.?!]{3,120}, (?:and )?then \w+"
    ),
    (_PROSPECTIVE, 5.0, "it asks to be reminded"): (
        r"(?i)^(?:please )?remind(?:er)?\b|\bremind (?:me|us) (?!of|why)|\bbe reminded\b|\breminders? (?:to|for|"
        r"at|on|about)\b|\b(?:set|add|create|make|delete|cancel|give|what|any)\b.{0,30}\breminders?\b(?! of|"
        r" that)|\bremember to\b|\bdon'?t (?:let me )?forget (?:to|about|that)\b|\bwake me\b|"
        r"\bto[ -]?do(?: list)?\b(?! (?:with|that|it|this))"
    ),
    (_PROSPECTIVE, 4.0, "it asks for an alarm, an appointment or an entry in a list"): (
        r"(?i)\b(?:set|start|make|create|add|put|cancel|delete|remove|change|move|reset|stop|schedule|book|have|"
        r"need|want|check|show|mark|update|clear|turn)\b.{0,60}\b(?:alarms?|timers?|calendars?|appointments?|"
        r"meetings?|meeting rooms?|events?|chores|agenda|lists?|schedule|reservations?)\b"
    ),
    (_PROSPECTIVE, 4.0, "it is about a calendar, a timer or a list"): (
        r"(?i)\b(?:on|in|to|off|from) my (?:calendar|schedule|agenda|list|to[ -]?do|shopping list|grocery list)\b|"
        r"^(?:please )?(?:schedule|reschedule|arrange)\b|\b(?:what|when|which)\b.{0,30}\b(?:meetings?|"
        r"appointments?|alarms?|timers?)\b|\btimer\b|\balarm\b|\b(?:meeting|conference) (?:room|time)s?\b|"
        r"\b(?:meet|meeting) with \w+ (?:at|on|for)\b"
    ),
    (_PROSPECTIVE, 3.5, "it has a time by which to do it"): (
        r"(?i)\b(?:need|needs|have|has|must|should|ought|want|going|plan|plans|promised|"
        r"agreed)\b(?: to)? .{2,120}\b(?:by|before|until|tomorrow|tonight|next (?:week|month|year|\w+day)|"
        r"on \w+day|at \d|in \d+ (?:minutes|hours|days|weeks))\b"
    ),
    (_PROSPECTIVE, 4.0, "it waits for an event"): (
        r"(?i)^(?:when|once|as soon as|after|next time)\b[^.?!,]{3,80}, (?:please )?(?:ask|tell|remind|check|send|"
        r"call|show|give|mention|write|bring|look)\b"
    ),
    (_PROSPECTIVE, 3.0, "it is a task with a time"): (
        r"(?i)^(?:follow[ -]?up|call|email|buy|pay|send|submit|renew|pick up|return|finish|ask|"
        r"check)\b .{2,120}\b(?:by|before|tomorrow|tonight|next|on \w+day|at \d|this (?:week|evening|afternoon))\b"
    ),
    (_PROSPECTIVE, 2.0, "it has a due time"): (
        r"(?i)\b(?:due|deadline|follow[ -]?up|when (?:we|i|you) (?:next|get|arrive))\b"
    ),
    (_EPISODIC, 2.5, "it uses I, we or you"): (
        r"(?i)\b(?:I|I'?m|I'?ve|I'?d|I'?ll|me|we|we'?re|we'?ve|us|you|your|you'?re|my|our)\b"
    ),
    (_EPISODIC, 2.0, "it asks or exclaims"): r"[!?]",
    (_EPISODIC, 1.5, "it answers somebody"): (
        r"(?i)^(?:hi|hey|hello|wow|thanks|thank|yeah|yes|no|oh|sure|absolutely|congrats|great|cool|awesome|nice|"
        r"sounds|glad|good|that'?s|aww?|haha|bye|take care|same here|definitely|for sure|totally)\b"
    ),
    (_EPISODIC, 3.0, "it says when it happened"): (
        r"(?i)\b(?:yesterday|this morning|last (?:night|week|month|year|\w+day)|\d+ (?:days|weeks|hours) ago|"
        r"an hour ago|just now|earlier today)\b"
    ),
    (_EPISODIC, 1.5, "it says when it happened"): (
        r"(?i)\b(?:today|on \w+day,?)\b.*\w+ed\b|\w+ed\b.*\b(?:today|on \w+day)\b"
    ),
    (_SEMANTIC, 6.0, "it states a lasting fact about someone"): (
        r"(?i)^(?:my (?:name|email|birthday|favou?rite [\w ]+|timezone|time zone|job|wife|husband|partner|"
        r"\w+'s name) (?:is|are)|I (?:prefer|(?:am|'m) allergic|live in|come from|work (?:as|at|for)|speak|"
        r"(?:always|never) \w+|use|drink|like|hate|dislike|love|(?:don't|do not|can't|cannot) (?:eat|drink|like|"
        r"use|want|speak|work)) )(?!to see|that you)[^!?]{2,120}$|^(?:the user|user(?! \w+ed\b| said| told| sent|"
        r" wrote)|we use|our \w+ (?:is|are|uses?|runs?)) [^!?]{2,200}$"
    ),
    (_SEMANTIC, 3.0, "it states something about someone or something"): (
        r"^(?!I\b|We\b|You\b|My\b|Our\b|If\b|How\b|What\b|"
        r"That\b)[A-Z][\w'\u2019.-]*(?: [\w'\u2019.-]+){0,5}? (?:is|are|was|were|has|have|had|does|do|can|cannot|"
        r"will|would|must|uses?|means|\w+s|\w+ed|found|went|made|got|took|felt|won|wrote|began|gave|bought|met|"
        r"saw|thinks|knows)\b"
    ),
    (_SEMANTIC, 1.0, "it says what something is"): (
        r"(?i)\b(?:is|are) (?:a|an|the|not|called|known|defined|always|never|usually)\b|\bmeans\b|\bbecause\b"
    ),
    (_EPISODIC, 4.0, "it says when it happened"): f"(?i){'|'.join(_FOREIGN_PAST)}",
    (_PROSPECTIVE, 5.0, "it is still to be done"): f"(?i){'|'.join(_FOREIGN_TASKS)}",
    (_PROCEDURAL, 5.0, "it gives steps"): f"(?i){'|'.join(_FOREIGN_STEPS)}",
    (_SEMANTIC, 3.5, "it states something about someone or something"): f"(?i){'|'.join(_FOREIGN_FACTS)}",
}
"""Regular expressions by type, weight and reason."""

_COMPILED = tuple((*rule, re.compile(pattern)) for rule, pattern in _RULES.items())


@dataclass(frozen=True, slots=True)
class RuleScores:
    """The result of the rules for a text.

    scores: the sum of the weights of matching rules, for each type. reasons: of the heaviest matching rule of a type.
    """

    scores: Mapping[MemoryType, float]
    reasons: Mapping[MemoryType, str]


def score_by_rules(text: str) -> RuleScores:
    """Scores of the four long-term types for `text`, with the reason of the heaviest matching rule."""
    head = text[:MAX_READ]
    matching = [(kind, weight, reason) for kind, weight, reason, pattern in _COMPILED if pattern.search(head)]
    scores = {kind: sum(weight for matched, weight, _ in matching if matched is kind) for kind in _TYPES}
    heaviest_first = sorted(matching, key=lambda rule: rule[1], reverse=True)
    return RuleScores(scores, {kind: reason for kind, _, reason in reversed(heaviest_first)})
