"""The embedded store: Qdrant Edge in a worker process of the one program that has the directory
open.
"""

from memtypes.stores.edge.store import EdgeFiles, EdgeStore
from memtypes.stores.edge.worker import EdgeSettings

__all__ = ["EdgeFiles", "EdgeSettings", "EdgeStore"]
