"""`latency`: times retrievals, writes, hooks and threads, and compares retrievals with the engine's
queries alone.

Ten questions at a time go to the bare engine (`benchmarks.speed.bare_engine`), to a retriever in
this process, and to the service over HTTP, so that a busy machine slows all of them alike. Each has
its own copy of the store. "query cached" repeats a question, whose embedding the service has
cached. Each question also goes to two hooks of the service: prompt-submit, with a list of to-dos,
and UserPromptSubmit of Claude Code; and to prompt-submit with the best hits read, where a reader is
prepared. Last, scenes of the training data are told: in each, tasks and facts are stored, and the
texts that end, move and change them are timed, as explicit memories and as captured messages, so
that a reader has what it reads in use. Retrievals with and without late interaction take turns in
coming first. Writing a receipt slows the next call, so calls with and without receipts alternate in
tens.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

from api.settings import Settings
from api.wiring.resources import open_embedder
from benchmarks.harness.metrics import percentiles
from benchmarks.harness.options import flag
from benchmarks.harness.report import Cell, Report, Table
from benchmarks.harness.service import KeepAliveClient, running
from benchmarks.harness.stores import (
    TENANT,
    Opened,
    data_directory,
    filled,
    namespace_of,
    open_parts,
    settings_in,
)
from benchmarks.harness.synthetic import questions, turns
from benchmarks.quality.variants import Tokenless
from benchmarks.speed.bare_engine import BareEngine
from benchmarks.training.scenes import Scene, SceneText, english_authors, scenes_by
from memtypes.encoders.prepared import MANIFEST_FILE
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Vectors
from retrieval.query.request import RetrieveRequest
from retrieval.retriever import Retriever

_ROUND = 10
_TODOS = [
    {"id": status, "content": "Go on", "status": status}
    for status in ("completed", "in_progress", "pending")
]
_WARM_UP = 20

FLOOR = "floor: query embedding and engine queries"
ENGINE = "engine queries"
ENGINE_IDS = "engine queries, ids and scores alone"
PLAIN = "retrieve without query embedding"
WITHOUT_LATE = "retrieve without query embedding and late interaction"
HTTP_CACHED = "HTTP retrieve, query cached"
WITHOUT_RECEIPT = "HTTP retrieve, query cached, no receipt"
TOLD = "HTTP write of a scene"
CAPTURED = "HTTP session-stop, a message"
RATIOS = ((PLAIN, ENGINE_IDS), (PLAIN, ENGINE), ("retrieve", FLOOR), ("HTTP retrieve", FLOOR))
ADDED = {"late interaction": (PLAIN, WITHOUT_LATE), "a receipt": (HTTP_CACHED, WITHOUT_RECEIPT)}

Samples: TypeAlias = Mapping[str, Sequence[float]]
"""Measured milliseconds by the name of the step that was timed."""


@dataclass(frozen=True, slots=True)
class LatencyRequest:
    """Command-line options of the `latency` benchmark."""

    sizes: tuple[int, ...] = field(
        default=(1_000, 10_000, 100_000), metadata=flag("memories a store", int, least=5)
    )
    namespaces: int = field(
        default=50, metadata=flag("namespaces that they are spread over", least=1)
    )
    queries: int = field(default=200, metadata=flag("timed questions", least=1))
    writes: int = field(default=100, metadata=flag("timed writes", least=0))
    settle_s: float = field(
        default=30.0, metadata=flag("seconds for the engine to warm up", least=0)
    )
    scenes: int = field(
        default=20, metadata=flag("scenes told as memories, and again as messages", least=0)
    )
    store: Path | None = field(
        default=None, metadata=flag("keep the filled stores here for the next run", Path)
    )


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """The retrievers, services and baselines that are timed on one store, and the measured times.

    plain: retriever without late interaction (token-level matching). bare_embedder, engine: used
    alone, as a baseline. samples: milliseconds by the name of the timed step. run_id: number that
    makes session ids unique. has_reader: whether the service reads texts together.
    """

    opened: Opened
    plain: Retriever
    service: KeepAliveClient
    bare_embedder: Embedder
    engine: BareEngine
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    run_id: int = field(default_factory=time.time_ns)
    has_reader: bool = False

    def add(self, name: str, began: float) -> float:
        """Add the milliseconds since `began` (from perf_counter) to the samples of step `name`, and
        return them.
        """
        elapsed_ms = (time.perf_counter() - began) * 1e3
        self.samples[name].append(elapsed_ms)
        return elapsed_ms


Step: TypeAlias = Callable[[LatencyRun, Scope, str], Awaitable[None]]


async def measure_latency(request: LatencyRequest) -> Report:
    """Time retrievals, writes and coding agents' hooks on a store of each size in `request`, and
    return the report.
    """
    measured: dict[int, Samples] = {}
    for size in request.sizes:
        with (
            data_directory(request.store and request.store / str(size)) as directory,
            data_directory() as scratch,
        ):
            measured[size] = await _measure_size(request, size, settings_in(directory), scratch)
    return latency_report(request, measured)


async def _measure_size(
    request: LatencyRequest, size: int, settings: Settings, scratch: Path
) -> Samples:
    await filled(settings, size, request.namespaces)
    bare = scratch / "bare"
    shutil.copytree(
        settings.store_path, bare, ignore=shutil.ignore_patterns("tokens", "terms", "fields")
    )
    in_process = settings_in(scratch / "in-process")
    shutil.copytree(settings.store_path, in_process.store_path)
    async with AsyncExitStack() as stack:
        bare_embedder = await open_embedder(settings)
        stack.push_async_callback(bare_embedder.aclose)
        engine = stack.enter_context(BareEngine.open(bare, settings.candidate_depth))
        service = stack.enter_context(running(settings))
        async with open_parts(in_process) as opened:
            for index, question in enumerate(questions(request.namespaces, seed=29)):
                name = namespace_of(index)
                await opened.retriever.retrieve(
                    Scope(TENANT, name), RetrieveRequest(query=question, namespace=name)
                )
            await asyncio.sleep(request.settle_s)
            # After the pause: the service closes idle connections
            client = await KeepAliveClient.open(service.url)
            stack.push_async_callback(client.aclose)
            plain = Retriever(replace(opened.parts, embedder=Tokenless(opened.embedder)))
            has_reader = (settings.reader_path / MANIFEST_FILE).exists()
            run = LatencyRun(opened, plain, client, bare_embedder, engine, has_reader=has_reader)
            warm_up = replace(run, samples=defaultdict(list))
            queries = questions(_WARM_UP + request.queries, seed=23)
            await _take_turns(warm_up, queries[:_WARM_UP], request.namespaces)
            await _take_turns(run, queries[_WARM_UP:], request.namespaces)
        await _write(warm_up, _WARM_UP, request.namespaces)
        await _write(run, request.writes, request.namespaces)
        scenes = _scenes()
        await _tell(warm_up, next(scenes).texts, namespace_of(0))
        for index in range(request.scenes):
            await _tell(run, next(scenes).texts, namespace_of(index % request.namespaces))
            await _capture(run, next(scenes), namespace_of(index % request.namespaces))
    return run.samples


async def _take_turns(run: LatencyRun, queries: Sequence[str], namespaces: int) -> None:
    http = (
        _http("HTTP retrieve"),
        _http(HTTP_CACHED),
        _http(WITHOUT_RECEIPT, receipt=False),
        _http_live,
    )
    hooks: tuple[Step, ...] = (_http_hook("HTTP prompt-submit", "off"), _http_client)
    if run.has_reader:
        hooks = (*hooks, _http_hook("HTTP prompt-submit, hits read", "always"))
    steps: tuple[Step, ...] = (_floor, _retrieve_pair, *http, *hooks)
    for start in range(0, len(queries), _ROUND):
        for step in steps:
            for index, question in enumerate(queries[start : start + _ROUND], start):
                await step(run, Scope(TENANT, namespace_of(index % namespaces)), question)


async def _floor(run: LatencyRun, scope: Scope, question: str) -> None:
    began = time.perf_counter()
    vector = (await run.bare_embedder.embed_query(question)).dense
    run.add("query embedding", began)
    embedded = time.perf_counter()
    vectors = Vectors(vector, run.opened.sparse.encode_query(question))
    run.engine.query(scope, vectors)
    run.add(ENGINE, embedded)
    run.add(FLOOR, began)
    queried = time.perf_counter()
    run.engine.query(scope, vectors, ())
    run.add(ENGINE_IDS, queried)


async def _retrieve_pair(run: LatencyRun, scope: Scope, question: str) -> None:
    """Time a retrieval with and without late interaction. The order varies, because the second
    finds warm caches.
    """
    pair = (_retrieve, _retrieve_without_late)
    for step in pair if len(question) % 2 else reversed(pair):
        await step(run, scope, question)


async def _retrieve(run: LatencyRun, scope: Scope, question: str) -> None:
    began = time.perf_counter()
    await run.opened.retriever.retrieve(
        scope, RetrieveRequest(query=question, namespace=scope.namespace)
    )
    elapsed_ms = run.add("retrieve", began)
    stages = run.opened.stages
    run.samples[PLAIN].append(elapsed_ms - stages["embed"])
    for stage, milliseconds in stages.items():
        run.samples[f"retrieve: {stage}"].append(milliseconds)


async def _retrieve_without_late(run: LatencyRun, scope: Scope, question: str) -> None:
    began = time.perf_counter()
    await run.plain.retrieve(
        scope, RetrieveRequest(query=f"{question}?", namespace=scope.namespace)
    )
    run.samples[WITHOUT_LATE].append(
        (time.perf_counter() - began) * 1e3 - run.opened.stages["embed"]
    )


def _http(name: str, **fields: object) -> Step:

    async def retrieve(run: LatencyRun, scope: Scope, question: str) -> None:
        await _post(
            run, "retrieve", name, {"query": question, "namespace": scope.namespace, **fields}
        )

    return retrieve


async def _http_live(run: LatencyRun, scope: Scope, question: str) -> None:
    space = {"namespace": scope.namespace}
    thread = json.loads(await _post(run, "threads", "HTTP new thread", space))["id"]
    call = f"threads/{thread}/turns?namespace={scope.namespace}"
    await _post(run, call, "HTTP append to a thread", {"role": "user", "content": question})
    await _post(
        run, "working", "HTTP new working item", {**space, "session_id": "s", "content": question}
    )


def _http_hook(name: str, reader: str) -> Step:

    async def submit(run: LatencyRun, scope: Scope, question: str) -> None:
        body = {
            "namespace": scope.namespace,
            "session_id": "hooks",
            "prompt": f"{question} Go on.",
            "todos": _TODOS,
            "reader": reader,
        }
        await _post(run, "hooks/prompt-submit", name, body)

    return submit


async def _http_client(run: LatencyRun, scope: Scope, question: str) -> None:
    done = len(run.samples["HTTP SessionStart"]) + len(run.samples["HTTP UserPromptSubmit"])
    name = "UserPromptSubmit" if done % _ROUND else "SessionStart"
    session = f"{run.run_id} {done // _ROUND}"
    event = {"session_id": session, "hook_event_name": name, "prompt": f"{question} Go on then."}
    await _post(
        run,
        "hooks/claude-code",
        f"HTTP {name}",
        event,
        f"X-Remembrancer-Namespace: {scope.namespace}",
    )


async def _post(
    run: LatencyRun, call: str, name: str, body: dict[str, Any], header: str = "Accept: */*"
) -> bytes:
    began = time.perf_counter()
    answer = await run.service.post(f"/v1/{call}", body, header)
    run.add(name, began)
    return answer


async def _write(run: LatencyRun, count: int, namespaces: int) -> None:
    """Time `count` writes of new texts over HTTP, each with the review before storing. Raises
    Refused.
    """
    seed = time.time_ns() % 2**31  # a store that is kept has the texts of earlier runs
    for index, turn in enumerate(turns(count, seed=seed)):
        namespace = namespace_of(index % namespaces)
        kind = LONG_TERM[index % len(LONG_TERM)]
        body = {"namespace": namespace, "type": kind.value, "content": turn.text, "review": "auto"}
        await _post(run, "memories", "HTTP write", body)


def _scenes() -> Iterator[Scene]:
    """Yield the scenes of all authors in English, one of each in turn."""
    for scenes in zip_longest(*map(scenes_by, english_authors())):
        yield from (scene for scene in scenes if scene is not None)


async def _tell(run: LatencyRun, texts: Iterable[SceneText], namespace: str) -> None:
    """Store the earlier statements of a scene, and time the writes of its later texts, which may do
    something to these. Raises Refused.
    """
    for text in texts:
        body = {
            "namespace": namespace,
            "type": str(text.statement.kind if text.kinds else MemoryType.EPISODIC),
            "content": text.text,
            "created_at": f"{text.day}T09:00:00Z",
        }
        name = TOLD if text.does or not text.kinds else "HTTP write before a scene"
        await _post(run, "memories", name, body)


async def _capture(run: LatencyRun, scene: Scene, namespace: str) -> None:
    """Store the earlier statements of a scene, and time the capture of a session that says the
    later ones. Raises Refused.
    """
    messages: list[dict[str, str]] = []
    earlier: list[SceneText] = []
    for text in scene.texts:
        if text.does or not text.kinds:
            role = "assistant" if text.speaker == "agent" else "user"
            at = f"{text.day}T09:00:00Z"
            messages.append({"role": role, "content": text.text, "timestamp": at})
        else:
            earlier.append(text)
    await _tell(run, earlier, namespace)
    session = f"{run.run_id} {namespace} {len(run.samples[CAPTURED])}"
    body = {"namespace": namespace, "session_id": session, "messages": messages}
    began = time.perf_counter()
    await run.service.post("/v1/hooks/session-stop", body)
    elapsed_ms = (time.perf_counter() - began) * 1e3
    run.samples[CAPTURED] += [elapsed_ms / len(messages)] * len(messages)


def latency_report(request: LatencyRequest, measured: Mapping[int, Samples]) -> Report:
    """A report with tables by store size: percentiles of each timed step, ratios of steps, and
    differences of steps.
    """
    figures = {size: _figures(samples) for size, samples in measured.items()}
    titles = (
        ("Milliseconds", "what", "ms"),
        ("Ratios", "what over what", "ratios"),
        ("Added milliseconds", "by", "added"),
    )
    columns = ("p50", "p95", "p99")
    tables = tuple(
        Table(title, ("memories", what, *columns), _rows(figures, key))
        for title, what, key in titles
    )
    notes = (
        (
            f"{request.queries} questions; memories spread evenly over five types and "
            f"{request.namespaces} namespaces."
        ),
        (
            "Stored vectors are random; texts, token counts and word weights are real; "
            "questions are embedded."
        ),
        "A ratio or a difference compares equal percentiles.",
        "Texts of scenes are written a second time, and merged, in a store that is kept.",
        (
            "Before that every namespace is asked once, and the engine has "
            f"{request.settle_s:g} s to warm up."
        ),
    )
    return Report(tables, notes, {str(size): values for size, values in figures.items()})


def _rows(figures: Mapping[int, Mapping[str, Any]], key: str) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (size, name, *cells.values())
        for size, tables in figures.items()
        for name, cells in tables[key].items()
    )


def _figures(samples: Samples) -> dict[str, Any]:
    ms = {name: percentiles(times) for name, times in samples.items() if times}
    return {
        "ms": ms,
        "ratios": {
            f"{a} / {b}": {share: ms[a][share] / ms[b][share] for share in ms[a]} for a, b in RATIOS
        },
        "added": {
            name: {share: ms[a][share] - ms[b][share] for share in ms[a]}
            for name, (a, b) in ADDED.items()
        },
    }
