"""Access to the inspector: login, roles, tenants and form tokens; its headers and errors."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import httpx
import pytest

from api.auth.keys import KeyBook, KeyEntry, Role, hashed
from api.auth.rate_limit import RateLimit
from api.http.inspector.logins import LOGIN_S, MAX_LOGINS_OF_KEY, Logins
from api.http.inspector.page import STATIC
from api.wiring.container import Services
from tests.api.conftest import KEYS, NOW, bearer, connect
from tests.api.http.inspector.conftest import ORIGIN, Visit, log_in, text_of

pytestmark = pytest.mark.anyio

HTMX_SHA256 = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"


def test_vendored_htmx_is_the_published_file() -> None:
    """The vendored script has the hash of htmx 2.0.11 as published, and its licence is in the same
    folder.
    """
    assert hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest() == HTMX_SHA256
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE.txt").read_text(encoding="utf-8")


async def test_pages_forbid_scripts_and_frames_of_others(visit: Visit) -> None:
    """The Content-Security-Policy of pages forbids scripts of other sites and frames. No page has
    inline scripts.
    """
    await visit.write("The build runs on Friday.")
    for path in ("/", "/search", "/memories"):
        got = await visit.client.get(f"/inspect{path}", params={"namespace": "n"})
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy
        assert "unsafe" not in policy
        for directive in ("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert directive in policy
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in got.text
        assert "<style" not in got.text
        assert " on" not in [part[:3] for part in got.text.split('"')]
        assert got.text.count("<script") == got.text.count("<script src=") == 1


async def test_static_files_need_no_login_and_are_cached(guarded_client: httpx.AsyncClient) -> None:
    """Style sheet, script and icon are served without a login. Files outside the static folder are
    a 404.
    """
    page = (await guarded_client.get("/inspect/login")).text
    for name in ("inspector.css", "htmx.min.js", "icon.svg"):
        address = next(
            part for part in page.split('"') if part.startswith(f"/inspect/static/{name}")
        )
        got = await guarded_client.get(address)
        assert got.status_code == 200
        assert "immutable" in got.headers["cache-control"]
    assert (await guarded_client.get("/inspect/static/../page.py")).status_code == 404
    assert (await guarded_client.get("/inspect/static/%2e%2e/page.py")).status_code == 404


async def test_without_a_login_every_page_leads_to_the_form(
    guarded_client: httpx.AsyncClient,
) -> None:
    """Without a login a page redirects to the login form, and a login leads back to the page.

    For htmx, the answer has the header HX-Redirect.
    """
    address = "/inspect/search?namespace=n&q=caf%C3%A9"
    got = await guarded_client.get(address)
    assert got.status_code == 303
    assert got.headers["location"].startswith("/inspect/login?next=")
    form = (await guarded_client.get(got.headers["location"])).text
    assert 'type="password"' in form
    back = await guarded_client.post(
        "/inspect/login", data={"key": KEYS["acme", Role.READER], "next": address}, headers=ORIGIN
    )
    assert back.headers["location"] == address
    await guarded_client.post("/inspect/logout", headers=ORIGIN)
    guarded_client.cookies.clear()
    fragment = await guarded_client.get(address, headers={"HX-Request": "true"})
    assert fragment.headers["hx-redirect"].startswith("/inspect/login")


async def test_login_cookie_is_strict_and_does_not_contain_the_key(
    guarded_client: httpx.AsyncClient,
) -> None:
    """The login cookie is HttpOnly and SameSite=Strict, is sent to /inspect only, expires, and
    lacks the API key.
    """
    got = await log_in(guarded_client, "acme", Role.WRITER)
    cookie = got.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/inspect", f"Max-Age={LOGIN_S}"):
        assert attribute in cookie
    assert "Secure" not in cookie
    assert KEYS["acme", Role.WRITER] not in cookie


async def test_login_over_https_sets_a_secure_cookie(guarded: Services) -> None:
    async with connect(guarded) as client:
        client.base_url = httpx.URL("https://test")
        got = await client.post(
            "/inspect/login",
            data={"key": KEYS["acme", Role.READER]},
            headers={"Origin": "https://test"},
        )
        assert "Secure" in got.headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "wrong-key-1234", "x" * 2_000, "\x00", "é" * 20])
async def test_unknown_key_does_not_log_in(guarded_client: httpx.AsyncClient, key: str) -> None:
    """A login with an unknown or malformed key is refused, and no cookie is set."""
    got = await guarded_client.post("/inspect/login", data={"key": key}, headers=ORIGIN)
    assert got.status_code in (403, 422)
    assert "set-cookie" not in got.headers


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test", "/inspect\\@evil", "/inspectevil", "/v1/x"]
)
async def test_login_leads_only_to_pages_of_the_inspector(
    guarded_client: httpx.AsyncClient, target: str
) -> None:
    """If `next` is an address outside the inspector, the login leads to the inspector's first page
    instead.
    """
    form = {"key": KEYS["acme", Role.READER], "next": target}
    got = await guarded_client.post("/inspect/login", data=form, headers=ORIGIN)
    assert got.headers["location"] == "/inspect"


async def test_logout_ends_the_login(guarded_client: httpx.AsyncClient) -> None:
    """After a logout the old cookie is refused, even if a client sends it again."""
    await log_in(guarded_client, "acme", Role.READER)
    cookies = dict(guarded_client.cookies)
    token = await Visit(guarded_client).token()
    assert (
        await guarded_client.post("/inspect/logout", data={"token": token}, headers=ORIGIN)
    ).status_code == 303
    guarded_client.cookies.update(cookies)
    assert (await guarded_client.get("/inspect", params={"namespace": "n"})).status_code == 303


def test_a_login_expires() -> None:
    """A login ends after `LOGIN_S` seconds. An unknown cookie is no login, and an unknown key
    cannot log in.
    """
    now = [0.0]
    book = KeyBook(hashed([KeyEntry(key="a-long-key", tenant="acme", role=Role.READER)]))
    logins = Logins(book, RateLimit(), lambda: now[0])
    cookie = logins.begin("a-long-key")
    assert logins.visitor(cookie) is not None
    now[0] = LOGIN_S + 1.0
    assert logins.visitor(cookie) is None
    assert logins.visitor("another") is None
    assert logins.begin("another-key") is None


async def test_revoked_key_ends_its_login(guarded: Services) -> None:
    """Once an admin has removed a key, a login that was made with the key is refused."""
    async with connect(guarded) as client:
        body = {"tenant": "acme", "role": "reader"}
        new_key = (
            await client.post("/v1/admin/keys", json=body, headers=bearer("acme", Role.ADMIN))
        ).json()
        await client.post("/inspect/login", data={"key": new_key["key"]}, headers=ORIGIN)
        assert (await client.get("/inspect", params={"namespace": "n"})).status_code == 200
        await client.delete(f"/v1/admin/keys/{new_key['id']}", headers=bearer("acme", Role.ADMIN))
        assert (await client.get("/inspect", params={"namespace": "n"})).status_code == 303


async def test_one_key_cannot_end_the_logins_of_others(guarded: Services) -> None:
    """If a key logs in too often, its own oldest login ends, and logins of other keys stay."""
    async with connect(guarded) as client, connect(guarded) as other:
        await log_in(client, "acme", Role.WRITER)
        await log_in(other, "other", Role.ADMIN)
        oldest = dict(other.cookies)
        for _ in range(MAX_LOGINS_OF_KEY):
            other.cookies.clear()
            await log_in(other, "other", Role.ADMIN)
        assert (await client.get("/inspect")).status_code == 200
        assert (await other.get("/inspect")).status_code == 200
        other.cookies.clear()
        other.cookies.update(oldest)
        assert (await other.get("/inspect")).status_code == 303


async def test_reader_sees_memories_and_may_not_change_them(guarded: Services) -> None:
    """A reader's pages have no forms that change memories, and the service refuses such forms from
    a reader.
    """
    async with connect(guarded) as client:
        client.headers.update(bearer("acme", Role.WRITER))
        memory_id = await Visit(client).write("The build runs on Friday.")
        del client.headers["authorization"]
        await log_in(client, "acme", Role.READER)
        reader = Visit(client)
        page = await reader.open("/memory", id=memory_id)
        assert "The build runs on Friday." in page
        assert "/memory/pin" not in page
        for path in ("/memory/pin", "/memory/edit", "/memory/forget", "/memory/restore"):
            got = await reader.send(path, 403, id=memory_id)
            assert "needs the role writer" in text_of(got.text)


async def test_tenant_sees_only_its_own_namespaces_and_memories(guarded: Services) -> None:
    """Another tenant's namespaces are not listed, and its memories are a 404 even if their ids are
    known.
    """
    async with connect(guarded) as client:
        client.headers.update(bearer("acme", Role.WRITER))
        secret = Visit(client, "acme plans")
        memory_id = await secret.write("We ship on Monday.")
        del client.headers["authorization"]
        await log_in(client, "other", Role.ADMIN)
        assert "acme plans" not in (await client.get("/inspect")).text
        other = Visit(client, "acme plans")
        assert "We ship" not in await other.open("/")
        assert "We ship" not in await other.open("/search", q="when do we ship?")
        assert "We ship" not in await other.open("/memory", 404, id=memory_id)
        await other.send("/memory/forget", 404, id=memory_id)


async def test_form_without_its_token_changes_nothing(visit: Visit) -> None:
    """A form with a wrong, missing or empty anti-forgery token is refused, even if the service
    needs no keys.
    """
    memory_id = await visit.write("The build runs on Friday.")
    for token in ({}, {"token": ""}, {"token": "wrong"}, {"token": "é"}):
        form = {"namespace": "n", "id": memory_id, **token}
        got = await visit.client.post("/inspect/memory/forget", data=form, headers=ORIGIN)
        assert got.status_code == 403
        assert "out of date" in got.text
    assert "The build" in await visit.open("/memory", id=memory_id)


async def test_token_of_another_login_is_refused(guarded: Services) -> None:
    async with connect(guarded) as client, connect(guarded) as other:
        await log_in(client, "acme", Role.ADMIN)
        await log_in(other, "acme", Role.WRITER)
        form = {"token": await Visit(other).token(), "namespace": "n", "id": "x"}
        assert (
            await client.post("/inspect/memory/pin", data=form, headers=ORIGIN)
        ).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_form_of_another_site_is_refused(visit: Visit, headers: dict[str, str]) -> None:
    """A form from another site's page is refused even with the right token, and so is a login
    form.
    """
    form = {"token": await visit.token(), "namespace": "n", "id": "x"}
    assert (
        await visit.client.post("/inspect/memory/pin", data=form, headers=headers)
    ).status_code == 403
    assert (
        await visit.client.post("/inspect/login", data={"key": "k"}, headers=headers)
    ).status_code == 403


async def test_without_keys_only_localhost_is_served(services: Services) -> None:
    """Without keys a page is refused for any Host but localhost (DNS rebinding), and for cross-site
    requests.
    """
    async with connect(services, local_only=True) as client:
        got = await client.get("/inspect", headers={"Host": "evil.test"})
        assert got.status_code == 403
        assert (await client.get("/inspect", headers={"Host": "localhost:8707"})).status_code == 200
        crossed = {"Host": "localhost:8707", "Sec-Fetch-Site": "cross-site"}
        assert (await client.get("/inspect", headers=crossed)).status_code == 403


async def test_errors_are_shown_as_html_pages(visit: Visit) -> None:
    """Wrong parameters, unknown memories and unknown paths get an HTML page that says what is
    wrong.
    """
    assert "limit" in text_of(await visit.open("/memories", 422, limit="many"))
    assert "no memory" in text_of(await visit.open("/memory", 404, id="unknown"))
    assert text_of(await visit.open("/memory", 422)).count("is required") == 1
    for path in ("/nothing", "/receipts/01a2", "/static/no.js"):
        assert "no such path" in text_of(await visit.open(path, 404))
    address = "/inspect/memory?namespace=n&id=x"
    got = await visit.client.get(address, headers={"HX-Request": "true"})
    assert got.text.startswith('<div class="problem"')
    before = "/inspect/search?namespace=n"
    for referer, back in (
        (f"http://test{before}", before),
        ("http://evil.test/inspect/x", "/inspect/"),
    ):
        page = (await visit.client.get(address, headers={"Referer": referer})).text
        assert f'href="{back}">Back' in page


async def test_rate_limit_holds_for_pages(guarded: Services) -> None:
    """Pages and logins count towards the rate limit of the key: above the limit they are a 429."""
    limited = replace(guarded, rate=type(guarded.rate)(2, NOW.timestamp))
    async with connect(limited) as client:
        await log_in(client, "acme", Role.READER)
        statuses = [
            (await client.get("/inspect", params={"namespace": "n"})).status_code for _ in range(3)
        ]
        assert statuses == [200, 429, 429]
        client.cookies.clear()
        assert (await log_in(client, "acme", Role.READER)).status_code == 429
