"""The embedded store: Qdrant Edge in a separate process, shared by every program that opens the
same directory.
"""

from memtypes.stores.edge.process.client import EdgeFiles, EdgeStore
from memtypes.stores.edge.process.starting import EdgeSettings

__all__ = ["EdgeFiles", "EdgeSettings", "EdgeStore"]
