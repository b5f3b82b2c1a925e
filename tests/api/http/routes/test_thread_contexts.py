"""Contexts of threads over HTTP: what is cut to fit the budget, the list of files, and the default
budget.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from memtypes.llms.registry import Registry, default_file
from tests.api.thread_client import begun, client_with, say, words
from tests.fakes import FakeTokenizer

CONVERSATIONS = Path(__file__).parents[3] / "data" / "summaries.jsonl"

pytestmark = pytest.mark.anyio

POLICIES = """
threads:
  brief: {type: token_based, max_tokens: 400, flush: {strategy: hybrid_summary,
    summary_tokens: 100}}
  drop: {max_messages: 12, type: message_count_based, flush: {strategy: hybrid_summary,
    target: 0.75, oldest: 0.01}}
  talk: {type: message_count_based, max_messages: 100, flush: {strategy: hybrid_summary,
    target: 0.1, keep_first: 0}}
  modelled: {model: gpt-4o}
  few: {max_turns: 4}
  long: {max_turns: 2000}
  divided: {allocation: {system: 0.1, long_term: 0.3, short_term: 0.6}}
  nothing_given: {allocation: {long_term: 0.3, short_term: 0.7, custom: 0.0}}
  terse: {allocation: {long_term: 0.95, short_term: 0.05}}
  shared: {model: gpt-4o, max_context_ratio: 0.001}
