"""What is cut out of the written texts."""

from __future__ import annotations

from benchmarks.texts.parted import cut, measure_parts


def test_hardly_anything_is_cut_wrongly() -> None:
    """Of both kinds six tenths or more are found, and next to nothing that is none."""
    for kind in ("R", "H"):
        found = cut(kind)
        assert found.extra <= 1
        assert found.right / (found.right + found.missed) >= 0.6


def test_no_fact_is_taken_that_is_none() -> None:
    """Of what lasts of the speaker nine tenths are found, and nothing else."""
    found = cut("F")
    assert found.extra == 0
    assert found.right / (found.right + found.missed) >= 0.9


def test_the_report_names_every_kind() -> None:
    """Each has its F1."""
    kinds = {"requests for later", "ways to do something", "what lasts of the speaker"}
    assert set(measure_parts("parts").figures) == kinds
