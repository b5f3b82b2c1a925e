"""Conversion of published benchmark files to evaluation sets, tested with tiny handwritten files of
the same format.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sets.data import read_set
from benchmarks.sets.formats.source import BadSource
from benchmarks.sets.prepare import main, prepare

LOCOMO: list[dict[str, Any]] = [
    {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ada",
            "speaker_b": "Bo",
            "session_2_date_time": "12:09 am on 13 September, 2023",
            "session_2": [{"speaker": "Ada", "dia_id": "D2:1", "text": "I sold the loom."}],
            "session_1_date_time": "4:04 pm on 20 January, 2023",
            "session_1": [
                {"speaker": "Ada", "dia_id": "D1:1", "text": "I bought a loom."},
                {
                    "speaker": "Bo",
                    "dia_id": "D1:2",
                    "text": "Lovely!",
                    "blip_caption": "a photo of a loom",
                },
                {"speaker": "Bo", "dia_id": "D1:3", "text": " "},
            ],
            "session_3_date_time": "1:00 pm on 1 October, 2023",
        },
        "observation": {
            "session_1_observation": {"Ada": [["Ada bought a loom.", "D1:1"]], "Bo": []},
            "session_2_observation": {"Ada": [["Ada traded in looms.", ["D1:1", "D2:1"]]]},
        },
        "qa": [
            {
                "question": "What did Ada do with the loom?",
                "answer": 2,
                "evidence": ["D1:1; D02:1"],
                "category": 1,
            },
            {
                "question": "What did Bo see?",
                "answer": "a loom",
                "evidence": ["D1:2", "D9:9"],
                "category": 4,
            },
            {
                "question": "What did Bo buy?",
                "adversarial_answer": "a loom",
                "evidence": ["D1:1"],
                "category": 5,
            },
            {"question": "Does Ada weave?", "answer": "likely", "evidence": [], "category": 3},
        ],
    }
]
LONGMEMEVAL: list[dict[str, Any]] = [
    {
        "question_id": "q1",
        "question_type": "knowledge-update",
        "question": "How much was it?",
        "answer": 400,
        "question_date": "2023/12/18 (Mon) 04:17",
        "haystack_session_ids": ["a", "b", "a"],
        "haystack_dates": [
            "2023/07/12 (Wed) 10:14",
            "2023/08/01 (Tue) 09:00",
            "2023/09/01 (Fri) 09:00",
        ],
        "haystack_sessions": [
            [
                {"role": "user", "content": "It was 300."},
                {"role": "assistant", "content": "Noted."},
            ],
            [
                {"role": "user", "content": "It is 400 now.", "has_answer": True},
                {"role": "assistant", "content": ""},
            ],
            [{"role": "user", "content": "Hello again."}],
        ],
        "answer_session_ids": ["b"],
    },
    {
        "question_id": "q2_abs",
        "question_type": "multi-session",
        "question": "What was never said?",
        "answer": "nothing",
        "question_date": "2023/12/18 (Mon) 04:17",
        "haystack_session_ids": ["c"],
        "haystack_dates": ["2023/07/12 (Wed) 10:14"],
        "haystack_sessions": [[{"role": "user", "content": "Something."}]],
        "answer_session_ids": ["c"],
    },
]
CHAT: list[dict[str, Any]] = [
    {
        "batch_number": 1,
        "turns": [
            [
                {
                    "role": "user",
                    "id": 0,
                    "time_anchor": "March-15-2024",
                    "content": "The sprint ends 29 March. ->-> 1,1",
                },
                {"role": "assistant", "id": 1, "content": "Noted."},
            ],
            [{"role": "user", "id": 2, "content": "It ends 5 April now. ->-> 1,2"}],
        ],
    },
    {
        "batch_number": 2,
        "turns": [
            [{"role": "user", "id": 4, "content": "x"}, {"role": "user", "id": 4, "content": "y"}]
        ],
    },
]
PROBING: dict[str, Any] = {
    "abstention": [{"question": "Who?", "ideal_response": "not said"}],
    "knowledge_update": [
        {
            "question": "When does it end?",
            "answer": "5 April",
            "source_chat_ids": {"original_info": [0], "updated_info": [2]},
        }
    ],
    "event_ordering": [
        {"question": "In which order?", "ideal_answer": "so", "source_chat_ids": [2, 0, 2, 4]}
    ],
}


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _beam(folder: Path, chat: object = CHAT, probing: object = PROBING) -> Path:
    _write(folder / "100K" / "7" / "chat.json", chat)
    _write(folder / "100K" / "7" / "probing_questions" / "probing_questions.json", probing)
    return folder / "100K"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_locomo_gives_turns_with_times_and_captions(tmp_path: Path) -> None:
    """Sessions are ordered by number, turns are 20 seconds apart, and image captions become
    text.
    """
    source = _write(tmp_path / "locomo10.json", LOCOMO)
    rows_written = prepare("locomo", source, tmp_path / "sets", None)
    rows = _rows(tmp_path / "sets" / "locomo_turns" / "corpus.jsonl")
    assert [row["id"] for row in rows] == ["conv-1:D1:1", "conv-1:D1:2", "conv-1:D2:1"]
    assert rows[1] == {
        "id": "conv-1:D1:2",
        "conversation": "conv-1",
        "session": "session_1",
        "speaker": "Bo",
        "text": "Lovely! [shares a photo of a loom]",
        "timestamp": "2023-01-20T16:04:20Z",
        "memory_type": "episodic",
        "meta": {"image_caption": "a photo of a loom"},
    }
    assert rows[2]["timestamp"] == "2023-09-13T00:09:00Z"
    left_out = "1 citations of missing turns; 1 turns without text"
    assert rows_written[0] == ("locomo_turns", 1, 3, 2, 2, left_out)


def test_locomo_questions_cite_turns(tmp_path: Path) -> None:
    """The turns that a LoCoMo question cites become its evidence, or its `forbidden` ids if it is
    unanswerable.
    """
    source = _write(tmp_path / "locomo10.json", LOCOMO)
    prepare("locomo", source, tmp_path / "sets", None)
    first, second, third, fourth = _rows(tmp_path / "sets" / "locomo_turns" / "queries.jsonl")
    assert first == {
        "id": "conv-1:q0",
        "conversation": "conv-1",
        "text": "What did Ada do with the loom?",
        "category": "multi-hop",
        "answerable": True,
        "evidence": ["conv-1:D1:1", "conv-1:D2:1"],
        "asked_at": "2023-09-14T00:09:00Z",
        "answer": "2",
    }
    assert (second["category"], second["evidence"]) == ("single-hop", ["conv-1:D1:2"])
    assert (third["answerable"], third["evidence"], third["forbidden"]) == (
        False,
        [],
        ["conv-1:D1:1"],
    )
    assert (fourth["category"], fourth["evidence"]) == ("open-domain", [])


def test_locomo_observations_become_a_second_set(tmp_path: Path) -> None:
    """The observations that LoCoMo derives from turns become the memories of a second evaluation
    set.

    It has the questions whose cited turns all have observations, which are then the evidence.
    """
    source = _write(tmp_path / "locomo10.json", LOCOMO)
    prepare("locomo", source, tmp_path / "sets", None)
    corpus = _rows(tmp_path / "sets" / "locomo_observations" / "corpus.jsonl")
    queries = _rows(tmp_path / "sets" / "locomo_observations" / "queries.jsonl")
    assert [row["id"] for row in corpus] == ["conv-1:obs:1:Ada:0", "conv-1:obs:2:Ada:0"]
    assert corpus[1]["meta"] == {"evidence": ["conv-1:D1:1", "conv-1:D2:1"]}
    assert corpus[1]["memory_type"] == "semantic"
    assert [query["id"] for query in queries] == ["conv-1:q0"]
    assert queries[0]["evidence"] == ["conv-1:obs:1:Ada:0", "conv-1:obs:2:Ada:0"]


def test_longmemeval_gives_each_question_a_conversation(tmp_path: Path) -> None:
    """Each LongMemEval question gets its own conversation, in which the turns that have the answer
    are the evidence.

    A session that occurs twice gets a second id.
    """
    source = _write(tmp_path / "longmemeval_s.json", LONGMEMEVAL)
    rows_written = prepare("longmemeval", source, tmp_path / "sets", None)
    corpus = _rows(tmp_path / "sets" / "longmemeval_s" / "corpus.jsonl")
    first, second = _rows(tmp_path / "sets" / "longmemeval_s" / "queries.jsonl")
    assert [row["id"] for row in corpus] == [
        "lme-q1:a:0",
        "lme-q1:a:1",
        "lme-q1:b:0",
        "lme-q1:a~2:0",
        "lme-q2_abs:c:0",
    ]
    assert corpus[1]["timestamp"] == "2023-07-12T10:14:30Z"
    assert (first["evidence"], first["evidence_level"]) == (["lme-q1:b:0"], "turn")
    assert (first["asked_at"], first["category"], first["answer"]) == (
        "2023-12-18T04:17:00Z",
        "knowledge-update",
        "400",
    )
    assert (second["answerable"], second["evidence"]) == (False, [])
    assert rows_written == [("longmemeval_s", 2, 5, 1, 1, "1 turns without text")]


def test_longmemeval_falls_back_to_sessions(tmp_path: Path) -> None:
    """If no turn is marked as evidence of a LongMemEval question, all turns of the sessions with
    the answer are.
    """
    instance = copy.deepcopy(LONGMEMEVAL[0])
    del instance["haystack_sessions"][1][0]["has_answer"]
    source = _write(tmp_path / "x.json", [instance])
    prepare("longmemeval", source, tmp_path / "sets", None)
    (query,) = _rows(tmp_path / "sets" / "x" / "queries.jsonl")
    assert (query["evidence"], query["evidence_level"]) == (["lme-q1:b:0"], "session")


def test_beam_gives_a_conversation_for_each_folder(tmp_path: Path) -> None:
    """Each folder of the BEAM benchmark becomes a conversation, whose times come from the time
    anchors in the files.

    Marks of the text generator are removed, and turns whose id occurs twice are no evidence.
    """
    rows_written = prepare("beam", _beam(tmp_path), tmp_path / "sets", None)
    folder = tmp_path / "sets" / "beam_100k"
    corpus = _rows(folder / "corpus.jsonl")
    assert [row["text"] for row in corpus] == [
        "The sprint ends 29 March.",
        "Noted.",
        "It ends 5 April now.",
    ]
    assert [row["timestamp"] for row in corpus] == [
        f"2024-03-15T09:0{minute}:00Z" for minute in range(3)
    ]
    assert [row["id"] for row in corpus] == ["beam-7:m0", "beam-7:m1", "beam-7:m2"]
    abstention, update, ordering = _rows(folder / "queries.jsonl")
    assert (abstention["answerable"], abstention["evidence"], abstention["answer"]) == (
        False,
        [],
        "",
    )
    assert (update["evidence"], update["current_evidence"]) == (
        ["beam-7:m0", "beam-7:m2"],
        ["beam-7:m2"],
    )
    assert (ordering["evidence"], ordering["answer"]) == (["beam-7:m2", "beam-7:m0"], "so")
    assert ordering["asked_at"] == "2024-03-17T09:00:00Z"
    assert (
        rows_written[0][-1]
        == "1 citations of missing turns; 2 turns with a duplicate id or without text"
    )


def test_conversations_can_be_limited(tmp_path: Path) -> None:
    """With a limit of N, only the first N conversations are prepared."""
    source = _write(tmp_path / "longmemeval_s.json", LONGMEMEVAL)
    prepare("longmemeval", source, tmp_path / "sets", 1)
    assert list(read_set(tmp_path / "sets" / "longmemeval_s").corpus) == ["lme-q1"]


def _without(*path: str | int) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        del content[path[-1]]

    return change


def _with(value: Any, *path: str | int) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without(0, "sample_id"), r"missing required field `sample_id` - at `\$\[0\]`"),
        (_with(7, 0), r"Expected `object`, got `int` - at `\$\[0\]`"),
        (_with({}, 0, "conversation"), "conversation: has no session"),
        (
            _without(0, "conversation", "session_1_date_time"),
            "session_1: needs turns and session_1_date_time",
        ),
        (
            _with("8 May", 0, "conversation", "session_1_date_time"),
            "session_1_date_time: '8 May' is not a time of the form",
        ),
        (_with("1", 0, "conversation", "session_1", 0, "dia_id"), "matching regex"),
        (_without(0, "conversation", "session_1", 1, "text"), "missing required field `text`"),
        (
            _with(["x"], 0, "observation", "session_1_observation", "Ada", 0),
            "Expected `array` of length 2",
        ),
        (
            _with(["", "D1:1"], 0, "observation", "session_1_observation", "Ada", 0),
            "must not be blank",
        ),
        (_with(6, 0, "qa", 0, "category"), r"Expected `int` <= 5 - at `\$\[0\].qa\[0\].category`"),
        (_with(True, 0, "qa", 0, "category"), "Expected `int`, got `bool`"),
        (
            _with([1], 0, "qa", 0, "evidence"),
            r"Expected `str`, got `int` - at `\$\[0\].qa\[0\].evidence\[0\]`",
        ),
    ],
)
def test_an_unexpected_shape_of_locomo_is_refused(
    tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    """The error for a LoCoMo file of an unexpected shape names the place in the file."""
    content = copy.deepcopy(LOCOMO)
    change(content)
    with pytest.raises(BadSource, match=message):
        prepare("locomo", _write(tmp_path / "l.json", content), tmp_path / "sets", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without(0, "answer_session_ids"), "missing required field `answer_session_ids`"),
        (_with(["a"], 0, "haystack_session_ids"), "has 1 session ids, 3 dates and 3 sessions"),
        (_with("system", 0, "haystack_sessions", 0, 0, "role"), "Invalid enum value 'system'"),
        (_with("yes", 0, "haystack_sessions", 0, 0, "has_answer"), "Expected `bool`, got `str`"),
        (_with("18 Dec", 0, "question_date"), "question_date: '18 Dec' is not a time of the form"),
        (_with(None, 0, "haystack_sessions", 2), "Expected `array`, got `null`"),
    ],
)
def test_an_unexpected_shape_of_longmemeval_is_refused(
    tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    """The error for a LongMemEval file of an unexpected shape names the place in the file."""
    content = copy.deepcopy(LONGMEMEVAL)
    change(content)
    with pytest.raises(BadSource, match=message):
        prepare("longmemeval", _write(tmp_path / "l.json", content), tmp_path / "sets", None)


@pytest.mark.parametrize(
    ("chat", "probing", "message"),
    [
        ({"plan-1": []}, PROBING, "chat.json: Expected `array`, got `object`"),
        ([], PROBING, "chat.json: has no turn"),
        (
            [{"batch_number": 1, "turns": [[{"role": "user", "id": 0, "content": "x"}]]}],
            PROBING,
            "has no time_anchor",
        ),
        (
            [{"batch_number": 1, "turns": [{"role": "user"}]}],
            PROBING,
            "Expected `array`, got `object`",
        ),
        (CHAT, [], "probing_questions.json: Expected `object`, got `array`"),
        (
            CHAT,
            {"knowledge_update": [{"source_chat_ids": [0]}]},
            "missing required field `question`",
        ),
        (
            CHAT,
            {"x": [{"question": "?", "source_chat_ids": ["0"]}]},
            "source_chat_ids: must have whole numbers",
        ),
    ],
)
def test_an_unexpected_shape_of_beam_is_refused(
    tmp_path: Path, chat: object, probing: object, message: str
) -> None:
    """The error for a BEAM file of an unexpected shape names the place in the file."""
    with pytest.raises(BadSource, match=message):
        prepare("beam", _beam(tmp_path, chat, probing), tmp_path / "sets", None)


def test_a_missing_source_is_reported(tmp_path: Path) -> None:
    """Converting a benchmark raises BadSource if the source is missing, is broken JSON, or lacks
    folders.
    """
    with pytest.raises(BadSource, match="does not exist"):
        prepare("locomo", tmp_path / "none.json", tmp_path / "sets", None)
    with pytest.raises(BadSource, match="no numbered folder"):
        prepare("beam", tmp_path, tmp_path / "sets", None)
    (tmp_path / "l.json").write_text("[")
    with pytest.raises(BadSource, match="truncated"):
        prepare("locomo", tmp_path / "l.json", tmp_path / "sets", None)
    with pytest.raises(BadSource, match="is not a folder"):
        prepare("beam", tmp_path / "l.json", tmp_path / "sets", None)


def test_an_existing_set_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Converting a benchmark into a folder that contains the set already ends with a one-line
    error.
    """
    source = _write(tmp_path / "longmemeval_s.json", LONGMEMEVAL)
    arguments = ["longmemeval", str(source), "--out", str(tmp_path / "sets")]
    assert main(arguments) == 0
    assert "| longmemeval_s |" in capsys.readouterr().out
    assert main(arguments) == 1
    message = f"{tmp_path}/sets/longmemeval_s exists: remove it or choose another --out"
    assert capsys.readouterr().err == f"prepare: {message}\n"
