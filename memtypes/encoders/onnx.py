"""The default embedder: a prepared int8 encoder in onnxruntime, on one thread for queries and one for documents.

Knows onnxruntime and tokenizers. Does not know how the encoder was made.

Each run holds one text. Measured on one thread, batches bring at most 6 % at 60 tokens and cost 5 % at 200; and int8
activations share one scale a run, so that in a batch of 8 a text's vector moved by up to 1 - cosine = .03 with its
neighbours. Alone in its run, a text always gets the same vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from anyio import to_thread
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from tokenizers import Tokenizer

from memtypes.encoders.batched_embedder import TwoLanesEmbedder
from memtypes.encoders.batching import Lane, LaneSettings
from memtypes.encoders.manifest import MODEL_FILE, TOKENIZER_FILE, Manifest, read_manifest, way_out
from memtypes.encoders.texts import head_of
from memtypes.model.errors import SetupRequired, Unavailable
from memtypes.search.vectors import Embedding, InContext, TokenVectors

CONTEXT = 128
"""Tokens up to which a text is filled up with what was said before it: one that is longer says enough by itself."""

_BEFORE = 16 * CONTEXT
"""Characters at the end of what was said before, in which that many tokens are found."""

_ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.ModelLoaded,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, slots=True, eq=False)
class OnnxSettings:
    """directory: what `memtypes.encoders.setup.prepare` made. waiting_*: texts that may queue before Overloaded.

    turn: documents of one caller that are embedded before the next caller's. projection: float32 (dimensions, 128);
    when given, documents and queries also get their token vectors for late interaction.
    """

    directory: Path
    waiting_queries: int = 256
    waiting_documents: int = 8_192
    turn: int = 8
    projection: NDArray[np.float32] | None = None


@contextmanager
def _translated() -> Iterator[None]:
    """Turns onnxruntime's errors into Unavailable."""
    try:
        yield
    except _ORT_ERRORS as error:
        raise Unavailable(f"the encoder failed: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _Engine:
    """One loaded encoder; `embed` may be called by several threads at once. frame: what stands around every text."""

    session: onnxruntime.InferenceSession
    tokenizer: Tokenizer
    frame: tuple[int, int]
    manifest: Manifest
    projection: NDArray[np.float32] | None

    @classmethod
    def load(cls, settings: OnnxSettings) -> _Engine:
        """The encoder of `settings.directory`. Raises SetupRequired when it is missing or damaged."""
        manifest = read_manifest(settings.directory)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: they come as exceptions
        try:
            with _translated():
                session = onnxruntime.InferenceSession(
                    str(settings.directory / MODEL_FILE), options, providers=["CPUExecutionProvider"]
                )
        except Unavailable as error:
            raise SetupRequired(f"{error}; {way_out(settings.directory)}") from error
        tokenizer = Tokenizer.from_file(str(settings.directory / TOKENIZER_FILE))
        tokenizer.no_padding()
        tokenizer.no_truncation()  # what was said before is cut at its beginning, a text at its end
        first, last = tokenizer.encode("").ids
        return cls(session, tokenizer, (first, last), manifest, settings.projection)

    def embed_queries(self, texts: Sequence[str]) -> list[Embedding]:
        """One embedding a text, each from a run of its own."""
        return [self.embed(InContext(text)) for text in texts]

    def embed_each(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The same for documents."""
        return [self.embed(text) for text in texts]

    def embed(self, given: InContext) -> Embedding:
        """The embedding of the text; its arrays are read-only, because callers share them."""
        text = self._numbers(head_of(given.text, self.manifest.max_tokens))[
            : self.manifest.max_tokens - len(self.frame)
        ]
        room = CONTEXT - len(text)
        before = self._numbers(head_of(given.before[-_BEFORE:], CONTEXT))[-room:] if room > 0 else []
        sentence, states = self._run([*before, *text])
        if before:
            states = states[len(before) :]
            sentence = states.sum(axis=0)
            sentence /= np.linalg.norm(sentence)
        sentence.setflags(write=False)
        return Embedding(sentence, None if self.projection is None else _compact(states, self.projection))

    def _numbers(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _run(self, numbers: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The sentence's vector, and the states of the tokens `numbers`, each of unit length."""
        first, last = self.frame
        ids = np.array([[first, *numbers, last]], dtype=np.int64)
        with _translated():
            sentence, states = self.session.run(
                ["sentence", "tokens"], {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            )
        return sentence[0], states[0][1:-1]


def _compact(states: NDArray[np.float32], projection: NDArray[np.float32]) -> TokenVectors:
    """The token states projected, of unit length, in steps of 1/127."""
    projected = states @ projection
    length = np.linalg.norm(projected, axis=1, keepdims=True)
    compact: TokenVectors = np.rint(projected / np.maximum(length, 1e-9) * 127).astype(np.int8)
    compact.setflags(write=False)
    return compact


class OnnxEmbedder(TwoLanesEmbedder):
    """MiniLM in int8: two lanes over one session, so that a query never waits for a batch of documents."""

    def __init__(self, engine: _Engine, queries: Lane[str, Embedding], documents: Lane[InContext, Embedding]) -> None:
        super().__init__(queries, documents)
        self._engine = engine

    @classmethod
    async def open(cls, settings: OnnxSettings) -> OnnxEmbedder:
        """An embedder over the prepared encoder. Raises SetupRequired with the command that prepares it."""
        engine = await to_thread.run_sync(_Engine.load, settings)
        queries = LaneSettings("query embedding", turn=1, waiting=settings.waiting_queries)
        documents = LaneSettings("document embedding", turn=settings.turn, waiting=settings.waiting_documents)
        return cls(engine, Lane.start(queries, engine.embed_queries), Lane.start(documents, engine.embed_each))

    @property
    def fingerprint(self) -> str:
        """Model, weights, precision, pooling and tokens, from the manifest; and the projection where there is one."""
        projection = self._engine.projection
        if projection is None:
            return self._engine.manifest.fingerprint
        digest = hashlib.sha256(np.ascontiguousarray(projection).tobytes()).hexdigest()
        return f"{self._engine.manifest.fingerprint}:tokens-{digest[:16]}"

    @property
    def dimensions(self) -> int:
        """Length of a dense vector."""
        return self._engine.manifest.dimensions
