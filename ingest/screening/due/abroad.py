"""Times said in German, Spanish, French or Japanese, in English words, so that one set of rules reads them all. Pure.

Word for word, and what names no time stays as it is. A clock is one of twenty-four hours, unless the part of the day is
named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

_Turn: TypeAlias = str | Callable[[re.Match[str]], str]

_MONTHS = "january february march april may june july august september october november december"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_UNITS = "minutes hours days weeks months years"
_ONE_TO_TWELVE = "1 2 3 4 5 6 7 8 9 10 11 12"


def _paired(words: str, english: str) -> dict[str, str]:
    return dict(zip(words.split(), english.split(), strict=True))


_MONTH = {
    **_paired("januar februar märz april mai juni juli august september oktober november dezember", _MONTHS),
    **_paired("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre", _MONTHS),
    **_paired("janvier février mars avril mai juin juillet août septembre octobre novembre décembre", _MONTHS),
}
_DAY = {
    **_paired("montag dienstag mittwoch donnerstag freitag samstag sonntag", _DAYS),
    **_paired("lunes martes miércoles jueves viernes sábado domingo", _DAYS),
    **_paired("lundi mardi mercredi jeudi vendredi samedi dimanche", _DAYS),
    **_paired("月 火 水 木 金 土 日", _DAYS),
}
_UNIT = {
    **_paired("minuten stunden tagen wochen monaten jahren", _UNITS),
    **_paired("minute stunde tag woche monat jahr", _UNITS),
    **_paired("minutos horas días semanas meses años", _UNITS),
    **_paired("minuto hora día semana mes año", _UNITS),
    **_paired("minutes heures jours semaines mois ans", _UNITS),
    **_paired("minute heure jour semaine mois an", _UNITS),
    **_paired("分 時間 日 週間 か月 年", _UNITS),
}
_NUMBER = {
    **dict.fromkeys(["ein", "eine", "einem", "einer", "einen", "un", "una", "une"], "1"),
    **_paired("zwei drei vier fünf sechs sieben acht neun zehn elf zwölf", _ONE_TO_TWELVE.removeprefix("1 ")),
    **_paired("dos tres cuatro cinco seis siete ocho nueve diez once doce", _ONE_TO_TWELVE.removeprefix("1 ")),
    **_paired("deux trois quatre cinq six sept huit neuf dix onze douze", _ONE_TO_TWELVE.removeprefix("1 ")),
}


def _one_of(words: dict[str, str], *, but: str = "") -> str:
    return "|".join(sorted((word for word in words if word not in but.split()), key=len, reverse=True))


_N = rf"(?P<n>\d{{1,4}}|{_one_of(_NUMBER)})"
_WEEKDAY = rf"(?P<day>{_one_of(_DAY, but='月 火 水 木 金 土 日')})"

_FOREIGN_MONTH = _one_of(_MONTH, but="april august september november")


def _amount(found: re.Match[str]) -> str:
    return f" in {_NUMBER.get(found['n'], found['n'])} {_UNIT[found['unit']]} "


def _amount_de(found: re.Match[str]) -> str:
    """German units end otherwise after "in"."""
    stems = ("minute", "stunde", "tag", "woche", "monat", "jahr")
    unit = next(stem for stem in stems if found["unit"].startswith(stem))
    return f" in {_NUMBER.get(found['n'], found['n'])} {_UNIT[unit]} "


def _clock(found: re.Match[str]) -> str:
    """The time as a clock of twenty-four hours shows it."""
    parts = found.groupdict()
    hour, minute = int(found["h"]), int(parts.get("m") or (30 if parts.get("half") else 0))
    late = bool(parts.get("pm")) and hour < 12
    return f" at {hour + 12 * late:02}:{minute:02} "


def _date(found: re.Match[str]) -> str:
    year = f" {found['year']}" if found["year"] else ""
    return f" {found['d']} {_MONTH[found['month']]}{year} "


def _month_day(found: re.Match[str]) -> str:
    return f" {found['d']} {_MONTHS.split()[int(found['month']) - 1]} " if 1 <= int(found["month"]) <= 12 else found[0]


def _numeric(found: re.Match[str]) -> str:
    return f" {found['year']}-{int(found['month']):02}-{int(found['d']):02} "


def _weekday(form: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f" {form.format(_DAY[found['day']])} "


_ROWS: tuple[tuple[str, _Turn], ...] = (
    # German
    (r"\bübermorgen\b", " day after tomorrow "),
    (r"(?<!guten )(?<!am )(?<!jeden )\bmorgen früh\b", " tomorrow morning "),
    (r"(?<!guten )(?<!am )(?<!jeden )\bmorgen (?=abend|mittag|vormittag|nachmittag)", " tomorrow "),
    (r"(?<!guten )(?<!am )(?<!jeden )(?<!heute )\bmorgen\b", " tomorrow "),
    (r"\bheute (?:abend|nacht)\b", " tonight "),
    (r"\bheute\b", " today "),
    (r"\bin einer halben stunde\b", " in 30 minutes "),
    (rf"\bin {_N} (?P<unit>minuten?|stunden?|tage?n?|wochen?|monate?n?|jahre?n?)\b", _amount_de),
    (rf"\b(?:nächste[nrs]?|kommende[nr]?) {_WEEKDAY}\b", _weekday("next {}")),
    (r"\b(?:nächste|kommende)[nrs]? (?P<p>woche|monat|jahr)\b", lambda found: f" next {_UNIT[found['p']][:-1]} "),
    (r"\bende (?:der|dieser) woche\b", " end of the week "),
    (r"\bende (?:des|dieses) monats\b", " end of the month "),
    (r"\b(?:um |gegen |ab )?(?P<h>\d{1,2})(?:[:.](?P<m>[0-5]\d))? uhr\b", _clock),
    (r"\b(?:um|gegen) (?P<h>\d{1,2}):(?P<m>[0-5]\d)\b", _clock),
    (r"\b(?P<d>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})\b", _numeric),
    (r"\b(?:vormittags?)\b", " morning "),
    (r"\b(?:nachmittags?)\b", " afternoon "),
    (r"\b(?:mittags?)\b", " noon "),
    (r"\bmitternacht\b", " midnight "),
    # Spanish
    (r"\bpasado mañana\b", " day after tomorrow "),
    (r"\bmañana (?:por|en) la mañana\b", " tomorrow morning "),
    (r"\bmañana (?:por|en) la tarde\b", " tomorrow afternoon "),
    (r"\bmañana (?:por|en) la noche\b", " tomorrow night "),
    (r"\ba las? (?P<h>\d{1,2})(?::(?P<m>[0-5]\d)|(?P<half> y media))? (?:de|por) la (?:mañana)\b", _clock),
    (r"\ba las? (?P<h>\d{1,2})(?::(?P<m>[0-5]\d)|(?P<half> y media))? (?:de|por) la (?P<pm>tarde|noche)\b", _clock),
    (r"\ba las? (?P<h>\d{1,2})(?::(?P<m>[0-5]\d)|(?P<half> y media))?(?: horas?)?\b", _clock),
    (r"\besta noche\b", " tonight "),
    (r"\besta tarde\b", " this afternoon "),
    (r"(?<!buena )(?<!la )(?<!cada )\bmañana\b", " tomorrow "),
    (r"\bhoy\b", " today "),
    (rf"\b(?:dentro de|en) {_N} (?P<unit>minutos?|horas?|días?|semanas?|mes(?:es)?|años?)\b", _amount),
    (rf"\b(?:el )?próximo {_WEEKDAY}\b", _weekday("next {}")),
    (rf"\b(?:el )?{_WEEKDAY} que viene\b", _weekday("next {}")),
    (r"\b(?:la )?(?:próxima semana|semana que viene)\b", " next week "),
    (r"\b(?:el )?(?:próximo mes|mes que viene)\b", " next month "),
    (r"\bmediodía\b", " noon "),
    (r"\bmedianoche\b", " midnight "),
    # French
    (r"\baprès-demain\b", " day after tomorrow "),
    (r"\bdemain matin\b", " tomorrow morning "),
    (r"\bdemain après-midi\b", " tomorrow afternoon "),
    (r"\bdemain soir\b", " tomorrow evening "),
    (r"\bdemain\b", " tomorrow "),
    (r"\baujourd'hui\b", " today "),
    (r"\bce soir\b", " tonight "),
    (r"\bcet après-midi\b", " this afternoon "),
    (rf"\bdans {_N} (?P<unit>minutes?|heures?|jours?|semaines?|mois|ans?)\b", _amount),
    (r"\bdans une demi-heure\b", " in 30 minutes "),
    (rf"\b{_WEEKDAY} prochain\b", _weekday("next {}")),
    (r"\b(?:la )?semaine prochaine\b", " next week "),
    (r"\b(?:le )?mois prochain\b", " next month "),
    (r"\b(?:à|vers) (?P<h>\d{1,2}) ?h(?:eures?)? ?(?P<m>[0-5]\d)?\b", _clock),
    (r"\b(?P<h>\d{1,2}) ?(?:h ?|heures )(?P<m>[0-5]\d)\b", _clock),
    (r"\b(?:à )?midi\b", " at noon "),
    (r"\b(?:à )?minuit\b", " at midnight "),
    # Japanese
    ("明後日", " day after tomorrow "),
    ("明日の?朝|明朝", " tomorrow morning "),
    ("明日", " tomorrow "),
    ("今日|本日", " today "),
    ("今夜|今晩", " tonight "),
    ("来週の?(?P<day>[月火水木金土日])曜日?", _weekday("{} next week")),
    ("来週", " next week "),
    ("来月(?!の?\\d)", " next month "),
    ("(?P<day>[月火水木金土日])曜日?", _weekday("{}")),
    (r"(?P<n>\d{1,4})(?P<unit>分|時間|日|週間|か月|年)後", _amount),
    (r"の?(?P<pm>午後)(?P<h>\d{1,2})時(?:(?P<m>\d{1,2})分|(?P<half>半))?", _clock),
    (r"の?(?:午前)?(?P<h>\d{1,2})時(?:(?P<m>\d{1,2})分|(?P<half>半))?(?!間)", _clock),
    (r"(?P<month>\d{1,2})月(?P<d>\d{1,2})日", _month_day),
    # Dates and weekdays of all that have blanks
    (rf"\b(?P<d>\d{{1,2}})(?:\.|er)? (?:de )?(?P<month>{_FOREIGN_MONTH})(?:(?: de)? (?P<year>\d{{4}}))?\b", _date),
    (rf"\b{_WEEKDAY}\b", _weekday("{}")),
)


_TURNS: tuple[tuple[re.Pattern[str], _Turn], ...] = tuple((re.compile(rule), turn) for rule, turn in _ROWS)


def in_english(text: str) -> str | None:
    """`text` in lower case with its times in English; None when it says none in a language of these."""
    told = " ".join(text.replace("\u2019", "'").lower().split())
    turned = told
    for pattern, turn in _TURNS:
        turned = pattern.sub(turn, turned)
    return None if turned == told else " ".join(turned.split())
