"""Sentences and steps in texts."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.sentences import MAX_STEPS, reasons_in, sentences_in, steps_in


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("We met Ana. Call her at 3.30 pm! Why?", ["We met Ana.", "Call her at 3.30 pm!", "Why?"]),
        ("one line\nanother", ["one line", "another"]),
        ("see config.yaml for it", ["see config.yaml for it"]),
        ("東京に住んでいます。 犬がいます。", ["東京に住んでいます。", "犬がいます。"]),
        (" ", []),
    ],
)
def test_a_period_within_a_number_or_file_name_ends_no_sentence(
    text: str, sentences: list[str]
) -> None:
    assert list(sentences_in(text)) == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Please ask Dr. Weiss about the knee.", "She is only there on Mondays."],
        ["Lunch with Mrs. De Luca and Prof. Hahn is on Friday.", "Book a table."],
        ["Use a strong hash, e.g. argon2.", "Never md5."],
        ["Order no. 88 is due on Nov. 30.", "The parcel was lost."],
        ["The U.S. office closes at 6 p.m. on Fridays.", "Nobody is there."],
        ["The book is by J. R. R. Tolkien and M. Smith.", "I lent it to Ana."],
        ["Wir nehmen z.B. Argon2 bzw. z. B. Bcrypt.", "MD5 ist verboten."],
        ["Am 3. und 30. November bin ich bei Hr. Seidel.", "Danach nicht."],
        ["Le rendez-vous est avec M. Dupont, c.-\u00e0-d. \u00e0 Lyon.", "La porte est verte."],
        ["La cita con la Sra. D\u00edaz es en la av. Col\u00f3n n\u00fam. 5.", "Lleva el informe."],
        ["We met at no. 5.", "It rained."],
        ["Ask Bo.", "He knows."],
        ["We chose plan B.", "It is cheaper."],
        ["They live in the U.S.", "They like it."],
        ["Don't.", "Call me at 6 p.m.", "Bring the cello."],
        ["The shop opens in May.", "Bring the keys."],
        ["My son is 5.", "My daughter is 3.", "They like trains."],
        ["use tabs.", "no mocks in tests.", "line length is 120"],
        ["Wir treffen uns um 10 Uhr.", "Frag Bo.", "Er wei\u00df es."],
        ["On part \u00e0 5 h.", "Prends du th\u00e9.", "L\u00e9a dit non.", "Il pleut."],
        ["Mi hija tiene 5.", "Le gustan los trenes.", "Ya no.", "Vamos a Vigo."],
    ],
)
def test_a_period_after_an_abbreviation_ends_no_sentence(sentences: list[str]) -> None:
    """Titles, initials, ordinals and abbreviations do not end a sentence; other short words and
    numbers may end one.
    """
    assert list(sentences_in(" ".join(sentences))) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "To release: 1. bump it. 2. tag it 3. push. Tell Ana.",
            ["To release: 1. bump it. 2. tag it 3. push.", "Tell Ana."],
        ),
        ("To release: 1) bump it 2) push it", ["To release: 1) bump it 2) push it"]),
        (
            "Decided:\n1. We use Go.\n2. Ana asks Bo.",
            ["Decided:", "1.", "We use Go.", "2.", "Ana asks Bo."],
        ),
    ],
)
def test_numbered_steps_within_a_line_are_one_sentence(text: str, sentences: list[str]) -> None:
    assert list(sentences_in(text)) == sentences


@pytest.mark.parametrize(
    ("sentence", "reasons"),
    [
        ("Since we're on Postgres 15, can I use MERGE?", ["we're on Postgres 15"]),
        ("Can I use MERGE, given that we're on Postgres 15?", ["we're on Postgres 15"]),
        ("Now that the office is in Leiden - who has the keys?", ["the office is in Leiden"]),
        ("Da wir nur Node 18 haben, geht fetch ohne Paket?", ["wir nur Node 18 haben"]),
        ("If we move to Rust, can I use it?", []),
        ("Is it a drop-in replacement?", []),
        ("Since we're on Postgres 15, I use MERGE.", []),
    ],
)
def test_reasons_within_a_question_are_found(sentence: str, reasons: list[str]) -> None:
    """Clauses of a question that begin with words such as "since" or "given that" are its reasons.

    Clauses with "if" are not, and a sentence that is no question has no reasons.
    """
    assert list(reasons_in(sentence)) == reasons


@given(st.text(max_size=80))
def test_reasons_are_substrings_of_the_question(text: str) -> None:
    assert all(
        reason in text.replace("\u2019", "'")
        for reason in reasons_in(unicodedata.normalize("NFC", text))
    )


@given(st.text(alphabet="ab .!?\n1", max_size=80))
def test_sentences_are_substrings(text: str) -> None:
    """Every sentence is a substring of the text, without blanks at its ends."""
    assert all(sentence in text and sentence == sentence.strip() for sentence in sentences_in(text))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("To deploy: 1. build 2. push", ["build", "push"]),
        ("1) open it\n2) close it\nThat is all.", ["open it", "close it"]),
        ("- soak\n- rinse", ["soak", "rinse"]),
        ("1. only one", []),
        ("It costs 2. or 3. at most", []),
        ("- " + "x\n- " * 500, ["x"] * MAX_STEPS),
    ],
)
def test_steps_are_numbered_or_bulleted(text: str, steps: list[str]) -> None:
    """The steps of a procedure are the entries of a numbered or bulleted list with at least two
    entries.

    At most MAX_STEPS are read.
    """
    assert steps_in(text) == steps


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit", ["1. ", "- ", "\n", " \n", "a.", ". ", "a. ", "a- ", "z.B. The ", "1. 2. "]
)
def test_finding_sentences_and_steps_is_fast_on_any_text(unit: str) -> None:
    """In texts built to slow down the search, sentences and steps are found within five seconds."""
    began = time.process_time()
    list(sentences_in(unit * 20_000))
    steps_in(unit * 20_000)
    assert time.process_time() - began < 5
