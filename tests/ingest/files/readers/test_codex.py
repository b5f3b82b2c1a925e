"""The reader for Codex rollouts (session files), which returns only prompts and answers."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from ingest.files.readers.codex import DEVELOPER, ROLLED_BACK, SUBAGENTS, CodexLines
from ingest.files.readers.transcripts import PastSession, TranscriptFile
from memtypes.model.errors import InvalidRequest
from tests.ingest.files.past.transcripts import NOISE, Rollout

HAS_ZSTD = (
    importlib.util.find_spec("backports") is not None
    and importlib.util.find_spec("backports.zstd") is not None
)


def read(path: Path) -> list[PastSession]:
    """The sessions in a rollout."""
    return TranscriptFile(path, CodexLines).sessions(quiet=True)


def texts(sessions: list[PastSession]) -> list[tuple[str, str]]:
    """The role and text of every message in the sessions."""
    return [(message.role, message.text) for session in sessions for message in session.messages]


def thread() -> Rollout:
    """A rollout with one prompt and its answer."""
    rollout = Rollout("01a2-s1", "/home/ann/shop")
    rollout.turn("Why is the counter slow?", "It waits for a row lock.")
    return rollout


def test_only_prompts_and_answers_are_read(tmp_path: Path) -> None:
    """Developer messages, environment texts, events that repeat a message, tool calls and thoughts
    are left out.
    """
    rollout = thread()
    rollout.message("user", f"<turn_aborted>{NOISE}</turn_aborted>")
    rollout.message(
        "user",
        "# Context from my IDE setup:\n\nopen: a.py\n\n## My request for Codex:\nFix <div>x</div>.",
    )
    rollout.message("user", "<div>what is this?</div>")
    file = TranscriptFile(rollout.write(tmp_path), CodexLines)
    (session,) = file.sessions(quiet=True)
    assert texts([session]) == [
        ("user", "Why is the counter slow?"),
        ("assistant", "It waits for a row lock."),
        ("user", "Fix <div>x</div>."),
        ("user", "<div>what is this?</div>"),
    ]
    assert (session.id, session.folder, file.left_out[DEVELOPER]) == (
        "01a2-s1",
        "/home/ann/shop",
        2,
    )
    assert session.messages[0].at is not None


def test_messages_of_rolled_back_turns_are_left_out(tmp_path: Path) -> None:
    """A line `thread_rolled_back` says how many of the last turns the user took back.

    Their messages are not read, and are counted as left out.
    """
    rollout = thread()
    rollout.turn(f"{NOISE}: drop the table", f"{NOISE}: dropped")
    rollout.turn(f"{NOISE}: and the index", f"{NOISE}: dropped")
    rollout.add("event_msg", type="thread_rolled_back", num_turns=2)
    rollout.turn("Keep the table.", "It stays.")
    file = TranscriptFile(rollout.write(tmp_path), CodexLines)
    assert [text for _, text in texts(file.sessions(quiet=True))] == [
        "Why is the counter slow?",
        "It waits for a row lock.",
        "Keep the table.",
        "It stays.",
    ]
    assert file.left_out[ROLLED_BACK] == 4


@pytest.mark.parametrize(
    "mark", [{"thread_source": "subagent"}, {"source": {"subagent": "review"}}]
)
def test_threads_of_subagents_are_left_out(tmp_path: Path, mark: dict[str, object]) -> None:
    """Messages in a subagent's rollout are not read, but counted as left out."""
    rollout = thread()
    rollout.lines[0]["payload"].update(mark)
    file = TranscriptFile(rollout.write(tmp_path), CodexLines)
    assert file.sessions(quiet=True) == []
    assert file.left_out[SUBAGENTS] == 2


def test_keys_do_not_depend_on_the_folder_or_the_compression(tmp_path: Path) -> None:
    """The messages of a rollout keep their keys, which identify them in imports, if the file is
    moved or compressed.
    """
    rollout = thread()
    path = rollout.write(tmp_path / "a")
    moved = tmp_path / "archived" / path.name
    moved.parent.mkdir()
    moved.write_bytes(path.read_bytes())
    assert [message.keys for message in read(path)[0].messages] == [
        message.keys for message in read(moved)[0].messages
    ]


def test_keys_do_not_depend_on_when_the_end_of_a_line_was_written(tmp_path: Path) -> None:
    """If a file is read before the line break of its last line is written, later messages keep
    their keys.
    """
    rollout = thread()
    path = rollout.write(tmp_path)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    file = TranscriptFile(path, CodexLines)
    file.sessions(quiet=True)
    rollout.turn("And now?", "It uses advisory locks.")
    rollout.write(tmp_path)
    assert file.sessions(quiet=True) == read(path)


@pytest.mark.skipif(not HAS_ZSTD, reason="needs the extra zstd")
def test_compressed_rollouts_are_read(tmp_path: Path) -> None:
    """A rollout (session file of Codex) that is compressed by Zstandard gives the same messages as
    the plain file.

    A damaged compressed file raises an error that says that it is damaged.
    """
    zstd = importlib.import_module("backports.zstd")
    path = thread().write(tmp_path)
    packed = path.with_name(path.name + ".zst")
    packed.write_bytes(zstd.compress(path.read_bytes()))
    file = TranscriptFile(packed, CodexLines)
    assert file.sessions(quiet=True) == read(path)
    assert file.sessions(quiet=True) == read(path)
    packed.write_bytes(packed.read_bytes()[:-9] + b"damaged")
    with pytest.raises(OSError, match="damaged"):
        file.sessions(quiet=True)


def test_without_the_library_a_compressed_rollout_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    packed = tmp_path / "rollout-1.jsonl.zst"
    packed.write_bytes(b"x")
    with pytest.raises(InvalidRequest, match=r"remembrancer\[zstd\]"):
        TranscriptFile(packed, CodexLines).sessions(quiet=True)


def test_lines_of_another_form_are_counted(tmp_path: Path) -> None:
    rollout = thread()
    path = rollout.write(tmp_path)
    broken = {
        "type": "response_item",
        "payload": {"type": "message", "role": ["user"], "content": 7},
    }
    with path.open("a") as stream:
        stream.write(json.dumps(broken) + "\n{\n[]\n")
        stream.write(
            json.dumps({"type": "event_msg", "payload": {"type": "thread_rolled_back"}}) + "\n"
        )
    file = TranscriptFile(path, CodexLines)
    assert len(texts(file.sessions(quiet=True))) == 2
    assert file.junk.total() == 4
