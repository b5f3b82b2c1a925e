"""Counts lines, files, classes and functions, and compares the counts with limits that keep the code readable.

`python .ci/layout.py` prints a table for the product packages, the clients and the benchmarks, and exits with 1 if a
figure is above its limit. Change a limit only with a good reason.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("memtypes", "ingest", "retrieval", "api")
ROOT = Path(__file__).resolve().parent.parent

CLIENTS = ROOT / "api" / "clients"
"""Distributions of their own for other people's programs: counted apart."""

ENTRY_POINTS = ("routes", "commands", "stores", "encoders")
"""Folders whose modules have one importer by design: routes, commands and adapters of one vendor library each."""

SLICE = 80
"""Lines below which a module with a single importer is a slice that belongs into that importer."""


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed source file. name: the dotted name, such as `api.settings`. lines: number of lines."""

    name: str
    path: Path
    lines: int
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what is counted, the figure, its limit, and examples to print if the figure exceeds it."""

    what: str
    figure: float
    limit: float
    examples: tuple[str, ...] = ()


def modules(*packages: str) -> Iterator[Module]:
    """The modules of `packages`, in the order of their paths."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            if package == "api" and path.is_relative_to(CLIENTS):
                continue
            text = path.read_text(encoding="utf-8")
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield Module(name, path, len(text.splitlines()), ast.parse(text))


def rows() -> list[Row]:
    """Measure the code. Returns all rows of the table."""
    product = list(modules(*PACKAGES))
    clients = list(modules("api/clients"))
    training = list(modules("benchmarks/training"))
    benchmarks = [module for module in modules("benchmarks") if module.path.parent.name != "training"]
    lengths = sorted(function_lengths(product))
    flat = Counter(str(m.path.parent.relative_to(ROOT)) for m in product if m.path.name != "__init__.py")
    classes = class_names(product)
    repeated = sorted(name for name, count in classes.items() if count > 1)
    small = slices(product)
    ports = protocols(product)
    largest, flattest = max(product, key=lambda m: m.lines), flat.most_common(1)[0]
    return [
        Row("product lines", sum(m.lines for m in product), 48_000),
        Row("product files, empty __init__.py aside", sum(m.lines > 0 for m in product), 300),
        Row("files in one folder, most", flattest[1], 15, (flattest[0],)),
        Row("lines of a file, most", largest.lines, 400, (str(largest.path.relative_to(ROOT)),)),
        Row("modules under 80 lines with one importer", len(small), 15, tuple(small)),
        Row("class names that exist twice", len(repeated), 0, tuple(repeated)),
        Row("abstract classes and protocols", len(ports), 20, tuple(ports)),
        Row("function length, median", statistics.median(lengths), 8),
        Row("function length, 90th percentile", lengths[int(0.9 * len(lengths))], 25),
        Row("function length, longest", lengths[-1], 45),
        Row("benchmark lines", sum(m.lines for m in benchmarks), 4_030),
        Row("lines of the clients", sum(m.lines for m in clients), 5_000),
        Row("lines of training scripts", sum(m.lines for m in training), 1_320),
    ]


def function_lengths(product: list[Module]) -> Iterator[int]:
    """Yield the number of lines of each function, from its `def` to its last line."""
    for module in product:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                yield node.end_lineno - node.lineno + 1


def class_names(product: list[Module]) -> Counter[str]:
    """The number of classes with each name."""
    return Counter(node.name for module in product for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))


def protocols(product: list[Module]) -> list[str]:
    """Dotted names of the classes that derive from ABC or Protocol."""
    return [
        f"{module.name}.{node.name}"
        for module in product
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(_base(base) in ("ABC", "Protocol") for base in node.bases)
    ]


def _base(node: ast.expr) -> str:
    target = node.value if isinstance(node, ast.Subscript) else node
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def slices(product: list[Module]) -> list[str]:
    """Names and lengths of modules under SLICE lines that only one module imports. ENTRY_POINTS folders are exempt."""
    names = {module.name for module in product}
    importers: defaultdict[str, set[str]] = defaultdict(set)
    for module in product:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    target = f"{node.module}.{alias.name}"
                    importers[target if target in names else node.module].add(module.name)
    return [
        f"{module.name} ({module.lines})"
        for module in product
        if module.lines < SLICE
        and module.path.name != "__init__.py"
        and len(importers[module.name]) == 1
        and not set(ENTRY_POINTS) & set(module.path.parts)
    ]


def main() -> int:
    """Print the table. Returns 1 if a figure is above its limit, else 0."""
    table = rows()
    for row in table:
        mark = "" if row.figure <= row.limit else "  <- over"
        print(f"{row.what:46} {row.figure:>8g} {row.limit:>8g}{mark}")
        if mark and row.examples:
            print("    " + "\n    ".join(row.examples))
    return int(any(row.figure > row.limit for row in table))


if __name__ == "__main__":
    sys.exit(main())
