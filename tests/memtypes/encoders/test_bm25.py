"""The BM25 encoder: words of a text, term ids and weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from memtypes.encoders.bm25 import MAX_WORD, Bm25Encoder, words
from memtypes.search.vectors import SparseVector

ENCODER = Bm25Encoder()


def score(query: str, document: str) -> float:
    """The dot product of the query's and the document's term weights, without IDF."""
    query_vector = ENCODER.encode_query(query)
    vector = ENCODER.encode_document(document)
    _, in_query, in_document = np.intersect1d(
        query_vector.indices, vector.indices, return_indices=True
    )
    return float(query_vector.values[in_query] @ vector.values[in_document])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The quick, brown FOX!", ["the", "quick", "brown", "fox"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("foo_bar v1.2.3", ["foo_bar", "foo", "bar", "v1.2.3", "v1", "2", "3"]),
        ("src/main.py", ["src/main.py", "src", "main", "py"]),
        ("--dry-run", ["dry-run", "dry", "run"]),
        ("__init__ ___", ["init"]),
        ("Caroline's and Caroline\u2019s", ["caroline", "and", "caroline"]),
        ("Caf\u00e9 na\u00efve \ufb01ne", ["cafe", "naive", "fine"]),
        (
            "\u6771\u4eac\u3067 sushi",
            ["\u6771", "\u4eac", "\u3067", "\u6771\u4eac", "\u4eac\u3067", "sushi"],
        ),
        (
            "abc\u3092\u898b\u308b",
            ["abc", "\u3092", "\u898b", "\u308b", "\u3092\u898b", "\u898b\u308b"],
        ),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("\U0001f600 ok", ["\U0001f600", "ok"]),
        ("", []),
        (" ... !?", []),
    ],
)
def test_compounds_give_their_parts_and_unspaced_scripts_their_characters(
    text: str, expected: list[str]
) -> None:
    """A text gives its words in lower case; a compound such as `getUserName` also gives its parts.

    A script without spaces, such as Japanese, gives its characters and pairs of neighbouring
    characters.
    """
    assert list(words(text)) == expected


def test_long_words_are_truncated() -> None:
    """Long words are cut alike in queries and documents, so they still match."""
    assert list(words("x" * 1_000)) == ["x" * MAX_WORD]
    assert score("x" * 1_000, "the key " + "x" * 1_000) > 0


def test_weights_follow_the_formula_of_bm25() -> None:
    """A document's weight is tf (k1 + 1) / (tf + k1 (1 - b + b length / average))."""
    vector = ENCODER.encode_document("cat cat dog")
    norm = 1.2 * (0.25 + 0.75 * 3 / 40)
    assert sorted(vector.values.tolist()) == pytest.approx([2.2 / (1 + norm), 2 * 2.2 / (2 + norm)])


def test_repeated_words_score_higher_and_long_documents_lower() -> None:
    """A document's score rises with the frequency of the query's word and falls with the document's
    length.
    """
    assert (
        score("cat", "cat cat dog")
        > score("cat", "cat dog dog")
        > score("cat", "cat dog dog " + "bird " * 50)
    )


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("deployments", "We deployed on Friday"),
        ("user name", "call getUserName() first"),
        ("getUserName", "call getUserName() first"),
        ("main.py", "edit src/main.py"),
        ("foo_bar", "set FOO_BAR=1"),
        ("cafe", "the Caf\u00e9 at noon"),
        ("\u6771\u4eac", "\u660e\u65e5\u6771\u4eac\u306b\u884c\u304f"),
        ("\u0e44\u0e17\u0e22", "\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22"),
    ],
)
def test_different_forms_of_a_word_match(query: str, document: str) -> None:
    """A word is found with another inflection, accent or case, as part of a compound, and in a text
    without spaces.
    """
    assert score(query, document) > 0


def test_question_words_are_left_out_of_queries() -> None:
    assert score("When did Gina open the shop?", "what did he do when it was late") == 0
    assert score("what is", "what is this") > 0


def test_term_ids_are_the_crc32_of_the_stem() -> None:
    """A term's id is the CRC-32 of its stem, so it is the same in every process and after any other
    texts.
    """
    assert Bm25Encoder().encode_query("memory").indices.tolist() == [_crc("memori")]
    assert _same(Bm25Encoder().encode_document("b a"), ENCODER.encode_document("a b"))


def _crc(stem: str) -> int:
    """CRC-32 computed bit by bit from its definition."""
    register = 0xFFFFFFFF
    for byte in stem.encode():
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def _same(first: SparseVector, second: SparseVector) -> bool:
    return np.array_equal(first.indices, second.indices) and np.array_equal(
        first.values, second.values
    )


def test_an_encoder_is_thread_safe() -> None:
    """Four threads that share an encoder get the same vectors as one."""
    encoder = Bm25Encoder()
    texts = [f"running number{number % 50} houses{number % 70}" for number in range(400)]
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(encoder.encode_document, texts))
    assert all(
        _same(vector, ENCODER.encode_document(text))
        for vector, text in zip(vectors, texts, strict=True)
    )


def test_the_fingerprint_names_every_parameter() -> None:
    """The encoder's fingerprint contains its version and language, the parameters k1 and b, and the
    average length.
    """
    assert ENCODER.fingerprint == "bm25-1:english:k1=1.2:b=0.75:avg=40"
