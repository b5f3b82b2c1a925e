"""Errors cross the boundary of a process whole."""

from __future__ import annotations

import pickle

import pytest

from memtypes.model.errors import (
    Conflict,
    EmbedderMismatch,
    InvalidRequest,
    LockLost,
    NotFound,
    Overloaded,
    ReadOnly,
    RemembrancerError,
    SetupRequired,
    StoreInUse,
    Unavailable,
    VersionConflict,
)


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("bad", path="filters.x", got=[1]),
        NotFound("missing"),
        ReadOnly("not yours"),
        Conflict("taken"),
        VersionConflict("changed", current_version=7),
        LockLost("expired"),
        Overloaded("full", retry_after_s=3),
        Unavailable("gone", retry_after_s=5),
        EmbedderMismatch("another"),
        StoreInUse("held"),
        SetupRequired("run init"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_pickled_error_keeps_its_class_text_and_fields(error: RemembrancerError) -> None:
    received = pickle.loads(pickle.dumps(error))  # noqa: S301 - pickled here
    assert type(received) is type(error)
    assert str(received) == str(error)
    assert received.__dict__ == error.__dict__
