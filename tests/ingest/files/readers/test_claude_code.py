"""The reader for Claude Code transcripts, which returns only what people and agents said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.files.readers.claude_code import ABANDONED, SUBAGENTS, SUMMARIES, ClaudeCodeLines
from ingest.files.readers.transcripts import NOT_JSON, OTHER_FORM, PastSession, TranscriptFile
from tests.ingest.files.past.transcripts import NOISE, ClaudeTranscript, write_lines

FACT = "The stock counter uses advisory locks."


def read(path: Path, *, quiet: bool = True) -> list[PastSession]:
    """The sessions in a transcript.

    quiet: whether the file is no longer being written, so that its last answer is complete.
    """
    return TranscriptFile(path, ClaudeCodeLines).sessions(quiet=quiet)


def texts(sessions: list[PastSession]) -> list[tuple[str, str]]:
    """The role and text of every message in the sessions."""
    return [(message.role, message.text) for session in sessions for message in session.messages]


def transcript(session: str = "s1") -> ClaudeTranscript:
    """A session with one question and one answer."""
    talk = ClaudeTranscript(session, "/home/ann/shop")
    talk.user("Why is the counter slow?")
    talk.assistant("It waits for a row lock.")
    return talk


def test_only_what_was_said_is_read(tmp_path: Path) -> None:
    """Tool calls, thoughts, commands, reminders, context from hooks, errors and messages of
    subagents are left out.
    """
    talk = transcript()
    talk.noise()
    talk.user(
        [
            {
                "type": "text",
                "text": f"Use advisory locks. <system-reminder>{NOISE}</system-reminder>",
            }
        ]
    )
    talk.assistant("I look at it.", "Done: it uses advisory locks.")
    (session,) = read(talk.write(tmp_path))
    assert texts([session]) == [
        ("user", "Why is the counter slow?"),
        ("assistant", "It waits for a row lock."),
        ("user", "Use advisory locks."),
        ("assistant", "I look at it."),
        ("assistant", "Done: it uses advisory locks."),
    ]
    assert (session.id, session.folder) == ("s1", "/home/ann/shop")
    assert session.messages[0].at == "2026-03-02T09:00:07Z"


def test_an_abandoned_branch_is_left_out(tmp_path: Path) -> None:
    """After a rewind only the branch that leads to the last message is read.

    Messages on the abandoned branch are counted as left out.
    """
    talk = transcript()
    before = talk.leaf or ""
    talk.user(f"{NOISE}: drop the table")
    talk.assistant(f"{NOISE}: dropped")
    talk.rewind(before)
    talk.user("Keep the table.")
    file = TranscriptFile(talk.write(tmp_path), ClaudeCodeLines)
    assert [text for _, text in texts(file.sessions(quiet=True))] == [
        "Why is the counter slow?",
        "It waits for a row lock.",
        "Keep the table.",
    ]
    assert file.left_out[ABANDONED] == 2


def test_messages_before_a_compaction_are_read(tmp_path: Path) -> None:
    talk = transcript()
    talk.compact()
    talk.user("Go on.")
    file = TranscriptFile(talk.write(tmp_path), ClaudeCodeLines)
    assert [text for _, text in texts(file.sessions(quiet=True))][-1] == "Go on."
    assert len(texts(file.sessions(quiet=True))) == 3
    assert file.left_out[SUMMARIES] == 1


def test_a_compaction_without_a_parent_continues_the_conversation(tmp_path: Path) -> None:
    """Old versions wrote no `logicalParentUuid` when Claude Code compacted (summarised) a
    conversation.

    Messages from before and after such a compaction are read as one conversation.
    """
    talk = transcript()
    talk.compact()
    talk.user("Go on.")
    for line in talk.lines:
        line.pop("logicalParentUuid", None)
    assert len(texts(read(talk.write(tmp_path)))) == 3


def test_parallel_calls_of_tools_lose_no_text(tmp_path: Path) -> None:
    """If an agent calls tools while it still writes its answer, the transcript's tree of lines has
    several branches.

    All texts of the answer are read, whichever branch they are on.
    """
    talk = transcript()
    talk.user("Check both.")
    talk.assistant_block("msg_p", {"type": "text", "text": "I check the first."})
    call = talk.assistant_block(
        "msg_p", {"type": "tool_use", "id": "a", "name": "Read", "input": {}}
    )
    talk.assistant_block("msg_p", {"type": "text", "text": "And the second."})
    talk.rewind(call)
    talk.user([{"type": "tool_result", "tool_use_id": "a", "content": NOISE}])
    talk.assistant("Both are fine.")
    assert texts(read(talk.write(tmp_path)))[-2:] == [
        ("assistant", "I check the first.\nAnd the second."),
        ("assistant", "Both are fine."),
    ]


def test_answers_with_the_same_id_in_two_turns_are_two_answers(tmp_path: Path) -> None:
    """Answers in different turns are separate messages, even if the model server gives both the
    same id.
    """
    talk = ClaudeTranscript("s1", "/x")
    for number in range(2):
        talk.user(f"Question {number}?")
        talk.assistant(f"Answer {number}.", answer="msg_1")
    assert [text for _, text in texts(read(talk.write(tmp_path)))] == [
        "Question 0?",
        "Answer 0.",
        "Question 1?",
        "Answer 1.",
    ]


def test_messages_that_a_forked_session_copied_are_imported_once(tmp_path: Path) -> None:
    """Messages that a forked session copied have the same keys (identifiers of their parts) as the
    originals.

    So an import does not send these messages again.
    """
    talk = transcript()
    fork = ClaudeTranscript("s2", talk.cwd)
    for line in talk.lines:
        origin = {"sessionId": line["sessionId"], "messageUuid": line["uuid"]}
        fork.lines.append({**line, "sessionId": "s2", "forkedFrom": origin})
    fork.leaf = talk.leaf
    fork.user("In the fork.")
    (before,) = read(talk.write(tmp_path))
    (after,) = read(fork.write(tmp_path))
    assert [message.keys for message in after.messages[:2]] == [
        message.keys for message in before.messages
    ]


def test_an_answer_that_may_be_incomplete_is_read_later(tmp_path: Path) -> None:
    """The last answer in a file that was just written may be incomplete. It is read when another
    message follows.
    """
    talk = transcript()
    file = TranscriptFile(talk.write(tmp_path), ClaudeCodeLines)
    assert [role for role, _ in texts(file.sessions(quiet=False))] == ["user"]
    talk.user("Thanks.")
    talk.write(tmp_path)
    assert [role for role, _ in texts(file.sessions(quiet=False))] == ["user", "assistant", "user"]


def test_an_incomplete_last_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    """Each reading of a growing file continues at the first unread byte, so that no line is lost or
    read twice.

    An incomplete last line is read when it is complete. A file that has become shorter is read
    again from its start.
    """
    talk = transcript()
    for number in range(20):
        talk.user(f"Number {number}")
    data = talk.write(tmp_path).read_bytes()
    path = tmp_path / "growing.jsonl"
    path.write_bytes(b"")
    file = TranscriptFile(path, ClaudeCodeLines)
    for end in range(0, len(data) + 97, 97):
        path.write_bytes(data[:end])
        file.sessions(quiet=True)
    assert texts(file.sessions(quiet=True)) == texts(read(talk.write(tmp_path)))
    assert file.junk.total() == 0
    path.write_bytes(data[: len(data) // 2])
    assert len(texts(file.sessions(quiet=True))) < 22


def test_a_transcript_without_a_project_folder_gives_none(tmp_path: Path) -> None:
    """If no line of a transcript names the project folder, the session's folder is None.

    The folder is not guessed from the path of the transcript, which is ambiguous.
    """
    talk = transcript()
    for line in talk.lines:
        del line["cwd"]
    assert read(talk.write(tmp_path))[0].folder is None


def test_control_characters_and_lone_surrogates_are_removed_from_a_message(tmp_path: Path) -> None:
    """Terminal escape sequences and lone surrogates are removed from a message, and the rest of its
    text is read.
    """
    talk = ClaudeTranscript("s1", "/x")
    talk.user("\x1b[31mred\x1b[0m alarm \ud83d at noon\x00")
    assert texts(read(talk.write(tmp_path))) == [("user", "red alarm  at noon")]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
_NAMES = (
    "type",
    "uuid",
    "parentUuid",
    "message",
    "content",
    "role",
    "id",
    "text",
    "sessionId",
    "cwd",
    "timestamp",
    "isSidechain",
    "isMeta",
    "origin",
    "forkedFrom",
    "payload",
    "logicalParentUuid",
)
_LINE = st.dictionaries(
    st.sampled_from(_NAMES), _JSON | st.sampled_from(["user", "assistant", "text"]), max_size=8
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(_LINE.map(json.dumps) | _JSON.map(json.dumps) | st.text(max_size=60), max_size=12),
    st.binary(max_size=40),
)
def test_invalid_lines_do_not_stop_the_reading(
    tmp_path: Path, junk: list[str], torn: bytes
) -> None:
    """Random lines between the messages of a transcript, and an incomplete line at its end, do not
    stop the reading.
    """
    talk = transcript()
    lines: list[Any] = [json.dumps(line) for line in talk.lines]
    for number, line in enumerate(junk):
        lines.insert(number * 2 % (len(lines) + 1), line.replace("\n", " "))
    path = tmp_path / "junk.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + b"\n" + torn)
    spoken = texts(read(path))
    assert ("user", "Why is the counter slow?") in spoken or any('"uuid"' in line for line in junk)


def test_lines_of_another_form_are_counted(tmp_path: Path) -> None:
    """A line that is no JSON object and a line without `message` are left out, each counted under
    its own reason.
    """
    talk = transcript()
    path = write_lines(tmp_path / "a.jsonl", [*talk.lines, 7, {"type": "user", "uuid": "x"}])
    file = TranscriptFile(path, ClaudeCodeLines)
    assert len(texts(file.sessions(quiet=True))) == 2
    assert (file.left_out[NOT_JSON], file.left_out[OTHER_FORM]) == (1, 1)


def test_messages_of_subagents_are_left_out_and_counted(tmp_path: Path) -> None:
    talk = transcript()
    talk.user(f"{NOISE}", isSidechain=True)
    file = TranscriptFile(talk.write(tmp_path), ClaudeCodeLines)
    assert len(texts(file.sessions(quiet=True))) == 2
    assert file.left_out[SUBAGENTS] == 1
