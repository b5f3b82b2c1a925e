"""Secrets in texts and JSON values."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.redaction.scan import Redaction, redact, secrets_in
from tests.ingest.screening.redaction.secrets import HARMLESS_LABELS, HEADED, LABELLED, filler

MAIL = "nora" + "@" + "example.com"


@given(st.text(max_size=200))
def test_redaction_is_idempotent(text: str) -> None:
    """Redacting a redacted text changes nothing."""
    assert redact(redact(text)) == redact(text)


@given(st.text(alphabet="abcdefghij .,!?", max_size=200))
def test_plain_words_are_unchanged(text: str) -> None:
    """Lower-case words with ordinary punctuation contain no secrets."""
    assert redact(text) is text


@pytest.mark.parametrize("verb", [" is", " is:", " was:", ":", " lautet:", " est :"])
def test_a_password_in_a_sentence_is_redacted(verb: str) -> None:
    """A password is redacted if a verb, a colon or both stand between the word "password" and
    it.
    """
    assert redact(f"My password{verb} hunter2secret99") == f"My password{verb} [redacted:password]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("redis-cli -h cache -a {} ping", "sw1ft" + ".Dune"),
        ("isql -U dba -P {} -d shop", "sW1ft!" + "Dune"),
        ("key-mgmt=wpa-psk\npsk={}", "dune-gr4ss" + "-31"),
        ("rocommunity {} 10.0.0.0/8", "gr4ph" + "!Only"),
        ('My passphrase is "{}", tell Tom.', "maple orbit" + " kitten velvet"),
        ("The passphrase for the backup is {}.", "maple-orbit" + "-kitten-velvet"),
    ],
)
def test_a_password_in_a_command_setting_or_phrase_is_redacted(text: str, value: str) -> None:
    assert redact(text.format(value)) == text.format("[redacted:password]")


@pytest.mark.parametrize(
    "text",
    [
        "The passphrase is stored in the vault and nowhere else.",
        "The passphrase is case-sensitive, and the passphrase was a good idea.",
        "Das Passwort für Windows11 wurde geändert.",
        "The password of web-04 was changed, scp -P 2222 is for the port.",
    ],
)
def test_what_a_password_belongs_to_is_unchanged(text: str) -> None:
    assert redact(text) is text


@pytest.mark.parametrize(("label", "value"), LABELLED)
@pytest.mark.parametrize(
    "gap", [" ", "\n", "\r\n", "\n\n", "\n    ", "\n- ", "\n```\n", "\n\n```text\n"]
)
def test_a_value_is_judged_with_its_label_across_lines(label: str, value: str, gap: str) -> None:
    """A secret is redacted whether a blank, line breaks, a list mark or a code block stand between
    its label and it.
    """
    redacted = redact(f"{label}{gap}{value}\nAsk Nora.")
    assert redacted.startswith(f"{label}{gap}[redacted:")
    assert redacted.endswith("]\nAsk Nora.")


@pytest.mark.parametrize(("text", "values"), HEADED)
def test_values_below_a_heading_or_in_a_list_are_redacted(text: str, values: list[str]) -> None:
    redacted = redact(text.format(*values))
    assert [value for value in values if value in redacted] == []
    assert redacted.count("[redacted:") == len(values)


@pytest.mark.parametrize("text", HARMLESS_LABELS)
def test_harmless_text_after_a_label_is_unchanged(text: str) -> None:
    """Prose, lists, code, paths, versions and dates below a label or heading are not redacted."""
    assert redact(text) is text


@pytest.mark.parametrize("mark", ["", "1. "])
@pytest.mark.parametrize("length", [1, 4, 12])
def test_a_recovery_phrase_on_several_lines_is_redacted(length: int, mark: str) -> None:
    """The words of a wallet's recovery phrase are redacted if they stand on several lines, also in
    a numbered list.
    """
    words = ["maple", "orbit", "kitten", "velvet", "ribbon", "cactus"] * 2
    lines = "\n".join(
        mark + " ".join(words[start : start + length]) for start in range(0, 12, length)
    )
    assert redact(f"The seed phrase of my wallet is\n{lines}\nTom has it") == (
        f"The seed phrase of my wallet is\n{mark}[redacted:recovery_code]\nTom has it"
    )


def test_overlapping_secrets_are_joined() -> None:
    """Overlapping matches are redacted as one, so no part of a password is left."""
    text = "https://nora:" + "tulip93@lake" + "@example.com/x"
    assert "tulip" not in redact(text)
    assert len(secrets_in(text)) == 1


def test_nested_values_are_redacted() -> None:
    """Secrets in lists, keys, numbers and the value of a `password` key are redacted and counted by
    kind.
    """
    redaction = Redaction()
    clean = redaction.value(
        {
            "to": [MAIL, {MAIL: 4111_1111_1111_1111}],
            "password": "tulip93lake",
            "n": 5,
            "on": True,
            "none": None,
            "f": 1.5,
        }
    )
    marker = "[redacted:email]"
    assert clean["to"] == [marker, {marker: "[redacted:card]"}]
    assert clean["password"] == "[redacted:password]"
    assert (clean["n"], clean["on"], clean["none"], clean["f"]) == (5, True, None, 1.5)
    assert redaction.counts == {"email": 2, "card": 1, "password": 1}


def test_keys_that_become_equal_are_numbered() -> None:
    """Two keys of an object that are redacted to the same marker get different numbers, so no value
    is lost.
    """
    other = "tom" + "@" + "example.com"
    assert sorted(Redaction().value({MAIL: 1, other: 2}).values()) == [1, 2]


@pytest.mark.parametrize("place", range(1_900, 2_060, 8))
def test_a_password_is_found_anywhere_in_a_long_line(place: int) -> None:
    """A password in a line of thousands of characters is redacted wherever it stands."""
    value = "Tulip93" + "!lake"
    assert value not in redact("word " * (place // 5) + f"the password is {value} " + "word " * 300)


@pytest.mark.parametrize(
    "value",
    [
        {"content": "{}", "concept": "Database password"},
        {"env": [{"name": "DB_PASSWORD", "value": "{}"}]},
        {
            "turns": [
                {"speaker": "Ann", "text": "What is the wifi password?"},
                {"speaker": "Tom", "text": "{}"},
            ]
        },
        {"steps": ["Open the admin page", "The password is:", "{}"]},
    ],
)
def test_a_secret_is_judged_with_the_texts_before_it(value: dict[str, Any]) -> None:
    """A secret is redacted if the title of its object, or the text before it in a list, says what
    it is.
    """
    secret = "zK9#mm" + "2Lpw4e"
    redaction = Redaction()
    assert secret not in json.dumps(
        redaction.value(json.loads(json.dumps(value).replace("{}", secret)))
    )
    assert redaction.counts == {"password": 1}


def test_lists_of_names_are_no_labels() -> None:
    """Single words in a list, such as names of fields, are not taken for labels of the texts after
    them.
    """
    names = {
        "fields": ["username", "password", "email-2"],
        "tags": ["token", "gpt-4o"],
        "name": "token_limit",
        "value": "128k",
    }
    assert Redaction().value(names) == names


def test_a_private_key_without_an_end_is_redacted_up_to_the_prose_after_it() -> None:
    """Of a private key without its last line, headers and data are redacted, and what is written
    below it stays.
    """
    head = "-----BEGIN RSA PRIVATE" + " KEY-----"
    key = f"{head}\nProc-Type: 4,ENCRYPTED\n\n{filler(64)}\n{filler(40, 3)}"
    assert (
        redact(f"{key}\n\nThen restart the proxy.")
        == "[redacted:private_key]\n\nThen restart the proxy."
    )


@pytest.mark.parametrize(
    "unit",
    [
        "password a.b/a.b/a.b/a.b/",
        "a.b/",
        "pass-word.pass-word.",
        "passphrase: a b c d e f g h ",
        "curl -u a:",
        "aws key ",
        "PIN of the box, ",
        "key: a1-b2-c3-",
        "a=b1=",
    ],
)
def test_the_time_of_redaction_is_linear(unit: str) -> None:
    """Four times the text takes about four times as long, also for texts built to slow it down."""
    seconds: list[float] = []
    for length in (5_000, 20_000):
        text = unit * (length // len(unit)) + "!"
        began = time.process_time()
        redact(text)
        seconds.append(time.process_time() - began)
    assert seconds[1] < 10 * seconds[0] + 0.2
