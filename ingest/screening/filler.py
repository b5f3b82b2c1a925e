"""What says nothing of itself: words of courtesy and assent, in a few languages; and words by which those are told."""

from __future__ import annotations


def _set(*words: str) -> frozenset[str]:
    return frozenset(word for line in words for word in line.split())


_ENGLISH = (
    "ok okay k kk thanks thank thx ty you u yes yeah yep yup no nope sure got it gotcha cool nice great good "
    "perfect awesome amazing wonderful fantastic excellent lovely wow oh ah hmm hm uh um haha lol hi hello hey "
    "bye goodbye morning night afternoon evening welcome please sorry right alright fine done understood noted "
    "agreed exactly absolutely definitely totally indeed well so very much a lot again that's thats that this is "
    "sounds looks lgtm will do i see and the to for all too really just later have day your works work makes "
    "sense problem worries np course of my pleasure it's its go ahead continue next one moment let me know hope "
    "helps cheers man dude friend everyone there how are doing what's up talk soon take care cc brb afk ack roger "
)
_GERMAN = (
    "danke dank vielen bitte ja nein genau klar alles super passt gut guten morgen tag abend nacht hallo tschüss "
    "servus moin stimmt prima schön sehr gerne gern kein problem zusammen bis später dann verstanden mach ich das "
    "ist auch "
)
_SPANISH = (
    "gracias vale perfecto sí si claro de nada hola buenos días dias buenas tardes noches genial muy bien muchas "
    "por favor adiós luego hasta entendido bueno "
)
_FRENCH = (
    "merci beaucoup oui non d'accord c'est bon bonne bonjour salut ça marche va parfait très rien s'il te vous "
    "plaît demain bientôt compris "
)
_ITALIAN = (
    "grazie mille bene sì prego ciao perfetto certo buongiorno buonasera capito obrigado obrigada tudo bem sim "
    "não bom dia boa noite tarde valeu beleza "
)
_JAPANESE = (
    "ありがとうございます ありがとう はい いいえ 了解です 了解しました 了解 なるほど "
    "おはようございます わかりました すみません こんにちは お疲れ様です 谢谢 好的 你好 明白了 没问题"
)

FILLER = _set(_ENGLISH, _GERMAN, _SPANISH, _FRENCH, _ITALIAN, _JAPANESE)

ABROAD = _set(
    "ich mein meine nicht und der das ist wir mit ein eine im auf für über geht nur bin habe "
    "el los las y en mi tengo soy vivo que con una es mis "
    "je le les et mon ma est des une pour avec j'ai sans suis "
    "il di mio mia sono ho per eu meu minha moro tenho com uma"
)
"""Small words of German, Spanish, French, Italian and Portuguese that are none in English."""
