"""Times named in German, Spanish, French or Japanese, translated to English, so that one set of patterns reads all.

Pure. Word for word; other words stay. A clock has twenty-four hours unless the part of the day is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from memtypes.calendar import MONTHS, WEEKDAYS

_Replacement: TypeAlias = str | Callable[[re.Match[str]], str]

_UNITS = ("minutes", "hours", "days", "weeks", "months", "years")
_TWO_TO_TWELVE = tuple(str(number) for number in range(2, 13))


def _paired(words: str, english: Sequence[str]) -> dict[str, str]:
    return dict(zip(words.split(), english, strict=True))


_MONTH = {
    **_paired("januar februar märz april mai juni juli august september oktober november dezember", MONTHS),
    **_paired("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre", MONTHS),
    **_paired("janvier février mars avril mai juin juillet août septembre octobre novembre décembre", MONTHS),
}
_DAY = {
    **_paired("montag dienstag mittwoch donnerstag freitag samstag sonntag", WEEKDAYS),
    **_paired("lunes martes miércoles jueves viernes sábado domingo", WEEKDAYS),
    **_paired("lundi mardi mercredi jeudi vendredi samedi dimanche", WEEKDAYS),
    **_paired("月 火 水 木 金 土 日", WEEKDAYS),
}
_UNIT = {
    **_paired("minuten stunden tagen wochen monaten jahren", _UNITS),
    **_paired("minuten stunden tage wochen monate jahre", _UNITS),
    **_paired("minute stunde tag woche monat jahr", _UNITS),
    **_paired("minutos horas días semanas meses años", _UNITS),
    **_paired("minuto hora día semana mes año", _UNITS),
    **_paired("minutes heures jours semaines mois ans", _UNITS),
    **_paired("minute heure jour semaine mois an", _UNITS),
    **_paired("分 時間 日 週間 か月 年", _UNITS),
}
_NUMBER = {
    **dict.fromkeys(["ein", "eine", "einem", "einer", "einen", "un", "una", "une"], "1"),
    **_paired("zwei drei vier fünf sechs sieben acht neun zehn elf zwölf", _TWO_TO_TWELVE),
    **_paired("dos tres cuatro cinco seis siete ocho nueve diez once doce", _TWO_TO_TWELVE),
    **_paired("deux trois quatre cinq six sept huit neuf dix onze douze", _TWO_TO_TWELVE),
}


def _alternatives(words: dict[str, str], *, without: Sequence[str] = ()) -> str:
    return "|".join(sorted((word for word in words if word not in without), key=len, reverse=True))


_N = rf"(?P<n>\d{{1,4}}|{_alternatives(_NUMBER)})"
_WEEKDAY = rf"(?P<day>{_alternatives(_DAY, without='月火水木金土日')})"
_MONTH_NAME = _alternatives(_MONTH, without=MONTHS)


def _amount(match: re.Match[str]) -> str:
    return f" in {_NUMBER.get(match['n'], match['n'])} {_UNIT[match['unit']]} "


def _clock(match: re.Match[str]) -> str:
    """The matched time of day as English words on a 24-hour clock: " at 15:30 "."""
    parts = match.groupdict()
    hour, minute = int(match["h"]), int(parts.get("m") or (30 if parts.get("half") else 0))
    late = bool(parts.get("pm")) and hour < 12
    return f" at {hour + 12 * late:02}:{minute:02} "


def _date(match: re.Match[str]) -> str:
    year = f" {match['year']}" if match["year"] else ""
    return f" {match['d']} {_MONTH[match['month']]}{year} "


def _month_day(match: re.Match[str]) -> str:
    return f" {match['d']} {MONTHS[int(match['month']) - 1]} " if 1 <= int(match["month"]) <= 12 else match[0]


def _numeric(match: re.Match[str]) -> str:
    return f" {match['year']}-{int(match['month']):02}-{int(match['d']):02} "


def _weekday(form: str) -> Callable[[re.Match[str]], str]:
    return lambda match: f" {form.format(_DAY[match['day']])} "


_NO_GREETING = r"(?<!guten )(?<!am )(?<!jeden )"
_AT_HOUR = r"\ba las? (?P<h>\d{1,2})(?::(?P<m>[0-5]\d)|(?P<half> y media))?"

_ROWS: tuple[tuple[str, _Replacement], ...] = (
    # Longer phrases come first: the rules apply in order.
    (r"\bübermorgen\b|\bpasado mañana\b|\baprès-demain\b|明後日", " day after tomorrow "),
    (rf"{_NO_GREETING}\bmorgen früh\b|\bmañana (?:por|en) la mañana\b|\bdemain matin\b", " tomorrow morning "),
    ("明日の?朝|明朝", " tomorrow morning "),
    (r"\bmañana (?:por|en) la tarde\b|\bdemain après-midi\b", " tomorrow afternoon "),
    (r"\bdemain soir\b", " tomorrow evening "),
    (r"\bmañana (?:por|en) la noche\b", " tomorrow night "),
    (rf"{_NO_GREETING}\bmorgen (?=abend|mittag|vormittag|nachmittag)", " tomorrow "),
    (rf"{_NO_GREETING}(?<!heute )\bmorgen\b|\bdemain\b|明日", " tomorrow "),
    (r"\bheute (?:abend|nacht)\b|\besta noche\b|\bce soir\b|今夜|今晩", " tonight "),
    (r"\besta tarde\b|\bcet après-midi\b", " this afternoon "),
    (r"\bheute\b|\bhoy\b|\baujourd'hui\b|今日|本日", " today "),
    (r"\bin einer halben stunde\b|\bdans une demi-heure\b", " in 30 minutes "),
    (rf"\bin {_N} (?P<unit>minuten?|stunden?|tag(?:en?)?|wochen?|monat(?:en?)?|jahr(?:en?)?)\b", _amount),
    (rf"\b(?:dentro de|en) {_N} (?P<unit>minutos?|horas?|días?|semanas?|mes(?:es)?|años?)\b", _amount),
    (rf"\bdans {_N} (?P<unit>minutes?|heures?|jours?|semaines?|mois|ans?)\b", _amount),
    (rf"\b(?:nächste[nrs]?|kommende[nr]?|(?:el )?próximo) {_WEEKDAY}\b", _weekday("next {}")),
    (rf"\b(?:el )?{_WEEKDAY} (?:que viene|prochain)\b", _weekday("next {}")),
    ("来週の?(?P<day>[月火水木金土日])曜日?", _weekday("{} next week")),
    (r"\b(?:nächste|kommende)[nrs]? (?P<p>woche|monat|jahr)\b", lambda match: f" next {_UNIT[match['p']][:-1]} "),
    (r"\b(?:la )?(?:próxima semana|semana que viene|semaine prochaine)\b|来週", " next week "),
    (r"\b(?:el |le )?(?:próximo mes|mes que viene|mois prochain)\b|来月(?!の?\d)", " next month "),
    (r"(?P<n>\d{1,4})(?P<unit>分|時間|日|週間|か月|年)後", _amount),
    (r"\bende (?:der|dieser) woche\b", " end of the week "),
    (r"\bende (?:des|dieses) monats\b", " end of the month "),
    (r"\b(?:um |gegen |ab )?(?P<h>\d{1,2})(?:[:.](?P<m>[0-5]\d))? uhr\b", _clock),
    (r"\b(?:um|gegen) (?P<h>\d{1,2}):(?P<m>[0-5]\d)\b", _clock),
    (rf"{_AT_HOUR} (?:de|por) la (?P<pm>tarde|noche)\b", _clock),
    (rf"{_AT_HOUR}(?: horas?| (?:de|por) la mañana)?\b", _clock),
    (r"\b(?:à|vers) (?P<h>\d{1,2}) ?h(?:eures?)? ?(?P<m>[0-5]\d)?\b", _clock),
    (r"\b(?P<h>\d{1,2}) ?(?:h ?|heures )(?P<m>[0-5]\d)\b", _clock),
    (r"の?(?P<pm>午後)(?P<h>\d{1,2})時(?:(?P<m>\d{1,2})分|(?P<half>半))?", _clock),
    (r"の?(?:午前)?(?P<h>\d{1,2})時(?:(?P<m>\d{1,2})分|(?P<half>半))?(?!間)", _clock),
    (r"(?<!buena )(?<!la )(?<!cada )\bmañana\b", " tomorrow "),
    (r"\bvormittags?\b", " morning "),
    (r"\bnachmittags?\b", " afternoon "),
    (r"\bmittags?\b|\bmediodía\b", " noon "),
    (r"\bmitternacht\b|\bmedianoche\b", " midnight "),
    (r"\b(?:à )?midi\b", " at noon "),
    (r"\b(?:à )?minuit\b", " at midnight "),
    ("(?P<day>[月火水木金土日])曜日?", _weekday("{}")),
    (r"(?P<month>\d{1,2})月(?P<d>\d{1,2})日", _month_day),
    (r"\b(?P<d>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})\b", _numeric),
    (rf"\b(?P<d>\d{{1,2}})(?:\.|er)? (?:de )?(?P<month>{_MONTH_NAME})(?:(?: de)? (?P<year>\d{{4}}))?\b", _date),
    (rf"\b{_WEEKDAY}\b", _weekday("{}")),
)

_RULES: tuple[tuple[re.Pattern[str], _Replacement], ...] = tuple(
    (re.compile(pattern), replacement) for pattern, replacement in _ROWS
)


def in_english(text: str) -> str | None:
    """`text` in lower case with its times in English; None if it names none in these languages."""
    original = " ".join(text.replace("\u2019", "'").lower().split())
    translated = original
    for pattern, replacement in _RULES:
        translated = pattern.sub(replacement, translated)
    return None if translated == original else " ".join(translated.split())
