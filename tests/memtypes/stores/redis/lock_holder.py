"""A process that holds a lock, for tests that kill or stop it.

`python -m tests.memtypes.stores.redis.lock_holder SOCKET NAME TTL` acquires the lock and prints
`held FENCE`, waits for a line on standard input, then does a guarded write and prints its result.
With a fourth argument TURNS it acquires and releases the lock TURNS times and prints a line for
each.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from memtypes.model.scope import Scope
from memtypes.ports.locks import LockRequest
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.scripts import Script

SCOPE = Scope("acme", "locks")
GUARDED = live_key(SCOPE, "guarded")
HIGHEST_FENCE = live_key(SCOPE, "highest-fence")

# A resource that refuses writers with a lower fence than it has seen, as the memory store does.
WRITE = Script("""
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or '0') then return 'FENCED' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return 'WRITTEN'
""")


async def guarded_write(live: LiveClient, fence: int, value: str) -> str:
    """Write `value` with the fence of a lock. Returns "FENCED" if a higher fence has written
    before, else "WRITTEN".
    """
    return str(await live.script(WRITE, [HIGHEST_FENCE, GUARDED], (fence, value), idempotent=True))


async def hold(live: LiveClient, request: LockRequest) -> None:
    """Acquire the lock and do not renew it. When a line arrives on standard input, write and print
    the result.
    """
    lease = await RedisLocks(live).acquire(request)
    print(f"held {lease.fence}", flush=True)  # noqa: T201 - the parent reads it
    await asyncio.to_thread(sys.stdin.readline)
    # The parent reads it
    print(await guarded_write(live, lease.fence, "late"), flush=True)  # noqa: T201


async def take_turn(live: LiveClient, request: LockRequest) -> tuple[str, int]:
    """Hold the lock for a moment. Returns "shared" if another process held it too, else "alone",
    and the fence.
    """
    holders = live_key(SCOPE, "holders")
    async with RedisLocks(live).held(request) as lease:
        alone = await live.run(lambda redis: redis.incr(holders), idempotent=False) == 1
        await asyncio.sleep(0.001)
        await live.run(lambda redis: redis.decr(holders), idempotent=False)
    return ("alone" if alone else "shared", lease.fence)


async def main(socket: str, name: str, ttl: str, turns: str = "") -> None:
    """Hold the lock `name` with a TTL of `ttl` seconds; or, if `turns` is not empty, acquire it
    `turns` times.
    """
    live = await LiveClient.open(Path("unused"), f"unix://{socket}")
    request = LockRequest(name, SCOPE, float(ttl), wait_s=60.0)
    try:
        if not turns:
            await hold(live, request)
        for _ in range(int(turns or 0)):
            print(*await take_turn(live, request), flush=True)  # noqa: T201 - the parent reads it
    finally:
        await live.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
