"""The reader in onnxruntime: two small int8 BERT models that read two texts together. One says
whether a memory answers a question, the other what a new text does to a stored statement, and of a
text alone, what it states.

Each pair is a separate run of the model, as each text is for the embedder: in a batch, a pair's
reading would depend on the other pairs, and a receipt could not be computed again. A few threads
read pairs at once, short ones first, so that a deadline loses as few as possible.

The reader is a directory of files with a manifest, which `memtypes.encoders.setup.prepare_reader`
builds.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from anyio import to_thread
from cachetools import LRUCache
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memtypes.encoders.batching import truncated
from memtypes.encoders.prepared import ORT_ERRORS, TOKENIZER_FILE, Manifest, PreparedModel
from memtypes.model.errors import Overloaded, SetupRequired, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import (
    Act,
    Acts,
    Kinds,
    Question,
    Reader,
    ReadStatement,
    StatementPair,
)

ANSWERS_OUTPUT = "answers"
ACTS_OUTPUT = "acts"
KINDS_OUTPUT = "kinds"
"""Names of the models' outputs, which are logits."""

ANSWERS_FILE = "answers.onnx"
STATEMENTS_FILE = "statements.onnx"
"""Names of the models' files."""

OUTPUTS = {ANSWERS_FILE: (ANSWERS_OUTPUT,), STATEMENTS_FILE: (ACTS_OUTPUT, KINDS_OUTPUT)}
"""Outputs of each file's model."""

MAX_BEFORE = 160
"""Characters of the message before a new text that are read, its last ones."""

_NAMES = {
    MemoryType.PROSPECTIVE: "task",
    MemoryType.SEMANTIC: "fact",
    MemoryType.EPISODIC: "event",
    MemoryType.PROCEDURAL: "how-to",
    MemoryType.WORKING: "message",
}
"""What the model of statements is told of a stored one's type."""

_UNITS = ((14, 1, "days"), (60, 7, "weeks"), (700, 30, "months"))
_YEAR = 365
"""The units in which the model for answers is told how old a memory is: for each, below how many
days it is used, and its length in days.
"""

THREADS = 2
"""Number of pairs that are read at once."""


class ReaderManifest(Manifest):
    """Contents of the manifest file of a prepared reader.

    recipe: the present one; a reader of another recipe is refused. acts, kinds: names in the order
    of the outputs of the model of statements.
    """

    recipe: Literal["int8-4"]
    acts: tuple[Act, ...]
    kinds: tuple[MemoryType, ...]


READER = PreparedModel("reader", ReaderManifest, "memtypes.encoders.setup.prepare_reader")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSettings:
    """Settings of `OnnxReader`. directory: contains the prepared reader.

    waiting: maximum pairs that wait to be read; further calls raise Overloaded. cached: number of
    pairs whose readings are cached; the least recently used is dropped first.
    """

    directory: Path
    waiting: int = 512
    cached: int = 16_384


@dataclass(frozen=True, slots=True)
class _Texts:
    """Two texts, or a text alone, and the output of the model that is wanted for them."""

    output: str
    first: str
    second: str = ""

    @property
    def key(self) -> bytes:
        """A digest, so that the cache contains no texts."""
        parts = "\0".join((self.output, self.first, self.second))
        return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True, eq=False)
