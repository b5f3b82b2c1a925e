"""Retries, timeouts and errors of the sync and async clients, against a loopback server with
prepared answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from remembrancer_client import (
    AsyncRemembrancer,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Problem,
    RateLimited,
    Remembrancer,
    RemembrancerError,
    Retries,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UploadFailed,
)
from tests.api.clients.python.scripted_server import Reply, scripted
from tests.processes import free_port

COUNTS = {"stored": 1, "merged": 0, "rejected": 0, "failed": 0}
BATCH = Reply(200, {"results": [{"index": 0, "id": "1", "status": "stored"}], "counts": COUNTS})
STATS = Reply(
    200,
    {"namespace": "n", "types": {}, "total": {"count": 3, "tokens": 9}, "past": 0, "items": 0},
)
BUSY = Reply(
    429, {"status": 429, "title": "Too Many Requests", "detail": "slow down"}, {"Retry-After": "0"}
)
AWAY = Reply(
    503,
    {"status": 503, "title": "Service Unavailable", "detail": "live is away"},
    {"Retry-After": "0"},
)
BROKEN = Reply(0)

Run = Callable[..., Any]
"""Runs a call on a client of `url`: a function that gets the client and returns its answer, or an
awaitable of it.
"""


def run_sync(url: str, call: Callable[[Any], Any], **options: Any) -> Any:
    """Open a sync client of `url` with these options, and return the result of `call` on the
    client.
    """
    with Remembrancer(url, namespace="n", **options) as client:
        return call(client)


def run_async(url: str, call: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    """Open an async client of `url` with these options, and return the result of awaiting `call` on
    the client.
    """

    async def main() -> Any:
        async with AsyncRemembrancer(url, namespace="n", **options) as client:
            return await call(client)

    return asyncio.run(main())


@pytest.fixture(params=[run_sync, run_async])
def run(request: pytest.FixtureRequest) -> Run:
    """The function that runs a call on a client. Each test runs once with a sync and once with an
    async client.
    """
    chosen: Run = request.param
    return chosen


@pytest.mark.parametrize("fault", [BUSY, AWAY, BROKEN, Reply(502, "<html>bad gateway</html>")])
def test_a_read_is_repeated_until_it_is_answered(run: Run, fault: Reply) -> None:
    """A read that fails twice is sent a third time and returns the third answer."""
    with scripted(fault, fault, STATS) as server:
        assert run(server.url, lambda client: client.stats()).total.count == 3
        assert [(request.method, request.path) for request in server.received] == [
            ("GET", "/v1/stats?namespace=n")
        ] * 3


def test_a_retry_waits_as_long_as_retry_after_says(run: Run) -> None:
    """A Retry-After of one second delays the second request by a second."""
    with scripted(Reply(429, {"status": 429}, {"Retry-After": "1"}), STATS) as server:
        run(server.url, lambda client: client.stats())
        first, second = server.received
        assert 1.0 <= second.at - first.at < 3.0


def test_a_retry_after_may_be_a_date(run: Run) -> None:
    """If Retry-After is an HTTP date, the error's `retry_after` is the number of seconds until
    then.
    """
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    with scripted(Reply(503, {"status": 503}, {"Retry-After": date})) as server:
        with pytest.raises(Unavailable) as caught:
            run(server.url, lambda client: client.stats())
        assert caught.value.retry_after == pytest.approx(3600, abs=5)


def test_a_call_fails_at_once_if_retry_after_is_too_long(run: Run) -> None:
    """If Retry-After is above the client's longest wait (60 s), the call fails at once. The error
    has the seconds.
    """
    with scripted(
        Reply(429, {"status": 429, "detail": "slow down"}, {"Retry-After": "61"})
    ) as server:
        with pytest.raises(RateLimited, match="slow down") as caught:
            run(server.url, lambda client: client.stats())
        assert caught.value.retry_after == 61
        assert len(server.received) == 1


def test_a_failing_call_is_tried_a_limited_number_of_times(run: Run) -> None:
    """A call that keeps failing raises its error after the last attempt."""
    with scripted(AWAY) as server:
        with pytest.raises(Unavailable, match="live is away"):
            run(server.url, lambda client: client.stats(), retries=Retries(attempts=3))
        assert len(server.received) == 3


@pytest.mark.parametrize("fault", [BUSY, AWAY, BROKEN])
def test_a_write_without_a_key_is_sent_once(run: Run, fault: Reply) -> None:
    """A write without an idempotency key is not repeated. The service could not tell a repeat from
    a new write.
    """
    with scripted(fault, STATS) as server:
        with pytest.raises(RemembrancerError):
            run(server.url, lambda client: client.update("1", content="new"))
        assert len(server.received) == 1


@pytest.mark.parametrize("fault", [BUSY, AWAY, BROKEN])
def test_a_retried_batch_keeps_its_idempotency_key(run: Run, fault: Reply) -> None:
    """If sending a batch fails, the client sends it again with the same idempotency key and body.

    A new call of `batch` gets a new key.
    """
    with scripted(fault, BATCH) as server:
        for _ in range(2):
            assert (
                run(server.url, lambda client: client.batch([{"content": "a"}])).counts.stored == 1
            )
        first, second, other = server.received
        assert first.body == second.body == b'{"namespace":"n","items":[{"content":"a"}]}'
        keys = [request.headers["idempotency-key"] for request in (first, second, other)]
        assert keys[0] == keys[1] != keys[2]


def test_a_caller_may_name_the_idempotency_key(run: Run) -> None:
    with scripted(BATCH) as server:
        run(server.url, lambda client: client.batch([{"content": "a"}], idempotency_key="mine"))
        assert server.received[0].headers["idempotency-key"] == "mine"
        assert b"mine" not in server.received[0].body


def test_a_refused_connection_is_retried_and_then_raised(run: Run) -> None:
    """If the connection is refused, the client tries again, even for a write, because the service
    cannot have got it.

    After the last attempt it raises an error that names the address.
    """
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=url) as caught:
        run(url, lambda client: client.update("1", content="new"), retries=Retries(attempts=2))
    assert not caught.value.sent


def test_a_slow_answer_times_out(run: Run) -> None:
    """If the service does not answer within the client's timeout, the call raises an error."""
    with scripted(Reply(200, {}, delay_s=1.0)) as server, pytest.raises(TimedOut):
        run(server.url, lambda client: client.update("1", content="new"), timeout=0.1)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (422, InvalidRequest),
    ],
)
def test_error_responses_raise_the_exception_for_their_status(
    run: Run, status: int, error: type[Problem]
) -> None:
    """An error response raises the exception for its status, with the response's detail and field
    errors.

    The call is not repeated.
    """
    faults = [{"path": "importance", "message": "must be at most 10", "got": 11}]
    document = {
        "status": status,
        "title": "T",
        "detail": "it is wrong",
        "errors": faults,
        "current_version": 7,
    }
    with scripted(Reply(status, document)) as server:
        with pytest.raises(error, match="it is wrong\n  importance: must be at most 10") as caught:
            run(server.url, lambda client: client.stats())
        assert (caught.value.status, caught.value.current_version) == (status, 7)
        assert caught.value.errors[0].got == 11
        assert len(server.received) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "<html>sign in</html>"),
        Reply(200, {"other": 1}),
        Reply(302, "", {"Location": "/login"}),
        Reply(404, "<html>no such page</html>"),
    ],
)
def test_an_answer_of_another_program_is_named_as_such(run: Run, reply: Reply) -> None:
    """HTML, unexpected JSON or a redirect as the answer raises UnexpectedAnswer with the status and
    the URL.
    """
    with scripted(reply) as server:
        with pytest.raises(UnexpectedAnswer) as caught:
            run(server.url, lambda client: client.stats())
        assert caught.value.status == reply.status
        assert f"{server.url}/v1/stats" in str(caught.value)


