"""The plainest signs of `rules` in German, Spanish, French, Italian, Portuguese and Japanese, a pattern a type. Pure.

When it happened, what is still to be done, the order of steps, what holds of somebody: no more, but the prototype
sentences are English and tell little of other languages.
"""

from __future__ import annotations

import re

from ingest.screening.classification.rule import Rule
from memtypes.model.policy import MemoryType

_WHEN = (
    r"\b(?:gestern|vorgestern|heute (?:früh|morgen)|letzte[nrs]? (?:woche|monat|jahr|nacht)|vorhin)\b",
    r"\b(?:ayer|anteayer|anoche|esta mañana|(?:la semana|el mes|el año) pasad[oa])\b",
    r"\b(?:hier|avant-hier|ce matin|(?:la semaine|le mois|l'année) derni(?:er|ère))\b",
    r"\b(?:ieri|stamattina|(?:la settimana|il mese|l'anno) scors[oa]|ontem|anteontem|(?:semana|mês|ano) passad[oa])\b",
    r"昨日|一昨日|今朝|先週|先月|昨年|昨夜",
)
_TO_DO = (
    r"\berinnere? mich\b|\bnicht vergessen\b|\bvergiss nicht\b|\b(?:muss|müssen|soll|sollen) .{0,40}\b(?:bis|vor)\b",
    r"\brecu[ée]rda(?:me|nos)\b",
    r"\bno (?:me |te )?olvid\w+",
    r"\b(?:tengo|tenemos|hay) que\b.{0,60}\b(?:antes|para el|hasta|mañana)\b",
    r"\brappelle[sz]?[- ](?:moi|nous)\b",
    r"\bn'oublie\w*",
    r"\b(?:il faut|je dois|on doit)\b.{0,60}\b(?:avant|d'ici|demain)\b",
    r"\bricorda(?:mi|ci)\b",
    r"\bnon dimenticare\b",
    r"\blembr(?:e|a)-?me\b",
    r"\bme lembr[ea]\b",
    r"\b(?:devo|preciso|bisogna)\b.{0,60}\b(?:entro|prima|até|antes)\b",
    r"忘れない|リマインド|思い出させ|までに.{0,40}(?:なければ|ないと|こと|必要)",
)
_IN_STEPS = (
    r"\b(?:zuerst|als erstes|erst)\b.{3,200}\b(?:dann|danach|anschließend)\b",
    r"\b(?:mischen|stoppen|öffnen|klicken|starten)\b.{0,80}\bdann\b",
    r"^wie man\b",
    r"^so \w+ man\b",
    r"\bprimero\b.{3,200}\b(?:luego|después|entonces)\b|^cómo \w+[^?]*:|^para \w+[^.?!]{0,60}:",
    r"\b(?:d'abord|premièrement)\b.{3,200}\b(?:puis|ensuite|enfin)\b|^comment \w+[^?]*:|^pour \w+[^.?!]{0,60} ?:",
    r"\bprima\b.{3,200}\bpoi\b|\bprimeiro\b.{3,200}\b(?:depois|então)\b|^come \w+[^?]*:|^como \w+[^?]*:",
    r"(?:まず|最初に).{3,200}(?:次に|その後|それから)|手順|やり方|方法[::]",
)
_HOLDS = (
    r"\bich (?:bin|wohne|arbeite|heiße|mag|bevorzuge|spreche|lebe|esse|trinke)\b",
    r"^(?:mein|meine|unser|unsere) \w+ (?:ist|heißt|sind|läuft|nutzt)\b",
    r"^(?:der|die|das) [\w-]+ (?:ist|sind|läuft|nutzt|verwendet|braucht|hat)\b",
    r"\b(?:vivo en|trabajo (?:en|como|para)|me llamo|prefiero|soy (?!el que)\w+|no como)\b",
    r"^(?:mi|nuestro|nuestra) \w+ (?:es|se llama|usa)\b",
    r"^(?:el|la|los|las) [\w ]{2,40} (?:es|son|usa|usan|tiene)\b",
    r"\bje (?:suis|travaille|m'appelle|préfère|mange|bois|parle)\b",
    r"\bj'habite\b",
    r"^(?:mon|ma|notre) \w+ (?:est|s'appelle|utilise)\b",
    r"^(?:le|la|les|l')[\w ]{2,40} (?:est|sont|utilise|utilisent)\b",
    r"\b(?:vivo a|lavoro (?:a|come|per)|mi chiamo|preferisco|moro em|trabalho (?:em|como|na|no)|meu nome é|prefiro)\b",
    r"^(?:mio|mia|il mio|la mia|meu|minha|o meu|a minha) \w+ (?:è|é|si chiama|se chama)\b",
    r"住んで(?:い|る)|働いて(?:い|る)|アレルギー|(?:は|が).{1,40}(?:です|だけを\w+ます|好きです|返します)。?$",
)

_I = re.IGNORECASE


RULES_ABROAD: tuple[Rule, ...] = tuple(
    Rule(kind, weight, re.compile("|".join(patterns), _I), reason)
    for kind, weight, patterns, reason in (
        (MemoryType.EPISODIC, 4.0, _WHEN, "it says when it happened"),
        (MemoryType.PROSPECTIVE, 5.0, _TO_DO, "it is still to be done"),
        (MemoryType.PROCEDURAL, 5.0, _IN_STEPS, "it gives steps"),
        (MemoryType.SEMANTIC, 3.5, _HOLDS, "it states what holds of somebody or something"),
    )
)
