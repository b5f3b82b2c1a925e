"""The login page of the inspector, which asks for an API key, and the logout."""

from __future__ import annotations

import re
from typing import Annotated

from litestar.datastructures import Cookie
from litestar.response import Redirect
from pydantic import Field

from api.http.endpoint import Params
from api.http.inspector.logins import LOGIN_S, Logins
from api.http.inspector.page import PAGE_HEADERS, ROOT, Html, Page, redirect
from api.http.inspector.view import COOKIE, View
from api.http.request import ApiRequest
from memtypes.model.memory import StrictModel

_INSIDE = re.compile(rf"{ROOT}([/?][!-~]*)?")
"""Matches URLs of the inspector. A login redirects to no other URLs."""


class LoginAddress(StrictModel):
    """Parameters of the login page. next: URL to open after the login."""

    next: Annotated[str, Field(max_length=8_192)] = ROOT


class LoginForm(LoginAddress):
    """The form of the login page: an API key of the service, and the URL to open after the
    login.
    """

    key: Annotated[str, Field(max_length=1_024)] = ""


@View("GET /login", role=None)
async def login_page(page: Page, params: Params[LoginAddress]) -> Html:
    """The login page, with a form that asks for an API key."""
    return page.render("login.html", next=params.next, failed=False)


@View("POST /login", role=None)
async def login(request: ApiRequest, page: Page, params: Params[LoginForm]) -> Html:
    """Log in and redirect to the requested page. For an unknown key, show the form again with
    status 403.
    """
    logins: Logins = request.app.state.logins
    key = params.key.strip()
    cookie = logins.begin(key) if key else None
    if cookie is None:
        return page.render("login.html", status=403, next=params.next, failed=True)
    target = params.next if _INSIDE.fullmatch(params.next) else ROOT
    cookies = [_cookie(request, cookie, LOGIN_S)]
    return Redirect(target, status_code=303, headers=dict(PAGE_HEADERS), cookies=cookies)


@View("POST /logout", role=None)
async def logout(request: ApiRequest) -> Html:
    """End the login and redirect to the login page."""
    request.app.state.logins.end(request.cookies.get(COOKIE))
    answer = redirect("/login", done="logout")
    answer.cookies.append(_cookie(request, "", 0))
    return answer


def _cookie(request: ApiRequest, value: str, max_age: int) -> Cookie:
    """The inspector's cookie: not readable by scripts, and sent with requests of the inspector's
    own pages only.
    """
    secure = request.url.scheme == "https"
    return Cookie(
        COOKIE,
        value=value,
        path=ROOT,
        max_age=max_age,
        httponly=True,
        samesite="strict",
        secure=secure,
    )
