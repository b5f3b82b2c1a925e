"""What is taken out of texts before they are kept, as whoever keeps them sees it. Knows no pattern and no policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cleaned:
    """value: without its secrets. counts: how many by kind; never the secrets."""

    value: Any
    counts: Mapping[str, int]


class Screen(ABC):
    """Looks texts through by the rules of their tenant. Where it can't, nothing may be kept."""

    @abstractmethod
    def clean(self, tenant: str, value: Any) -> Cleaned:
        """`value`, any JSON, without the secrets that `tenant` does not allow.

        Raises InvalidRequest where the tenant refuses texts with such secrets, Unavailable when it could not run.
        """

    @abstractmethod
    def keeps(self, tenant: str, role: str) -> bool:
        """Whether texts of this role may be kept at all."""