def test_an_upload_that_fails_says_what_was_done(run: Run) -> None:
    """If an upload fails, its earlier parts stay stored.

    The error has their counts and the number of lines that were sent.
    """
    refused = Reply(422, {"status": 422, "detail": "items[0].content: is required"})
    counts = {"stored": 1000, "merged": 0, "rejected": 0, "failed": 0}
    results = [{"index": index, "id": str(index), "status": "stored"} for index in range(1000)]
    with scripted(Reply(200, {"results": results, "counts": counts}), refused) as server:
        with pytest.raises(
            UploadFailed, match=r"after 1000 lines: items\[0\].content: is required"
        ) as caught:
            run(
                server.url,
                lambda client: client.remember_all({"content": str(i)} for i in range(1500)),
            )
        assert caught.value.result.counts.stored == 1000
        assert isinstance(caught.value.__cause__, InvalidRequest)
        assert [len(request.body.split(b"\n")) for request in server.received] == [1000, 500]


def test_an_upload_is_cut_into_parts_by_size(run: Run) -> None:
    """An upload with lines of five megabytes sends each line in its own request."""
    with scripted(BATCH) as server:
        line = json.dumps({"content": "x" * 5_000_000})
        assert (
            run(server.url, lambda client: client.remember_all([line, "", line])).counts.stored == 2
        )
        assert len(server.received) == 2


