"""The clients of the language models that the settings name for reviews and summaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from api.settings import Settings
from ingest.conversations.summary import TIME_LIMIT_S
from ingest.screening.completions import CompletionClient
from ingest.screening.review.reviewers import ASK_LIMIT_S
from memtypes.circuit_breaker import BreakerState


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of language models; None where no URL is set."""

    reviewer: CompletionClient | None
    summariser: CompletionClient | None

    def states(self) -> Mapping[tuple[str, str], BreakerState]:
        """The state of the circuit breaker of each endpoint, by (host, kind of call)."""
        clients = {"review": self.reviewer, "summary": self.summariser}
        return {
            (client.host, workload): client.breaker.state
            for workload, client in clients.items()
            if client is not None
        }


def endpoints_of(settings: Settings, http: httpx.AsyncClient) -> Endpoints:
    """The endpoints that `settings` name, called through `http`."""

    def client(
        url: str | None, model: str, key: SecretStr | None, limit_s: float
    ) -> CompletionClient | None:
        if url is None:
            return None
        return CompletionClient(http, url, model, key.get_secret_value() if key else None, limit_s)

    return Endpoints(
        client(settings.reviewer_url, settings.reviewer_model, settings.reviewer_key, ASK_LIMIT_S),
        client(
            settings.summariser_url,
            settings.summariser_model,
            settings.summariser_key,
            TIME_LIMIT_S,
        ),
    )
