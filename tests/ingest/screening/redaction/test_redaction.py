"""Redaction: what is a secret, what only looks like one, and what each policy does about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.gates import Rejection
from ingest.screening.redaction.gate import RedactionGate, Redactor
from ingest.screening.redaction.patterns import KINDS
from ingest.screening.redaction.policy import BadRedactionRules, OwnPattern, RuleBook, Rules, Treatment, read_rules
from ingest.screening.redaction.scan import Redaction, redact, secrets_in
from ingest.writing.drafts import Submission
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.types import DRAFT
from tests.ingest.doubles import SCOPE, Bench, draft
from tests.ingest.screening.redaction.secrets import HARMLESS, SENTENCES, filler, labelled, secrets

pytestmark = pytest.mark.anyio
MAIL = "nora" + "@" + "example.com"


@pytest.mark.parametrize(("kind", "secret"), secrets())
@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_secret_is_found_in_any_sentence(kind: str, secret: str, sentence: str) -> None:
    """Its kind is told and its value is gone, the rest stays."""
    text = sentence.format(secret)
    found = secrets_in(text)
    assert [one.kind for one in found] == [kind]
    assert text[found[0].start : found[0].end] not in redact(text)
    assert f"[redacted:{kind}]" in redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_survives(text: str) -> None:
    """The very same text comes back."""
    assert redact(text) is text


def test_recall_and_precision_on_written_texts() -> None:
    """At least 0.98 of the secrets are found, and at least 0.95 of what is found is one."""
    texts = labelled()
    hits = [(secret, secrets_in(text)) for text, secret in texts]
    found = sum(bool(spans) for secret, spans in hits if secret)
    false = sum(bool(spans) for secret, spans in hits if secret is None)
    assert len(texts) == 300
    assert found / sum(secret is not None for secret, _ in hits) >= 0.98
    assert found / (found + false) >= 0.95


@given(st.text(max_size=200))
def test_redaction_is_done_once(text: str) -> None:
    """What is redacted holds nothing more to redact."""
    assert redact(redact(text)) == redact(text)


@given(st.text(alphabet="abcdefghij .,!?", max_size=200))
def test_plain_words_are_left_as_they_are(text: str) -> None:
    """Words without digits or signs hold no secret."""
    assert redact(text) is text


def test_overlapping_secrets_are_one() -> None:
    """A password that looks like the beginning of an address leaves nothing of it behind."""
    text = "https://nora:" + "tulip93@lake" + "@example.com/x"
    assert "tulip" not in redact(text)
    assert len(secrets_in(text)) == 1


def test_values_are_looked_through_however_nested() -> None:
    """Lists, keys, numbers and values named like passwords; counts say how many of which kind."""
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


def test_keys_that_become_the_same_are_told_apart() -> None:
    """No member is lost."""
    other = "tom" + "@" + "example.com"
    assert sorted(Redaction().value({MAIL: 1, other: 2}).values()) == [1, 2]


async def examined(rules: Rules, **fields: Any) -> Submission | Rejection:
    """What the gate makes of a draft under `rules`."""
    given = Submission(DRAFT.validate_python({"type": "procedural", "content": "plain", **fields}))
    return await RedactionGate(Redactor(RuleBook(default=rules))).examine(SCOPE, given)


async def test_every_text_of_a_draft_is_looked_through() -> None:
    """Content, name, steps, tags, metadata and source; ids stay, and the report counts."""
    result = await examined(
        Rules(),
        content=f"ask {MAIL}",
        procedure_name=MAIL,
        steps=["first", MAIL],
        tags=[MAIL],
        metadata={"who": MAIL},
        source=MAIL,
        session_id=MAIL,
    )
    assert isinstance(result, Submission)
    assert result.redactions == {"email": 6}
    assert MAIL not in result.draft.model_copy(update={"session_id": None}).model_dump_json()
    assert result.draft.session_id == MAIL


async def test_a_draft_without_secrets_passes_as_it_is() -> None:
    """The same object, so that nothing can have changed."""
    given = Submission(draft("Alice likes tea"))
    assert await RedactionGate(Redactor()).examine(SCOPE, given) is given


async def test_markers_fit_where_the_secret_stood() -> None:
    """A title and a tag at their limits stay within them."""
    result = await examined(Rules(), procedure_name=(MAIL + " ") * 27, tags=["x" * 121 + " n" + "@b.co"])
    assert isinstance(result, Submission)
    assert len(result.draft.tags[0]) == 128
    assert isinstance(result.draft, ProceduralDraft)
    assert len(result.draft.procedure_name or "") <= 500


async def test_a_large_text_is_looked_through_as_well() -> None:
    """A secret at the end of a long text is found."""
    result = await examined(Rules(), content="plain words " * 5_000 + MAIL)
    assert isinstance(result, Submission)
    assert result.redactions == {"email": 1}


async def test_refusing_names_the_kinds_and_never_the_secret() -> None:
    """The draft is rejected with a reason that can be logged."""
    result = await examined(Rules(policy=Treatment.REFUSE), content=f"ask {MAIL}")
    assert result == Rejection("holds what may not be kept here: email; take it out and send it again")


async def test_what_is_allowed_stays() -> None:
    """A kind can be let through while the others are not."""
    result = await examined(Rules(kinds={"email": Treatment.ALLOW}), content=f"{MAIL} or +44 20 7946" + " 0958")
    assert isinstance(result, Submission)
    assert result.draft.content == f"{MAIL} or [redacted:phone]"


async def test_roles_and_types_that_are_not_kept() -> None:
    """They are rejected whatever they say."""
    assert await examined(Rules(never_keep_types=frozenset({"procedural"}))) == Rejection(
        "memories of type procedural are not kept here"
    )
    roles = Rules(never_keep_roles=frozenset({"System"}))
    assert isinstance(await examined(roles, metadata={"role": "system"}), Rejection)
    assert isinstance(await examined(roles, metadata={"role": "user"}), Submission)


async def test_what_can_not_be_looked_through_is_not_stored() -> None:
    """A pattern that fails fails the write, and nothing is kept."""
    rules = Rules.model_construct(
        policy=Treatment.REDACT,
        kinds={},
        patterns=(OwnPattern.model_construct(name="broken", regex="("),),
        never_keep_roles=frozenset(),
        never_keep_types=frozenset(),
    )
    bench = Bench(gates=(RedactionGate(Redactor(RuleBook.model_construct(default=rules, tenants={}))),))
    with pytest.raises(Unavailable, match=r"redaction could not run \([Ee]rror\)"):
        await bench.ingestor.write_one(SCOPE, draft(f"ask {MAIL}"))
    outcomes = await bench.ingestor.write(SCOPE, [draft("anything")])
    assert outcomes[0].status == "failed"
    assert bench.store.memories() == {}


def test_changes_are_looked_through() -> None:
    """The redactor refuses a value as the gate refuses a draft."""
    redactor = Redactor(RuleBook(tenants={"acme": Rules(policy=Treatment.REFUSE)}))
    with pytest.raises(InvalidRequest, match="email"):
        redactor.clean("acme", {"content": MAIL})
    assert redactor.clean("other", {"content": MAIL}).value == {"content": "[redacted:email]"}


def test_rules_from_a_file(tmp_path: Path) -> None:
    """A tenant's rules stand over the default's; own patterns are looked for."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "default: {kinds: {email: allow}, patterns: [{name: badge, regex: 'B-[0-9]{6}'}]}\n"
        "tenants: {acme: {policy: refuse}}\n"
    )
    book = read_rules(path, Treatment.REDACT)
    assert book.of("acme").policy is Treatment.REFUSE
    assert book.of("acme").kinds == {"email": Treatment.ALLOW}
    assert Redactor(book).clean("other", f"B-123456 {MAIL}").value == f"[redacted:badge] {MAIL}"
    assert read_rules(None, Treatment.ALLOW).of("x").sought() == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {patterns: [{name: x, regex: '(a'}]}", "linear time"),
        ("default: {patterns: [{name: x, regex: '(?=a)b'}]}", "linear time"),
        ("default: {patterns: [{name: x, regex: 'a*'}]}", "matches the empty text"),
        ("default: {kinds: {mail: allow}}", "no kind 'mail'"),
        ("default: {policy: hide}", "default.policy"),
        ("default: [", "can't be read as YAML"),
    ],
)
def test_rules_that_can_not_be_used_say_why(tmp_path: Path, text: str, message: str) -> None:
    """A mistake in the file stops the start, with its place."""
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(BadRedactionRules, match=message):
        read_rules(path, Treatment.REDACT)


def test_every_kind_has_a_sample() -> None:
    """The samples cover what is built in, but for AWS secrets, which their test writes out."""
    assert {kind for kind, _ in secrets()} == KINDS - {"aws_secret"}
    assert "aws_secret" in [one.kind for one in secrets_in("aws_secret_access_key = " + filler(40))]


_WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["password", "hunter22x", "bob@example.com", "4111 1111 1111 1111", "tel", "0176 1234567", "a-1", "="]
    ),
)
_JSON = st.recursive(
    st.one_of(_WORDS, st.integers(), st.booleans(), st.none(), st.just(4111111111111111)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=8,
)


@pytest.mark.parametrize("own", ["", r"a-[0-9]", r"^a-[0-9]$"])
@given(value=_JSON)
def test_looking_at_all_texts_at_once_misses_nothing(own: str, value: Any) -> None:
    """A glance at the whole of a value says of it what a look at each of its texts and keys says."""
    rules = Rules(patterns=(OwnPattern(name="own", regex=own),) if own else ())
    cleaned = Redactor(RuleBook(default=rules)).clean("acme", value)
    each = Redaction(rules.sought())
    assert cleaned.value == each.value(value)
    assert cleaned.counts == each.counts
