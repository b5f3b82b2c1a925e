"""Redaction of drafts and changes by the rules of a tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.redaction.redactor import (
    CustomPattern,
    RedactionGate,
    RedactionRules,
    Redactor,
    RuleBook,
    Treatment,
    read_rules,
)
from ingest.screening.redaction.scan import Redaction
from ingest.screening.submission import Rejection, RejectionCause, Submission
from memtypes.config import InvalidConfigFile
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.types import DRAFT
from tests.ingest.doubles import SCOPE, Bench, draft

pytestmark = pytest.mark.anyio
MAIL = "nora" + "@" + "example.com"


async def screen(rules: RedactionRules, **fields: Any) -> Submission | Rejection:
    """What the redaction gate returns for a procedural draft under `rules`: a submission or a
    rejection.
    """
    submission = Submission(
        DRAFT.validate_python({"type": "procedural", "content": "plain", **fields})
    )
    return await RedactionGate(Redactor(RuleBook(default=rules))).examine(SCOPE, submission)


async def test_every_text_of_a_draft_is_redacted() -> None:
    """Secrets in content, name, steps, tags, metadata and source are replaced and counted; ids
    stay.
    """
    screened = await screen(
        RedactionRules(),
        content=f"ask {MAIL}",
        procedure_name=MAIL,
        steps=["first", MAIL],
        tags=[MAIL],
        metadata={"who": MAIL},
        source=MAIL,
        session_id=MAIL,
    )
    assert isinstance(screened, Submission)
    assert screened.redactions == {"email": 6}
    assert MAIL not in screened.draft.model_copy(update={"session_id": None}).model_dump_json()
    assert screened.draft.session_id == MAIL


async def test_a_draft_without_secrets_is_unchanged() -> None:
    """For a draft without secrets the redaction gate returns the same object."""
    submission = Submission(draft("Alice likes tea"))
    assert await RedactionGate(Redactor()).examine(SCOPE, submission) is submission


async def test_markers_are_cut_to_the_limit_of_the_field() -> None:
    """If a redaction marker makes a field too long, the marker is cut, so that the name and the tag
    stay valid.
    """
    screened = await screen(
        RedactionRules(), procedure_name=(MAIL + " ") * 27, tags=["x" * 121 + " n" + "@b.co"]
    )
    assert isinstance(screened, Submission)
    assert len(screened.draft.tags[0]) == 128
    assert isinstance(screened.draft, ProceduralDraft)
    assert len(screened.draft.procedure_name or "") <= 500


async def test_large_texts_are_redacted() -> None:
    """A secret at the end of a long text is redacted."""
    screened = await screen(RedactionRules(), content="plain words " * 5_000 + MAIL)
    assert isinstance(screened, Submission)
    assert screened.redactions == {"email": 1}


async def test_a_refusal_names_the_kind_and_not_the_secret() -> None:
    screened = await screen(RedactionRules(policy=Treatment.REFUSE), content=f"ask {MAIL}")
    assert screened == Rejection(
        "contains secrets that are not stored here: email; remove them and send it again",
        cause=RejectionCause.REFUSED,
    )


async def test_allowed_kinds_are_not_redacted() -> None:
    """A tenant's rules may allow one kind of secret, such as e-mail addresses. Other kinds are
    still redacted.
    """
    screened = await screen(
        RedactionRules(kinds={"email": Treatment.ALLOW}), content=f"{MAIL} or +44 20 7946" + " 0958"
    )
    assert isinstance(screened, Submission)
    assert screened.draft.content == f"{MAIL} or [redacted:phone]"


async def test_excluded_roles_and_types_are_rejected() -> None:
    """If a tenant's rules exclude a role or a memory type, drafts with it are rejected whatever
    their text is.
    """
    assert await screen(RedactionRules(never_keep_types=frozenset({"procedural"}))) == Rejection(
        "memories of type procedural are not stored here"
    )
    roles = RedactionRules(never_keep_roles=frozenset({"System"}))
    assert isinstance(await screen(roles, metadata={"role": "system"}), Rejection)
    assert isinstance(await screen(roles, metadata={"role": "user"}), Submission)


async def test_nothing_is_stored_if_redaction_fails() -> None:
    """If a redaction pattern cannot be run, a single write raises Unavailable and the drafts of a
    batch fail.
    """
    rules = RedactionRules.model_construct(
        policy=Treatment.REDACT,
        kinds={},
        patterns=(CustomPattern.model_construct(name="broken", regex="("),),
        never_keep_roles=frozenset(),
        never_keep_types=frozenset(),
    )
    bench = Bench(
        gates=(RedactionGate(Redactor(RuleBook.model_construct(default=rules, tenants={}))),)
    )
    with pytest.raises(Unavailable, match=r"redaction could not run \([Ee]rror\)"):
        await bench.ingestor.write_one(SCOPE, draft(f"ask {MAIL}"))
    outcomes = await bench.ingestor.write(SCOPE, [draft("anything")])
    assert outcomes[0].status == "failed"
    assert bench.store.memories() == {}


def test_changes_to_a_memory_are_redacted() -> None:
    """A changed value of a memory is redacted or refused by the same rules as a draft."""
    redactor = Redactor(RuleBook(tenants={"acme": RedactionRules(policy=Treatment.REFUSE)}))
    with pytest.raises(InvalidRequest, match="email"):
        redactor.clean("acme", {"content": MAIL})
    assert redactor.clean("other", {"content": MAIL}).value == {"content": "[redacted:email]"}


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    """A tenant's rules in the file override the default rules, and its custom patterns are
    searched.
    """
    path = tmp_path / "rules.yaml"
    path.write_text(
        "default: {kinds: {email: allow}, patterns: [{name: badge, regex: 'B-[0-9]{6}'}]}\n"
        "tenants: {acme: {policy: refuse}}\n"
    )
    book = read_rules(path, Treatment.REDACT)
    assert book.of_tenant("acme").policy is Treatment.REFUSE
    assert book.of_tenant("acme").kinds == {"email": Treatment.ALLOW}
    assert Redactor(book).clean("other", f"B-123456 {MAIL}").value == f"[redacted:badge] {MAIL}"
    assert read_rules(None, Treatment.ALLOW).of_tenant("x").active_patterns() == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: {patterns: [{name: x, regex: '(a'}]}", "linear time"),
        ("default: {patterns: [{name: x, regex: '(?=a)b'}]}", "linear time"),
        ("default: {patterns: [{name: x, regex: 'a*'}]}", "matches the empty text"),
        ("default: {kinds: {mail: allow}}", "no kind 'mail'"),
        ("default: {policy: hide}", "default.policy"),
        ("default: {policy: redact, policy: refuse}", "repeated"),
        ("default: [", "not YAML"),
    ],
)
def test_invalid_rules_say_why(tmp_path: Path, text: str, message: str) -> None:
    """The error for invalid rules names the place of the mistake in the rules file."""
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(InvalidConfigFile, match=message):
        read_rules(path, Treatment.REDACT)


_WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "password",
            "hunter22x",
            "bob@example.com",
            "4111 1111 1111 1111",
            "tel",
            "0176 1234567",
            "a-1",
            "=",
        ]
    ),
)
_JSON = st.recursive(
    st.one_of(_WORDS, st.integers(), st.booleans(), st.none(), st.just(4111111111111111)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("regex", ["", r"a-[0-9]", r"^a-[0-9]$"])
@given(value=_JSON)
def test_searching_all_texts_joined_misses_no_secret(regex: str, value: Any) -> None:
    """Redaction first searches all texts of a value as one joined text, which is faster.

    The result equals that of searching each text and each key by itself.
    """
    rules = RedactionRules(patterns=(CustomPattern(name="custom", regex=regex),) if regex else ())
    cleaned = Redactor(RuleBook(default=rules)).clean("acme", value)
    redaction = Redaction(rules.active_patterns())
    assert cleaned.value == redaction.value(value)
    assert cleaned.counts == redaction.counts


@pytest.mark.parametrize("field", ["session_id", "agent_id"])
async def test_a_token_in_an_id_is_refused(field: str) -> None:
    """A draft whose session or agent id contains a secret token is rejected.

    The reason names the field and the kind of secret, and does not quote the id.
    """
    token = "ghp" + "_Zq7Xk2Lm9Pw4Rt6Yb1Nc8Vd3Hf5Jg0Ks"
    screened = await screen(RedactionRules(), **{field: f"s {token}"})
    assert screened == Rejection(
        f"{field}: contains a secret (github_token), and ids are stored unchanged: use an "
        "id without it",
        cause=RejectionCause.REFUSED,
    )
    assert isinstance(
        await screen(RedactionRules(policy=Treatment.ALLOW), **{field: token}), Submission
    )


@pytest.mark.parametrize(
    "name",
    [
        "user:ann@example.com",
        "6f1f2c1e-5a0e-4c53-9d8e-0d0c3a7f5b11",
        "sess_01HVXK3N8Q2",
        "login-7f3a9c2b",
        "a" * 40,
    ],
)
async def test_ordinary_ids_are_accepted(name: str) -> None:
    """E-mail addresses, UUIDs and ids with words such as "login" are not taken for secrets."""
    assert isinstance(await screen(RedactionRules(), session_id=name), Submission)


async def test_a_tenants_own_pattern_holds_for_ids() -> None:
    """An id that matches a tenant's own pattern for secrets is refused."""
    rules = RedactionRules(patterns=(CustomPattern(name="badge", regex="B-[0-9]{6}"),))
    assert isinstance(await screen(rules, agent_id="guard B-123456"), Rejection)


async def test_related_concepts_are_redacted() -> None:
    """A secret in an entry of `related` is replaced by [redacted:KIND]."""
    draft = DRAFT.validate_python(
        {"type": "semantic", "content": "plain", "related": [MAIL, "tea"]}
    )
    screened = await RedactionGate(Redactor()).examine(SCOPE, Submission(draft))
    assert isinstance(screened, Submission)
    assert screened.draft.model_dump()["related"] == ["[redacted:email]", "tea"]
