"""The HTTP client of the command line."""

from __future__ import annotations

import math
import re

import httpx
import pytest

from api.cli.client import PROBLEM_JSON, TIMEOUT, ApiClient, Refused, ServiceFault
from api.cli.importing import write_items
from api.wiring.container import Services
from memtypes.model.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    RemembrancerError,
    Unavailable,
)
from tests.api.conftest import ASK, connect

pytestmark = pytest.mark.anyio

PROBLEM = {"content-type": PROBLEM_JSON}


async def answered(response: httpx.Response | Exception) -> dict[str, object]:
    """The result of the command line's HTTP client if the service's response is `response`.

    An exception as `response` stands for a failed connection.
    """

    def reply(_request: httpx.Request) -> httpx.Response:
        if isinstance(response, Exception):
            raise response
        return response

    async with ApiClient.open("http://test", "key", httpx.MockTransport(reply)) as client:
        return await client.post("/v1/search", ASK)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (413, InvalidRequest),
        (422, InvalidRequest),
        (429, Overloaded),
        (500, ServiceFault),
        (503, Unavailable),
    ],
)
async def test_error_responses_are_raised_as_domain_errors(
    status: int, kind: type[RemembrancerError]
) -> None:
    """A problem document (the API's error format) is raised as an error with its detail and field
    paths.
    """
    errors = [{"path": "items[1].content", "message": "must not be blank"}]
    with pytest.raises(kind, match=r"no good\n  items\[1\].content: must not be blank"):
        await answered(
            httpx.Response(status, json={"detail": "no good", "errors": errors}, headers=PROBLEM)
        )


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        ({"detail": "Not Found"}, {}, "404 without a problem document"),
        ({"title": "no such page"}, PROBLEM, "JSON of another form (detail: is required)"),
        (
            {"detail": "no such page", "errors": 7},
            PROBLEM,
            "JSON of another form (errors: must be a list)",
        ),
    ],
)
async def test_an_error_response_of_another_program_names_the_url(
    body: object, headers: dict[str, str], why: str
) -> None:
    """An error response that is no problem document, as at a wrong --url, raises ServiceFault with
    the URL.
    """
    with pytest.raises(
        ServiceFault, match=f"^http://test answered {re.escape(why)}: check that a Remembrancer"
    ):
        await answered(httpx.Response(404, json=body, headers=headers))


async def test_a_batch_answered_with_too_few_results_is_refused() -> None:
    """If a batch of texts is answered with another number of results, writing raises ServiceFault
    with both numbers.
    """
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"results": []}))
    async with ApiClient.open("http://test", None, transport) as client:
        with pytest.raises(ServiceFault, match="answered 0 results for 1 texts"):
            await write_items(client, "n", [{"content": "A note."}])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), [("8", 8), ("Fri, 31 Dec 1999 23:59:59 GMT", 1)])
async def test_retry_after_sets_the_wait_of_the_error(
    status: int, header: str, seconds: int
) -> None:
    """A busy or unavailable service's Retry-After in seconds is the error's wait; a date there
    counts as 1 second.
    """
    response = httpx.Response(
        status, json={"detail": "later"}, headers=PROBLEM | {"Retry-After": header}
    )
    with pytest.raises((Overloaded, Unavailable)) as caught:
        await answered(response)
    assert isinstance(caught.value, Overloaded | Unavailable)
    assert caught.value.retry_after_s == seconds


async def test_a_refused_key_is_explained_for_the_command_line() -> None:
    """If the service refuses the key, the error names the command-line option, not the HTTP
    header.
    """
    with pytest.raises(Refused, match="give one with --key or as REMEMBRANCER_KEY"):
        await answered(httpx.Response(401, json={"detail": "send a known key"}, headers=PROBLEM))


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.Response(200, text="<html>"), ServiceFault),
        (httpx.Response(200, text='{"context": "\\ud800"}'), ServiceFault),
        (httpx.Response(200, text="[" * 100_000), ServiceFault),
        (httpx.Response(200, json=[1]), ServiceFault),
    ],
)
async def test_unusable_responses_are_errors(
    response: httpx.Response | Exception, kind: type[Exception]
) -> None:
    """A timeout or a refused connection raises Unavailable; an answer that is no JSON object raises
    ServiceFault.
    """
    with pytest.raises(kind):
        await answered(response)


async def test_invalid_url_names_the_option() -> None:
    with pytest.raises(InvalidRequest, match="--url"):
        async with ApiClient.open("nonsense://x", None) as client:
            await client.get("/health/live")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("tea \udcff", "not valid Unicode"),
        (math.nan, "NaN or infinite"),
        (-math.inf, "NaN or infinite"),
    ],
)
async def test_values_that_json_cannot_carry_are_refused_without_quoting_them(
    value: object, why: str
) -> None:
    """A value that JSON cannot carry, such as a lone surrogate or NaN, raises InvalidRequest.

    The error does not quote the value, which may be private.
    """
    async with ApiClient.open(
        "http://test", None, httpx.MockTransport(lambda _: httpx.Response(200))
    ) as client:
        with pytest.raises(InvalidRequest, match=why) as caught:
            await client.post("/v1/search", ASK | {"query": value})
        assert ("tea" in str(caught.value), caught.value.__suppress_context__) == (False, True)


async def test_a_namespace_that_is_not_valid_unicode_is_refused() -> None:
    """A namespace with a lone surrogate raises InvalidRequest, because no URL can contain it.

    Python reads bytes of an argument that are not UTF-8 as lone surrogates.
    """
    async with ApiClient.open(
        "http://test", None, httpx.MockTransport(lambda _: httpx.Response(200))
    ) as client:
        with pytest.raises(InvalidRequest, match="not valid Unicode"):
            await client.is_empty("tea \udcff")


def test_every_call_has_a_timeout() -> None:
    """Every request has connect, read, write and pool timeouts."""
    assert None not in (TIMEOUT.connect, TIMEOUT.read, TIMEOUT.write, TIMEOUT.pool)


async def test_rows_are_written_and_found_over_http(services: Services) -> None:
    """An imported memory is found by search and retrieve."""
    async with connect(services) as http:
        client = ApiClient(http)
        assert await client.is_empty("n")
        outcomes = await write_items(
            client, "n", [{"type": "semantic", "content": "The build runs on Friday."}]
        )
        assert not await client.is_empty("n")
        hits = (await client.post("/v1/search", ASK))["hits"]
        items = (await client.post("/v1/retrieve", ASK))["items"]
    assert [outcomes[0].id] == [hit["id"] for hit in hits] == [item["id"] for item in items]
    assert outcomes[0].status == "stored"