@pytest.mark.parametrize("end", ["\n", ""])
def test_lines_of_an_export_end_at_line_feeds_only(end: str) -> None:
    """Other line separators in a text, such as U+2028, do not split an exported object."""
    entries = [
        {"content": "first\u2028second"},
        {"content": "\u2029third"},
        {"content": "\u0085" * 100_000},
    ]
    lines = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + end

    async def exported(client: AsyncRemembrancer) -> list[dict[str, Any]]:
        return [entry async for entry in client.admin.export()]

    with scripted(Reply(200, lines)) as server:
        assert run_sync(server.url, lambda client: list(client.admin.export())) == entries
        assert run_async(server.url, exported) == entries


def test_the_api_key_is_sent_and_not_shown_in_the_repr() -> None:
    """The Authorization header has the key; the client's representation does not."""
    with (
        scripted(STATS) as server,
        Remembrancer(server.url, key="secret-key", namespace="n") as client,
    ):
        client.stats()
        assert server.received[0].headers["authorization"] == "Bearer secret-key"
        assert "secret-key" not in repr(client)
        assert "secret-key" not in repr(vars(client.connection))


def test_environment_variables_replace_omitted_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """REMEMBRANCER_URL, _KEY and _NAMESPACE are used for arguments that the caller leaves out."""
    with scripted(STATS) as server:
        for name, value in {"URL": server.url, "KEY": "k", "NAMESPACE": "from env"}.items():
            monkeypatch.setenv(f"REMEMBRANCER_{name}", value)
        with Remembrancer() as client:
            client.stats()
            client.within("other").stats()
            client.stats(namespace="third")
        assert [request.path.partition("=")[2] for request in server.received] == [
            "from+env",
            "other",
            "third",
        ]
        assert server.received[0].headers["authorization"] == "Bearer k"


def test_a_call_without_a_namespace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a namespace a call raises an error.

    An empty namespace is sent, not replaced by REMEMBRANCER_NAMESPACE.
    """
    monkeypatch.delenv("REMEMBRANCER_NAMESPACE", raising=False)
    with Remembrancer() as client, pytest.raises(ValueError, match="REMEMBRANCER_NAMESPACE"):
        client.stats()
    monkeypatch.setenv("REMEMBRANCER_NAMESPACE", "from env")
    with scripted(STATS) as server, Remembrancer(server.url, namespace="") as client:
        client.stats()
        assert server.received[0].path == "/v1/stats?namespace="


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_never_leads_to_another_path(name: str) -> None:
    """An empty id, `.` or `..` raises ValueError, because it would change the path of the
    request.
    """
    with Remembrancer(namespace="n") as client, pytest.raises(ValueError, match="not an id"):
        client.forget(name)


@pytest.mark.parametrize("label", ["a.b", ""])
def test_a_label_that_is_empty_or_has_a_dot_is_refused(label: str) -> None:
    """An item's path raises ValueError if a label is empty or has a dot, which separates labels in
    URLs.
    """
    with Remembrancer(namespace="n") as client, pytest.raises(ValueError, match="label"):
        client.items.get([label], "k")


def test_ids_are_quoted_in_paths() -> None:
    """A slash in an id is percent-encoded in the request's path."""
    with (
        scripted(Reply(404, {"status": 404, "detail": "no thread"})) as server,
        Remembrancer(server.url) as client,
    ):
        with pytest.raises(NotFound):
            client.threads.get("a/b?c", namespace="n")
        assert server.received[0].path == "/v1/threads/a%2Fb%3Fc?namespace=n"


def test_numbers_that_json_lacks_are_refused() -> None:
    """A NaN in a request raises an error instead of being sent as null."""
    with Remembrancer(namespace="n") as client, pytest.raises(ValueError, match="JSON"):
        client.items.put(["a"], "k", {"value": float("nan")})


def test_a_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="http://"):
        Remembrancer("localhost:8707")
