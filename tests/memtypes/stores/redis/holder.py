"""A process that holds a lock, for tests that kill or stop it.

`python -m tests.memtypes.stores.redis.holder SOCKET NAME TTL` prints `held FENCE`, waits for a line, then writes
`late` to the guarded key and prints the outcome. With a fourth argument TURNS it takes that many turns and prints
what it saw.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from memtypes.model.scope import Scope
from memtypes.ports.locks import LockRequest
from memtypes.stores.redis.connection.client import LiveClient, LiveSettings, Script
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.locks import FENCED, RedisLocks, fence_key

SCOPE = Scope("acme", "locks")
WRITE = Script(FENCED + "redis.call('SET', KEYS[2], ARGV[2]) return 'WRITTEN'")
GUARDED = live_key(SCOPE, "guarded")


async def write(live: LiveClient, request: LockRequest, fence: int, value: str) -> str:
    """What came of a guarded write."""
    said: str = await live.script(WRITE, [fence_key(request), GUARDED], (fence, value), repeatable=True)
    return said


async def hold(live: LiveClient, request: LockRequest) -> None:
    """Hold the lock without renewing it; write when told to."""
    lease = await RedisLocks(live).acquire(request)
    print(f"held {lease.fence}", flush=True)  # noqa: T201 - the parent reads it
    await asyncio.to_thread(sys.stdin.readline)
    print(await write(live, request, lease.fence, "late"), flush=True)  # noqa: T201 - the parent reads it


async def turn(live: LiveClient, request: LockRequest) -> tuple[str, int]:
    """`turn` and the fence; `two` when another holder was met."""
    inside = live_key(SCOPE, "inside")
    async with RedisLocks(live).held(request) as lease:
        alone = await live.run(lambda redis: redis.incr(inside), repeatable=False) == 1
        await asyncio.sleep(0.001)
        await live.run(lambda redis: redis.decr(inside), repeatable=False)
    return ("turn" if alone else "two", lease.fence)


async def contend(live: LiveClient, request: LockRequest, turns: int) -> None:
    """Take turns and say what came of each."""
    for _ in range(turns):
        print(*await turn(live, request), flush=True)  # noqa: T201 - the parent reads it


async def main(socket: str, name: str, ttl: str, *turns: str) -> None:
    """One holder, or one contender."""
    live = await LiveClient.open(LiveSettings(Path("unused"), f"unix://{socket}"))
    request = LockRequest(name, SCOPE, float(ttl), wait_s=60.0)
    try:
        await (contend(live, request, int(turns[0])) if turns else hold(live, request))
    finally:
        await live.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