class _OnnxModels:
    """A loaded reader, which several threads may use at once. sessions: by output. start,
    separator: ids of the special tokens around the texts.
    """

    sessions: dict[str, onnxruntime.InferenceSession]
    tokenizer: Tokenizer
    start: int
    separator: int
    manifest: ReaderManifest

    @classmethod
    def load(cls, directory: Path) -> _OnnxModels:
        """Load the reader from its directory. Raises SetupRequired if a file is missing or
        damaged.
        """
        manifest = READER.read(directory)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # pairs are read side by side instead
        options.inter_op_num_threads = 1
        try:
            models = {
                name: onnxruntime.InferenceSession(
                    directory / name, options, providers=["CPUExecutionProvider"]
                )
                for name in OUTPUTS
            }
        except ORT_ERRORS as error:
            raise SetupRequired(
                f"the reader failed: {error}; {READER.command(directory)}"
            ) from error
        sessions = {output: model for name, model in models.items() for output in OUTPUTS[name]}
        tokenizer = Tokenizer.from_file(str(directory / TOKENIZER_FILE))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        start, separator = tokenizer.encode("").ids
        return cls(sessions, tokenizer, start, separator, manifest)

    def read(self, texts: _Texts, deadline: float | None) -> NDArray[np.float32] | None:
        """The logits of a pair; None if the deadline, a time of `time.monotonic`, is over."""
        if deadline is not None and time.monotonic() >= deadline:
            return None
        first = self._tokenize(texts.first)
        second = self._tokenize(texts.second)
        ids, types = joined(first, second, self.start, self.separator, self.manifest.max_tokens)
        inputs = {
            "input_ids": np.array([ids], dtype=np.int64),
            "token_type_ids": np.array([types], dtype=np.int64),
        }
        try:
            (logits,) = self.sessions[texts.output].run([texts.output], inputs)
        except ORT_ERRORS as error:
            raise Unavailable(f"the reader failed: {error}") from error
        values: NDArray[np.float32] = logits[0]
        return values

    def _tokenize(self, text: str) -> list[int]:
        limit = self.manifest.max_tokens
        ids = self.tokenizer.encode(truncated(text, limit), add_special_tokens=False).ids
        return ids[:limit]


class OnnxReader(Reader):
    """The default reader. Readings are cached by their texts."""

    def __init__(self, model: _OnnxModels, settings: ReaderSettings) -> None:
        self.fingerprint = model.manifest.fingerprint
        self._model = model
        self._max_waiting = settings.waiting
        self._threads = ThreadPoolExecutor(THREADS, "reader")
        # Both are used by the event loop alone.
        self._cache: LRUCache[bytes, NDArray[np.float32]] = LRUCache(settings.cached)
        self._waiting = 0
        self._closed = False

    @classmethod
    async def open(cls, settings: ReaderSettings) -> OnnxReader:
        """Load the prepared reader. Raises SetupRequired, with the command to run, if it is missing
        or damaged.
        """
        model = await to_thread.run_sync(_OnnxModels.load, settings.directory)
        return cls(model, settings)

    async def acts(self, pairs: Sequence[StatementPair]) -> list[Acts]:
        """For each pair, the probability of each act."""
        texts = [
            _Texts(ACTS_OUTPUT, newer_text(pair.newer), older_text(pair.older)) for pair in pairs
        ]
        readings: list[Acts] = []
        for logits in await self._read(texts, None):
            if logits is None:
                raise Unavailable("the reader is closed")
            probabilities = _softmax(logits).tolist()
            readings.append(dict(zip(self._model.manifest.acts, probabilities, strict=True)))
        return readings

    async def kinds(self, statements: Sequence[ReadStatement]) -> list[Kinds]:
        """For each statement, what it states."""
        texts = [_Texts(KINDS_OUTPUT, newer_text(statement)) for statement in statements]
        readings: list[Kinds] = []
        for logits in await self._read(texts, None):
            if logits is None:
                raise Unavailable("the reader is closed")
            probabilities = [_sigmoid(float(logit)) for logit in logits]
            readings.append(dict(zip(self._model.manifest.kinds, probabilities, strict=True)))
        return readings

    async def answers(
        self,
        question: Question,
        memories: Sequence[ReadStatement],
        within_ms: float | None = None,
    ) -> list[float | None]:
        """For each memory, the probability that it answers the question; None if it could not be
        read in `within_ms` milliseconds.
        """
        texts = [
            _Texts(ANSWERS_OUTPUT, question.text, memory_text(memory, question.day))
            for memory in memories
        ]
        return [
            None if logits is None else _sigmoid(float(logits[0]))
            for logits in await self._read(texts, within_ms)
        ]

    async def aclose(self) -> None:
        """Read what waits, then stop the threads."""
        self._closed = True
        await to_thread.run_sync(self._threads.shutdown)

    async def _read(
        self, texts: Sequence[_Texts], within_ms: float | None
    ) -> list[NDArray[np.float32] | None]:
        """The logits of each pair; None for what was not read in time."""
        if self._closed:
            raise Unavailable("the reader is closed")
        keys = [each.key for each in texts]
        readings = {key: self._cache[key] for key in keys if key in self._cache}
        unread = {key: each for key, each in zip(keys, texts, strict=True) if key not in readings}
        if self._waiting and self._waiting + len(unread) > self._max_waiting:
            raise Overloaded(f"the reader has {self._waiting} pairs waiting; try again soon")
        if unread:
            for key, logits in (await self._read_new(unread, within_ms)).items():
                readings[key] = logits
                self._cache[key] = logits
        return [readings.get(key) for key in keys]

    async def _read_new(
        self, unread: dict[bytes, _Texts], within_ms: float | None
    ) -> dict[bytes, NDArray[np.float32]]:
        seconds = None if within_ms is None else within_ms / 1_000
        deadline = None if seconds is None else time.monotonic() + seconds
        shortest_first = sorted(unread, key=lambda key: len(unread[key].second))
        self._waiting += len(unread)
        calls = {
            asyncio.wrap_future(self._threads.submit(self._model.read, unread[key], deadline)): key
            for key in shortest_first
        }
        try:
            await asyncio.wait(calls, timeout=seconds)
        finally:
            self._waiting -= len(unread)
            for call in calls:
                call.cancel()  # does nothing to those that are done
        finished = {call: key for call, key in calls.items() if not call.cancelled()}
        for error in [call.exception() for call in finished]:  # all, so that none is unretrieved
            if error is not None:
                raise error
        readings = {key: call.result() for call, key in finished.items()}
        return {key: logits for key, logits in readings.items() if logits is not None}


