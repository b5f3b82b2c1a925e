"""The default embedder: an int8 encoder model in onnxruntime, with one thread for queries and one
for documents.

Every text is a separate run of the model, so that it always gets the same vector. In a batch with 7
other texts, a vector changed by a cosine distance of up to .03, because all int8 activations of a
run share one scale. And batches saved little: on one thread they were at most 6 % faster with texts
of 60 tokens, and 5 % slower with 200 tokens.

The encoder is a directory of files with a manifest, which `memtypes.encoders.setup.prepare` builds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from anyio import to_thread
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memtypes.encoders.batching import BatchedEmbedder, BatchSettings, truncated
from memtypes.encoders.prepared import (
    MODEL_FILE,
    ORT_ERRORS,
    TOKENIZER_FILE,
    Manifest,
    PreparedModel,
)
from memtypes.model.errors import SetupRequired, Unavailable
from memtypes.search.vectors import TOKEN_DIMENSIONS, Embedding, InContext

SENTENCE = "sentence"
TOKENS = "tokens"
"""Names of the model's outputs: the vector of the text, and the states of its tokens after the last
layer.
"""

MIDDLE_STATES = "layer3_states"
"""Name of the node in the model's graph that computes the token states after the fourth of six
layers.
"""

MAX_STATES = 64
"""Number of tokens at the beginning of a text for which the states of the middle layer are
returned.
"""

CONTEXT_TOKENS = 128
"""A text with fewer tokens is embedded after the end of its context, so that both have at most this
many tokens.
"""

_CONTEXT_CHARACTERS = 16 * CONTEXT_TOKENS
"""Number of characters at the end of a context that are tokenized: at least CONTEXT_TOKENS
tokens.
"""


@dataclass(frozen=True, slots=True)
class OnnxSettings(BatchSettings):
    """Settings of `OnnxEmbedder`. directory: contains the encoder that
    `memtypes.encoders.setup.prepare` built.
    """

    directory: Path


class EncoderManifest(Manifest):
    """Contents of the manifest file of a prepared encoder. fingerprint: see
    `Embedder.fingerprint`.
    """

    dimensions: int


ENCODER = PreparedModel("encoder", EncoderManifest, "memtypes.encoders.setup.prepare")


@dataclass(frozen=True, slots=True, eq=False)
class _OnnxModel:
    """A loaded encoder, which several threads may use at once. start, end: ids of the special
    tokens around a text.
    """

    session: onnxruntime.InferenceSession
    tokenizer: Tokenizer
    start: int
    end: int
    manifest: EncoderManifest
    projection: NDArray[np.float32]

    @classmethod
    def load(cls, settings: OnnxSettings) -> _OnnxModel:
        """Load the encoder from its directory. Raises SetupRequired if a file is missing or
        damaged.
        """
        manifest = ENCODER.read(settings.directory)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only, which are raised too
        graph = with_output((settings.directory / MODEL_FILE).read_bytes(), MIDDLE_STATES)
        try:
            session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except ORT_ERRORS as error:
            raise SetupRequired(
                f"the encoder failed: {error}; {ENCODER.command(settings.directory)}"
            ) from error
        tokenizer = Tokenizer.from_file(str(settings.directory / TOKENIZER_FILE))
        tokenizer.no_padding()
        tokenizer.no_truncation()  # contexts are cut at the start, texts at the end
        start, end = tokenizer.encode("").ids
        return cls(session, tokenizer, start, end, manifest, token_projection(manifest.dimensions))

    def embed(self, text: InContext) -> Embedding:
        """Return the embedding of a text. Its arrays are read-only, because callers share them."""
        room = self.manifest.max_tokens - 2  # start and end
        tokens = self._tokenize(truncated(text.text, self.manifest.max_tokens))[:room]
        context_room = CONTEXT_TOKENS - len(tokens)
        context = []
        if context_room > 0:
            context = self._tokenize(truncated(text.before[-_CONTEXT_CHARACTERS:], CONTEXT_TOKENS))[
                -context_room:
            ]
        ids = np.array([[self.start, *context, *tokens, self.end]], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        try:
            (sentence,), (states,), (middle,) = self.session.run(
                [SENTENCE, TOKENS, MIDDLE_STATES], inputs
            )
        except ORT_ERRORS as error:
            raise Unavailable(f"the encoder failed: {error}") from error
        first = 1 + len(context)  # the start token, then the context
        states = states[first:-1]
        beginning = middle[first:-1][:MAX_STATES].astype(np.float16)
        if context:
            sentence = states.sum(axis=0)
            sentence /= np.linalg.norm(sentence)
        projected = states @ self.projection
        length = np.linalg.norm(projected, axis=1, keepdims=True)
        # 1.0 is 127
        quantised = np.rint(projected / np.maximum(length, 1e-9) * 127).astype(np.int8)
        for array in (sentence, quantised, beginning):
            array.setflags(write=False)
        return Embedding(sentence, quantised, beginning)

    def _tokenize(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def with_output(model: bytes, name: str) -> bytes:
    """Add the float32 tensor `name` to the outputs of a serialised ONNX model.

    Protobuf merges concatenated messages, so the output is appended to the bytes. Field numbers:
    ModelProto.graph is 7, GraphProto.output 12, ValueInfoProto.name 1 and type 2; element type 1 is
    float32.
    """
    value = _field(1, name.encode()) + _field(2, _field(1, b"\x08\x01"))
    return model + _field(7, _field(12, value))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field of less than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


class OnnxEmbedder(BatchedEmbedder):
    """The default embedder: all-MiniLM-L6-v2 with int8 weights, in onnxruntime."""

    @classmethod
    async def open(cls, settings: OnnxSettings) -> OnnxEmbedder:
        """Load the prepared encoder. Raises SetupRequired, with the command to run, if it is
        missing or damaged.
        """
        model = await to_thread.run_sync(_OnnxModel.load, settings)
        projection = hashlib.sha256(np.ascontiguousarray(model.projection).tobytes()).hexdigest()
        fingerprint = f"{model.manifest.fingerprint}:tokens-{projection[:16]}"
        dimensions = model.manifest.dimensions
        return cls(
            fingerprint, dimensions, lambda texts: [model.embed(text) for text in texts], settings
        )


def token_projection(dimensions: int) -> NDArray[np.float32]:
    """Return a projection of token states to 128 dimensions, shape (dimensions, 128), with
    orthonormal columns.

    It is a subsampled randomised Hadamard transform (Ailon and Chazelle, "The fast
    Johnson-Lindenstrauss transform", 2009): each block of 128 dimensions gets random signs and is
    mixed by a Hadamard matrix, and the blocks are added. The projection preserves cosines in
    expectation and is the same on every machine. A projection fitted to texts would raise the
    recall at 10 of late interaction alone by .01, but would depend on the machine's rounding.

    Raises ValueError unless `dimensions` is a multiple of 128.
    """
    blocks, remainder = divmod(dimensions, TOKEN_DIMENSIONS)
    if remainder or not blocks:
        raise ValueError(f"dimensions must be a multiple of {TOKEN_DIMENSIONS}, not {dimensions}")
    digests = b"".join(
        hashlib.sha256(bytes([index])).digest() for index in range(-(-dimensions // 256))
    )
    bits = np.unpackbits(np.frombuffer(digests, dtype=np.uint8))[:dimensions]
    signs = 1.0 - 2.0 * bits.astype(np.float64)
    hadamard = np.ones((1, 1))
    while len(hadamard) < TOKEN_DIMENSIONS:  # Sylvester's construction
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    mixed = (signs.reshape(blocks, TOKEN_DIMENSIONS, 1) * hadamard).reshape(
        dimensions, TOKEN_DIMENSIONS
    )
    projection: NDArray[np.float32] = (mixed / np.sqrt(dimensions)).astype(np.float32)
    return projection
