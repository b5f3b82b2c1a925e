"""Applications over a test's own services.

They share one set of routes, because building routes takes longer than most tests.
"""

from __future__ import annotations

from copy import copy
from functools import cache

from litestar import Litestar
from litestar.events import SimpleEventEmitter

from api.http.app import create_app, state_over
from api.wiring.container import Services
from memtypes.model.times import system_clock
from tests.api.fake_services import fake_services


def application(services: Services, *, local_only: bool = False) -> Litestar:
    """An application over `services` with the shared routes. Do not run its lifespan (start and
    shutdown hooks).
    """
    app = copy(_built(local_only=local_only))
    app.state = state_over(services)
    app.event_emitter = SimpleEventEmitter([])
    return app


@cache
def _built(*, local_only: bool) -> Litestar:
    return create_app(fake_services(system_clock), local_only=local_only)
