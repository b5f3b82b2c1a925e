"""The built-in kinds of secrets."""

from __future__ import annotations

import pytest

from ingest.screening.redaction.patterns import BUILT_IN, KINDS
from ingest.screening.redaction.scan import redact, secrets_in
from tests.data.labelled import marked_texts
from tests.ingest.screening.redaction.secrets import HARMLESS, SENTENCES, filler, labelled, secrets


@pytest.mark.parametrize(("kind", "secret"), secrets())
@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_secret_is_found_in_any_sentence(kind: str, secret: str, sentence: str) -> None:
    """A secret is found with its kind in any sentence. Redaction replaces it with a marker such as
    [redacted:email].
    """
    text = sentence.format(secret)
    (span,) = secrets_in(text)
    assert span.kind == kind
    assert text[span.start : span.end] not in redact(text)
    assert f"[redacted:{kind}]" in redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_are_unchanged(text: str) -> None:
    """Texts that only resemble secrets are returned as the same object."""
    assert redact(text) is text


def test_redaction_has_high_recall_and_precision_on_labelled_texts() -> None:
    """In 300 labelled texts, redaction finds 98 % of the secrets or more. At least 95 % of its
    finds are secrets.
    """
    texts = labelled()
    hits = [(secret, secrets_in(text)) for text, secret in texts]
    right = sum(bool(spans) for secret, spans in hits if secret)
    wrong = sum(bool(spans) for secret, spans in hits if secret is None)
    assert len(texts) == 300
    assert right / sum(secret is not None for secret, _ in hits) >= 0.98
    assert right / (right + wrong) >= 0.95


def test_every_built_in_kind_has_a_sample() -> None:
    """`secrets()` has a sample of every built-in kind except aws_secret, whose sample is in this
    test.
    """
    assert {kind for kind, _ in secrets()} == KINDS - {"aws_secret"}
    assert "aws_secret" in [
        secret.kind for secret in secrets_in("aws_secret_access_key = " + filler(40))
    ]


@pytest.mark.parametrize(
    "name", ["seed", "wallet phrase", "My recovery phrase is", "frase de recuperaci\u00f3n"]
)
def test_twelve_words_after_a_name_of_a_recovery_phrase_are_redacted(name: str) -> None:
    words = ["maple", "orbit", "kitten", "velvet", "ribbon", "cactus"] * 2
    assert [secret.kind for secret in secrets_in(f"{name}: {' '.join(words)}")] == ["recovery_code"]
    assert secrets_in(f"{name}: {' '.join([*words, 'garden'])}") == []


@pytest.mark.parametrize(
    ("text", "kinds"), [("nora@example.com: hello", ["email"]), ("git@example.com:a/b.git", [])]
)
def test_repository_addresses_are_not_emails(text: str, kinds: list[str]) -> None:
    """`git@host:path` is no email address; other addresses before a colon are."""
    assert [secret.kind for secret in secrets_in(text)] == kinds


def test_the_quick_check_of_a_pattern_misses_no_secret() -> None:
    """A pattern is searched only in texts that contain one of its literals (fixed strings).

    This check passes every text in which the pattern finds a secret.
    """
    for text in (text for text, _ in marked_texts("training/secrets")):
        for pattern in BUILT_IN:
            if pattern.literals and any(pattern.spans(text)):
                assert pattern.likely(text.encode(), text.lower()), (pattern.literals, text)


@pytest.mark.parametrize(
    "text",
    [
        "password: ${DB_PASSWORD}",
        "DB_PASSWORD=op://Engineering/orders-db/password",
        "Authorization: Bearer <your-token>",
        "api_key = config.get('weather', 'api_key')",
        "password_min_length=12 token_ttl=3600s",
    ],
)
def test_placeholders_and_references_are_unchanged(text: str) -> None:
    """Variables, templates, references to a vault, code and documentation's example keys are not
    redacted.
    """
    assert redact(text) is text


def test_values_in_the_password_column_of_a_table_are_redacted() -> None:
    table = (
        "| system | user | password |\n|---|---|---|\n| payroll | hr_admin2 | Juniper" + "&Slate9 |"
    )
    assert redact(table) == table.replace("Juniper" + "&Slate9", "[redacted:password]")


def test_a_password_that_ends_in_equals_signs_is_redacted() -> None:
    """A base64 password that ends in `==` is redacted; the signs do not make it the name of an
    assigned value.
    """
    assert "ejY0" not in redact("data:\n  password: SHo3IWxoZ2d0cHB3" + "ejY0NA==")
