"""Prints how many acts of texts on tasks a reader can find, by the number of nearest tasks that it
is shown.

    python -m benchmarks.training.reading_depth

Nothing is trained. Acts are those of the scenes in tests/data/training/statements, in English. A
text is compared with the earlier tasks of its scene, and with all tasks of its author: a store of
some 340 open tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.embedding import embeddings_of
from benchmarks.training.scenes import Scene, english_authors, scenes_by
from ingest.identity.acts import MIN_COSINE
from memtypes.model.policy import MemoryType
from memtypes.ports.reader import Act

_ACTS = (Act.DONE, Act.CANCELLED, Act.MOVES, Act.REOPENS)
_DEPTHS = (1, 2, 3, 4, 6, 8)
_FAR = max(_DEPTHS)


def main() -> None:
    """Print the shares of acts that are within reach, for each number of tasks that are read."""
    near = Counter[int]()
    crowded = Counter[int]()
    total = 0
    for author in english_authors():
        for rank, crowded_rank in _ranks(author):
            total += 1
            near[rank] += 1
            crowded[crowded_rank] += 1
    print(f"{total} acts; tasks with a cosine below {MIN_COSINE:g} are never read")
    print("| tasks that are read | of the scene | of all tasks of the author |")
    print("|---|---|---|")
    for depth in _DEPTHS:
        shares = (sum(ranks[rank] for rank in range(depth)) / total for ranks in (near, crowded))
        print(f"| {depth} |" + "".join(f" {share:.3f} |" for share in shares))


def _ranks(author: str) -> list[tuple[int, int]]:
    """For each act in the scenes of an author, how many tasks are nearer to the text than the one
    that is meant: in the scene, and of all tasks. _FAR if it is below MIN_COSINE.
    """
    scenes = list(scenes_by(author))
    texts = {text.text for scene in scenes for text in scene.texts}
    vectors = {text: each.dense for text, each in embeddings_of(texts).items()}
    tasks, owners = _tasks_of(scenes, vectors)
    ranks: list[tuple[int, int]] = []
    for number, scene in enumerate(scenes):
        elsewhere = tasks[owners != number]
        earlier: dict[str, NDArray[np.float32]] = {}
        for text in scene.texts:
            vector = vectors[text.text]
            cosines = {known: float(vector @ other) for known, other in earlier.items()}
            others = elsewhere @ vector
            acted_on = (known for known in cosines if text.does.get(known) in _ACTS)
            for meant in (cosines[known] for known in acted_on):
                rank = sum(cosine > meant for cosine in cosines.values())
                crowded_rank = rank + int((others > meant).sum())
                far = meant < MIN_COSINE
                ranks.append((_FAR, _FAR) if far else (rank, crowded_rank))
            if MemoryType.PROSPECTIVE in text.kinds:
                earlier[text.name] = vector
    return ranks


def _tasks_of(
    scenes: Sequence[Scene], vectors: Mapping[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The vectors of all tasks, and the number of the scene of each."""
    tasks = [
        (number, vectors[text.text])
        for number, scene in enumerate(scenes)
        for text in scene.texts
        if MemoryType.PROSPECTIVE in text.kinds
    ]
    return np.stack([vector for _, vector in tasks]), np.array([number for number, _ in tasks])


if __name__ == "__main__":
    main()
