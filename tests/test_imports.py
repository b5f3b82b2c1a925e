"""The imports between the modules of the product; `lint-imports` checks those between packages."""

from __future__ import annotations

from graphlib import TopologicalSorter

from grimp import build_graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Modules of a circle can only be understood together, and load in one order alone."""
    graph = build_graph("memtypes", "ingest", "retrieval", "api", "benchmarks", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
