"""Synthetic texts and questions with a word distribution like that of conversations; the same seed, the same texts.

A text has 8 to 60 words: 40 % common words, most others from a dictionary, and some names that few texts share, so that
keyword search has something to match.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

_COMMON_TEXT = """
the a we it to and of in for that is was on with as this at be but not are from they have had one can said there
use
"""
_WORDS_TEXT = """
account address agent airport answer apple archive arrow artist autumn badge balance banner basket battery beach
bicycle bill blanket boat book border bottle branch bread bridge brother bucket budget build bus butter button
cabin cable cache camera candle canvas captain carpet castle ceiling chair charge cheese chest child choice circle
city class client clock cloud coach coast coffee colour column comment company concert contract copper corner
cotton counter country course crane credit crew cross crowd cup current curtain customer cycle daughter deadline
decision deploy desert design desk detail device dinner doctor document door draft dream driver dust editor effect
egg engine error evening event example export factor family farm feature feedback ferry field filter finger fire
fish flag flight floor flower folder forest form frame friend fruit garden gate gift glass goal grass guest guide
guitar habit hammer harbour harvest hat health heart hill holiday horse hotel hour house idea index island issue
jacket job journey judge juice kettle key kitchen knife ladder lake lamp language launch lawyer leaf lecture letter
library lion list lock lunch machine magazine manager map market meadow measure meeting member memory menu message
metal midnight minute mirror model money month morning mountain museum music nature needle neighbour network
newspaper night noise novel number ocean offer office oil onion option orange orchard order oven owner package page
painter paper parcel parent park partner party passport path patient payment pencil person phone photo piano
picture pilot pipe plan plane plant plate player pocket poem police pool port poster potato price printer prize
problem process profit project promise puzzle quarter queue railway rain reader reason receipt recipe record
release repair report request rescue rest result review reward river road rocket roof room rope route sail salad
salt sample sand school score sculptor season seat secret server service session shadow sheet shelf ship shirt shop
shoulder signal silver singer sister skill sleep snow soap sofa soldier song soup spoon sport spring stage stair
stamp star station stone storm story street student studio sugar suit summer supper surface table tailor task taxi
teacher team telescope tent theatre thread ticket timber timetable title token tool tooth towel tower town track
traffic train travel tree trip trouble tunnel uncle update valley value vendor version vessel village violin visit
voice wagon wall walnut water wave weather wedding week wheel window winter witness wood wool worker world writer
yard asked began bought broke brought called carried changed checked chose cleaned closed counted cut decided drew
drove explained failed fell finished fixed forgot found gave grew heard held helped hired joined kept knew learned
left lent liked lost made met missed moved needed opened ordered packed paid painted passed planned played prepared
promised pulled pushed read remembered repaired replaced returned sang sent sold started stayed stopped studied
taught told took tried turned visited waited walked wanted washed watched wore worked wrote bad big bright busy
calm careful cheap clear cold cool dark deep dry early easy empty fair fast fine fresh full happy hard heavy high
hot large late light long loud low narrow new nice old open plain poor quick quiet ready rich round safe sharp
short slow small soft strange strong sweet tall thin tired warm weak wet wide wild wise young
"""
_SYLLABLES_TEXT = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bra cle dri flo gru"
_COMMON = tuple(_COMMON_TEXT.split())
_WORDS = tuple(_WORDS_TEXT.split())
_SYLLABLES = tuple(_SYLLABLES_TEXT.split())
NAMES = 3_000
_FIRST_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_SPEAKERS = ("Ada", "Ben", "Cleo", "Dev", "Ema", "Finn")


@dataclass(frozen=True, slots=True)
class Turn:
    """A synthetic text with its speaker and time."""

    text: str
    speaker: str
    at: datetime


def turns(count: int, *, seed: int) -> Iterator[Turn]:
    """`count` turns with distinct texts, one minute apart."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        length = int(rng.integers(8, 60))
        text = _sentence(rng, length)
        speaker = _SPEAKERS[int(rng.integers(len(_SPEAKERS)))]
        yield Turn(f"{text} {name(seed)}-{index}.", speaker, _FIRST_TIME + timedelta(minutes=index))


def questions(count: int, *, seed: int) -> list[str]:
    """`count` distinct questions of 6 to 14 words."""
    rng = np.random.default_rng([seed, 1])
    return [f"What about {_sentence(rng, int(rng.integers(5, 13))).lower()} {index}?" for index in range(count)]


def name(index: int) -> str:
    """The name with this index: three syllables."""
    parts = []
    for _ in range(3):
        index, digit = divmod(index, len(_SYLLABLES))
        parts.append(_SYLLABLES[digit])
    return "".join(parts).capitalize()


def _sentence(rng: np.random.Generator, length: int) -> str:
    kinds = rng.random(length)
    words = [_word(rng, kind) for kind in kinds]
    return " ".join(words).capitalize()


def _word(rng: np.random.Generator, kind: float) -> str:
    """A common word, a dictionary word, or a name by a Zipf distribution."""
    if kind < 0.4:
        return _COMMON[int(rng.integers(len(_COMMON)))]
    if kind < 0.95:
        return _WORDS[int(rng.integers(len(_WORDS)))]
    return name(min(int(rng.zipf(1.3)), NAMES))
