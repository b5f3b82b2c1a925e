"""The calls on threads that are measured, each as the service makes it. Knows no clock and no table."""

from __future__ import annotations

from benchmarks.live.call import SCOPE, TURN, LiveCall, NoTokens, bytes_of
from ingest.conversations.summary import RuleSummariser
from ingest.conversations.threads import OpenRequest, ThreadParts, Threads
from ingest.screening.redaction.redactor import Redactor
from ingest.writing.pipeline import Ingestor
from memtypes.live.thread_policy import Policies, ThreadPolicy
from memtypes.live.turns import NewTurn
from memtypes.llms.registry import Registry
from memtypes.model.times import system_clock
from memtypes.ports.tokenizer import Tokenizer
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.evicted_turns import RedisEvictedTurns
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.threads import RedisThreads
from retrieval.context.thread import thread_context

_LONG = ThreadPolicy(max_tokens=5_000_000, max_messages=1_000_000, max_turns=1_000_000)


class NoIngestor(Ingestor):
    """An ingestor for runs in which nothing is evicted and no workflow ends."""

    def __init__(self) -> None:
        """Open nothing."""


async def thread_calls(live: LiveClient, tokenizer: Tokenizer, clients: int) -> list[LiveCall]:
    """Appends to a thread of each client's own, and contexts of threads with fifty turns."""
    threads = _threads(live, tokenizer)
    own = {client: await _opened(threads) for client in range(clients)}
    read = await _filled(threads)
    child = await _opened(threads, read)
    await threads.append(SCOPE, child, NewTurn(role="user", content=TURN), None)

    async def append(client: int, _number: int) -> None:
        await threads.append(SCOPE, own[client], NewTurn(role="user", content=TURN), None)

    async def context(_client: int, _number: int) -> None:
        await _context(threads, tokenizer, read)

    async def chained(_client: int, _number: int) -> None:
        await _context(threads, tokenizer, child)

    return [
        LiveCall("thread: append", 1, append),
        LiveCall("thread: 50 turns in 1,000 tokens", 2, context),
        LiveCall("thread: child of it in 1,000 tokens", 3, chained),
    ]


async def memory_of_a_thread(live: LiveClient) -> float:
    """Bytes that a thread of fifty turns takes in the server."""
    thread_id = await _filled(_threads(live, NoTokens()))
    return await bytes_of(live, f":thread:{thread_id}")


async def _context(threads: Threads, tokenizer: Tokenizer, thread_id: str) -> None:
    chain = await threads.chain(SCOPE, thread_id)
    built = thread_context(chain.threads, 1_000, tokenizer, None)
    await threads.store.use(SCOPE, thread_id, [index for one, index in built.turns if one == thread_id])


async def _filled(threads: Threads) -> str:
    thread_id = await _opened(threads)
    for number in range(50):
        turn = NewTurn(role="assistant" if number % 2 else "user", content=f"{number}: {TURN}", files=["ledger.lock"])
        await threads.append(SCOPE, thread_id, turn, None)
    return thread_id


async def _opened(threads: Threads, parent_id: str | None = None) -> str:
    opened = await threads.open(SCOPE, OpenRequest(resource="long", parent_id=parent_id))
    return opened.thread.id


def _threads(live: LiveClient, tokenizer: Tokenizer) -> Threads:
    return Threads(
        ThreadParts(
            RedisThreads(live),
            RedisEvictedTurns(live),
            NoIngestor(),
            tokenizer,
            RuleSummariser(tokenizer),
            RedisLocks(live),
            system_clock,
            Registry,
            Redactor(),
            Policies(threads={"long": _LONG}),
        )
    )