def newer_text(statement: ReadStatement) -> str:
    """What the model of statements reads of a new text."""
    said = f"{statement.speaker}: {statement.text}"
    return f"{statement.before[-MAX_BEFORE:]} | {said}" if statement.before else said


def older_text(statement: ReadStatement) -> str:
    """What the model of statements reads of a stored one."""
    return f"{_NAMES[statement.kind]}, {statement.speaker}: {statement.text}"


def memory_text(memory: ReadStatement, day: date) -> str:
    """What the model for answers reads of a memory on the day of a question: how old it is, who
    said it, and its text. What is old may not hold any more.
    """
    return f"{_age((day - memory.day).days)}, {memory.speaker}: {memory.text}"


def _age(days: int) -> str:
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    for below, length, unit in _UNITS:
        if days < below:
            return f"{days // length} {unit} ago"
    return f"{days // _YEAR} years ago"


def joined(
    first: list[int], second: list[int], start: int, separator: int, limit: int
) -> tuple[list[int], list[int]]:
    """Token ids of two texts in one, and the type of each: 0 for the first text, 1 for the second.
    If the second is empty, those of the first alone.

    start, separator: ids of the special tokens. Of texts that are longer than `limit` together, the
    beginnings are taken, and more is cut from the longer one.
    """
    if not second:
        alone = [start, *first[: limit - 2], separator]
        return alone, [0] * len(alone)
    room = limit - 3  # start and two separators
    least = room // 2
    if len(first) <= least:
        second = second[: room - len(first)]
    elif len(second) <= least:
        first = first[: room - len(second)]
    else:
        first = first[:least]
        second = second[: room - least]
    ids = [start, *first, separator, *second, separator]
    return ids, [0] * (len(first) + 2) + [1] * (len(second) + 1)


def _sigmoid(logit: float) -> float:
    return float(1.0 / (1.0 + np.exp(-logit)))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    probabilities: NDArray[np.float64] = powers / powers.sum()
    return probabilities