"""


REGISTRY = Registry.from_files(default_file())
client = client_with(POLICIES, models=lambda: REGISTRY)


async def context(
    client: httpx.AsyncClient, thread: str, status: int = 200, **body: Any
) -> dict[str, Any]:
    """Request the context of a thread with these fields of the body, and return the answer."""
    answer = await client.post(f"/v1/threads/{thread}/context", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_turns_that_left_are_counted_with_where_they_are(client: httpx.AsyncClient) -> None:
    """A context says how many turns a flush or an eviction removed, and where they are: in the
    summary, and in memories with the tag that it names. A small one names no tag.
    """
    thread = (await begun(client, resource="brief"))["id"]
    flushed = 0
    for number in range(30):
        said = await say(client, thread, f"We decided on plan {number}. {words(15)}")
        flushed += said["flushed"]
    answer = await context(client, thread, budget=600)
    live = 30 - flushed
    assert (answer["omitted"]["turns"], answer["omitted"]["flushed"]) == (flushed, flushed)
    assert len(answer["turns"]) == live
    mark = f"- [{flushed} earlier turns: summary under Earlier, memories tagged thread:{thread}]\n"
    assert mark in answer["context"]
    assert "## Earlier\n" in answer["context"]
    tagged = {**client.params, "tag": f"thread:{thread}"}
    memories = (await client.get("/v1/memories", params=tagged)).json()["memories"]
    assert sum(len(memory["source"]["turns"]) for memory in memories) == flushed
    small = await context(client, thread, budget=60)
    assert f"- [{flushed} earlier turns: summary under Earlier, memories]\n" in small["context"]
    assert small["omitted"]["turns"] == 30 - len(small["turns"])
    assert (await client.post(f"/v1/threads/{thread}/clear", json={"confirm": True})).is_success
    await say(client, thread, "begun again")
    assert (await context(client, thread, budget=600))["omitted"]["turns"] == 0


async def test_turns_that_were_evicted_are_counted(client: httpx.AsyncClient) -> None:
    thread = (await begun(client, resource="few"))["id"]
    for number in range(6):
        await say(client, thread, f"turn {number}")
    answer = await context(client, thread, budget=600)
    assert (answer["omitted"]["turns"], answer["omitted"]["flushed"]) == (2, 2)
    assert f"- [2 earlier turns: memories tagged thread:{thread}]\n" in answer["context"]


async def test_contents_of_files_share_the_budget_of_files(client: httpx.AsyncClient) -> None:
    """The newest content that was given for a file is shown with its path, the last mentioned file
    first; what does not fit is cut, and counted.
    """
    thread = (await begun(client))["id"]
    old = {"path": "a.py", "content": "print('old')"}
    new = {"path": "a.py", "content": "print('new')\nprint('ann@example.org')"}
    await say(client, thread, "the first version", files=[old, "c.py"])
    await say(client, thread, "a large one", files=[{"path": "b.py", "content": words(400)}])
    said = await say(client, thread, "the second version", files=[new, "c.py"])
    assert (said["turn"]["files"], said["redactions"]) == (["a.py", "c.py"], {"email": 1})
    answer = await context(client, thread, budget=1_000)
    assert "- a.py\n  print('new')\n  print('[redacted:email]')\n" in answer["context"]
    assert "old" not in answer["context"]
    shown = {file["path"]: file.get("content") for file in answer["files"]}
    assert shown == {"a.py": "whole", "b.py": "whole", "c.py": None}
    assert answer["omitted"]["contents"] == 0
    small = await context(client, thread, budget=200)
    assert {file["path"]: file.get("content") for file in small["files"]} == {
        **shown,
        "b.py": "part",
    }
    assert small["omitted"]["contents"] == 1
    assert "text of 1 file" in small["context"]
    assert "- b.py\n  word word" in small["context"]
    assert len(small["turns"]) == 3
    least = await context(client, thread, budget=90)
    assert {file["path"] for file in least["files"]} == {"a.py", "b.py", "c.py"}
    none = await context(client, thread, budget=1_000, include_files=False)
    assert (none["files"], none["omitted"]["contents"]) == ([], 0)


async def test_a_file_keeps_its_content_when_it_is_only_mentioned_again(
    client: httpx.AsyncClient,
) -> None:
    """A content stays with its file until another is given, also in threads that continue this one,
    and ends when the turns are replaced.
    """
    parent = (await begun(client))["id"]
    await say(client, parent, "see", files=[{"path": "a.py", "content": "answer = 42"}])
    child = (await begun(client, parent_id=parent))["id"]
    await say(client, child, "again", files=["a.py"])
    answer = await context(client, child, budget=500)
    assert answer["files"] == [{"path": "a.py", "thread_id": child, "turn": 0, "content": "whole"}]
    assert "- a.py\n  answer = 42\n" in answer["context"]
    turns = [{"role": "user", "content": "anew", "files": [{"path": "a.py", "content": "x = 1"}]}]
    assert (await client.put(f"/v1/threads/{parent}/turns", json={"turns": turns})).is_success
    assert "- a.py\n  x = 1\n" in (await context(client, child, budget=500))["context"]
    assert (await client.post(f"/v1/threads/{parent}/clear", json={"confirm": True})).is_success
    assert (await context(client, child, budget=500))["files"][0].get("content") is None


async def test_the_newest_turn_is_cut_rather_than_left_out(client: httpx.AsyncClient) -> None:
    thread = (await begun(client))["id"]
    await say(client, thread, "what came before")
    await say(client, thread, f"the newest turn {words(500)}", files=["a.py"])
    answer = await context(client, thread, budget=100)
    assert answer["turns"] == [{"thread_id": thread, "index": 1, "cut": True}]
    assert "user: the newest turn word" in answer["context"]
    assert "[cut]" in answer["context"]
    assert "- [left out: 1 turn]\n" in answer["context"]
    assert answer["omitted"] == {
        "turns": 1,
        "flushed": 0,
        "files": 0,
        "contents": 0,
        "images": 0,
        "summary": False,
        "initial_context": False,
    }
    assert answer["metadata"]["total_tokens"] <= 100


@pytest.mark.parametrize(
    ("resource", "role"), [("terse", "user"), ("terse", "system"), ("divided", "system")]
)
async def test_the_newest_turn_is_shown_whatever_share_it_has(
    client: httpx.AsyncClient, resource: str, role: str
) -> None:
    """If the policy gives the newest turn too small a share of the budget, the turn is cut but
    still shown.
    """
    thread = (await begun(client, resource=resource))["id"]
    await say(client, thread, f"what came before {words(200)}")
    await say(client, thread, f"the newest turn {words(500)}", role=role)
    answer = await context(client, thread, budget=100)
    assert {"thread_id": thread, "index": 1, "cut": True} in answer["turns"]
    assert f"{role}: the newest turn" in answer["context"]
    assert answer["metadata"]["total_tokens"] <= 100


async def test_an_initial_context_needs_no_share_in_the_policy(client: httpx.AsyncClient) -> None:
    """A thread's initial context is shown if the policy names no share of the budget for it.

    It is left out if the policy names the share 0.
    """
    initial_context = f"{'The sky is blue. ' * 60}You must never delete anything."
    for resource, is_shown in (("divided", True), ("nothing_given", False)):
        thread = (await begun(client, resource=resource, initial_context=initial_context))["id"]
        await say(client, thread, words(200))
        answer = await context(client, thread, budget=300)
        assert ("You must never delete anything." in answer["context"]) == is_shown
        assert answer["omitted"]["initial_context"]


async def test_a_summary_keeps_the_newest_of_equally_important_sentences(
    client: httpx.AsyncClient,
) -> None:
    thread = (await begun(client, resource="brief"))["id"]
    for number in range(80, 140):
        await say(
            client, thread, f"Ticket {number} was closed by the team on the second day of the week."
        )
    first = (await client.get(f"/v1/threads/{thread}", params={"limit": 2})).json()
    oldest = first["turns"][1]["content"].split()[1]
    assert f"Ticket {int(oldest) - 1} was closed" in first["thread"]["summary"]


async def test_a_summary_keeps_facts_rather_than_acknowledgements(
    client: httpx.AsyncClient,
) -> None:
    """A summary by rule has most facts of a conversation and few lines such as "Ok." or "Danke!",
    in each language.

    The conversations are in English, German, Spanish and Japanese. A summary has half the tokens of
    the conversation.
    """
    counts: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for conversation in map(json.loads, CONVERSATIONS.read_text(encoding="utf-8").splitlines()):
        thread = (await begun(client, resource="talk"))["id"]
        language = conversation["id"][:2]
        for turn in conversation["turns"]:
            await say(client, thread, turn["content"], role=turn["role"])
        await client.post(f"/v1/threads/{thread}/flush", json={"force": True})
        summary_lines = (
            (await client.get(f"/v1/threads/{thread}")).json()["thread"]["summary"].splitlines()
        )
        stated = {
            f"{turn['role']}: {turn['content']}" for turn in conversation["turns"] if turn["fact"]
        }
        counts[language] += len(stated.intersection(summary_lines))
        facts[language] += len(stated)
        lines[language] += len(summary_lines)
    for language in ("en", "de", "es", "ja"):
        assert counts[language] >= 0.4 * facts[language], language
        assert counts[language] >= 0.6 * lines[language], language


async def test_old_facts_stay_in_a_summary_however_often_the_thread_is_flushed(
    client: httpx.AsyncClient,
) -> None:
    """A thread that loses a turn or two at a time has most of its facts in its summary, the oldest
    ones too.

    All conversations of a language are one thread. The summary is never longer than its limit of
    500 tokens.
    """
    conversations = [
        json.loads(line) for line in CONVERSATIONS.read_text(encoding="utf-8").splitlines()
    ]
    for language in ("en", "de", "es", "ja"):
        turns = [
            turn
            for each in conversations
            if each["id"].startswith(language)
            for turn in each["turns"]
        ]
        thread = (await begun(client, resource="drop"))["id"]
        flushes = 0
        summary = ""
        for turn in turns:
            flushes += (await say(client, thread, turn["content"], role=turn["role"]))[
                "flushed"
            ] > 0
            summary = (await client.get(f"/v1/threads/{thread}")).json()["thread"]["summary"] or ""
            assert FakeTokenizer().count(summary) <= 500
        stated = [f"{turn['role']}: {turn['content']}" for turn in turns[:-12] if turn["fact"]]
        assert flushes >= 5, language
        assert len(set(stated).intersection(summary.splitlines())) >= 0.75 * len(stated), (
            language,
            summary,
            stated,
        )


async def test_a_date_stays_whole_in_a_summary(client: httpx.AsyncClient) -> None:
    """A summary does not take the point of an ordinal number, as in "12. Juni", for the end of a
    sentence.
    """
    thread = (await begun(client, resource="talk"))["id"]
    for content in (
        "Ja. " * 30,
        "Oma Gerti kommt am 12. Juni mit dem Zug aus Porto. Danke!",
        "Gut.",
        "Ja.",
        "Ok.",
    ):
        await say(client, thread, content)
    answer = await client.post(f"/v1/threads/{thread}/flush", json={"force": True})
    assert (
        "user: Oma Gerti kommt am 12. Juni mit dem Zug aus Porto."
        in answer.json()["summary"].splitlines()
    )


async def test_a_budget_without_room_for_the_counts_says_that_there_is_more(
    client: httpx.AsyncClient,
) -> None:
    """If the budget has no room to count what is left out, the context has the short line "[more is
    left out]".
    """
    thread = (await begun(client, initial_context="Given. " * 40))["id"]
    for number in range(30):
        await say(
            client, thread, f"turn {number}", files=[f"{number}.py"], images=[f"{number}.png"]
        )
    await say(client, thread, f"the newest turn {words(500)}")
    answer = await context(client, thread, budget=40)
    assert "- [more is left out]\n" in answer["context"]
    assert answer["turns"] == [{"thread_id": thread, "index": 30, "cut": True}]
    assert answer["metadata"]["total_tokens"] <= 40


async def test_an_omitted_initial_context_is_not_marked_as_cut(client: httpx.AsyncClient) -> None:
    """If the budget has no room for any of the initial context, the text says so, and not that it
    is cut.
    """
    thread = (await begun(client, resource="nothing_given", initial_context="Given. " * 40))["id"]
    await say(client, thread, words(200))
    answer = await context(client, thread, budget=100)
    assert "Given." not in answer["context"]
    assert "- [left out: text of the given context]\n" in answer["context"]


async def test_a_summary_and_an_initial_context_above_the_budget_are_cut(
    client: httpx.AsyncClient,
) -> None:
    initial_context = f"{'The sky is blue. ' * 60}You must never delete anything."
    thread = (await begun(client, resource="brief", initial_context=initial_context))["id"]
    for number in range(60):
        await say(
            client, thread, f"step {number} ends. We decided on {number} of them. {words(3)}."
        )
    answer = await context(client, thread, budget=150)
    assert answer["omitted"]["summary"]
    assert answer["omitted"]["initial_context"]
    assert "You must never delete anything." in answer["context"]
    assert "## Earlier\n- user: We decided on" in answer["context"]
    assert "text of the summary, text of the given context]" in answer["context"]


async def test_files_of_flushed_turns_are_still_listed(client: httpx.AsyncClient) -> None:
    """A thread's context lists the files that flushed turns named, each once with its newest turn.

    A small budget lists fewer files and counts the others.
    """
    thread = (await begun(client, resource="brief"))["id"]
    for number in range(80):
        files = [f"file-{number % 30}.py"]
        await say(
            client,
            thread,
            f"turn {number} {words(12)}",
            files=files,
            images=files if number < 3 else [],
        )
    assert (await client.get(f"/v1/threads/{thread}/stats")).json()["turns"] < 30
    answer = await context(client, thread, budget=10_000)
    assert len(answer["files"]) == 30
    assert answer["files"][0] == {"path": "file-19.py", "thread_id": thread, "turn": 79}
    assert answer["files"][-1] == {"path": "file-20.py", "thread_id": thread, "turn": 50}
    assert [image["turn"] for image in answer["images"]] == [2, 1, 0]
    tight = await context(client, thread, budget=120)
    assert 0 < len(tight["files"]) < 30
    assert tight["omitted"]["files"] == 30 - len(tight["files"])
    assert f"{tight['omitted']['files']} files" in tight["context"]
    hidden = await context(client, thread, budget=10_000, include_files=False)
    assert (hidden["files"], hidden["images"], hidden["omitted"]["files"]) == ([], [], 0)


async def test_a_models_name_is_enough_to_set_the_budget(client: httpx.AsyncClient) -> None:
    """The default budget is a part of the context window of the model that the request or the
    policy names.

    Without a model, the request has to set the budget.
    """
    plain = (await begun(client))["id"]
    modelled = (await begun(client, resource="modelled"))["id"]
    shared = (await begun(client, resource="shared"))["id"]
    for thread in (plain, modelled, shared):
        await say(client, thread, "hello")
    assert (await context(client, plain, model="gpt-4o"))["metadata"][
        "budget"
    ] == 128_000 * 60 // 100 * 50 // 100
    assert (await context(client, modelled))["metadata"]["budget"] == 38_400
    assert (await context(client, shared))["metadata"]["budget"] == 128
    problem = await context(client, plain, 422)
    assert problem["errors"][0]["path"] == "budget"
    assert "is required without a model" in problem["errors"][0]["message"]


async def test_the_time_for_a_context_depends_on_the_turns_that_it_shows(
    client: httpx.AsyncClient,
) -> None:
    """A thread's context takes about as long with 1,000 turns as with 50, if it shows equally many
    of them.
    """
    threads = []
    for count in (50, 1_000):
        threads.append((await begun(client, resource="long"))["id"])
        turns = [
            {"role": "user", "content": f"turn {number} {words(20)}", "files": ["a.py"]}
            for number in range(count)
        ]
        answer = await client.put(f"/v1/threads/{threads[-1]}/turns", json={"turns": turns})
        assert answer.status_code == 200, answer.text
    seconds: dict[str, list[float]] = {thread: [] for thread in threads}
    for _ in range(15):
        for thread in threads:
            began = time.perf_counter()
            built = await context(client, thread, budget=500)
            seconds[thread].append(time.perf_counter() - began)
            assert 10 < len(built["turns"]) < 50
    short, long = (statistics.median(seconds[thread]) for thread in threads)
    assert long < 2.5 * short


async def test_stored_counts_of_another_tokenizer_do_not_shorten_the_context(
    client: httpx.AsyncClient,
) -> None:
    """If another tokenizer counted the stored turns, a context whose budget is large enough still
    shows all of them.
    """
    thread = (await begun(client))["id"]
    for number in range(30):
        await say(client, thread, f"turn {number}")
    assert len((await context(client, thread, budget=1_000))["turns"]) == 30
