"""What the API is: the OpenAPI document, and the same as a page that fetches nothing from anywhere."""

from __future__ import annotations

from litestar import Response

from api.http.docs_page import page
from api.http.endpoint import Call, HttpRequest, answer, safe_get
from api.http.openapi import document

TAG = "Service"
_OPENAPI = Call("This document", TAG, {200: dict}, role=None)
_DOCS = Call("This document as a page", TAG, {200: str}, role=None, answer_type="text/html")


@safe_get("/openapi.json", opt=_OPENAPI.opt())
async def openapi_json(request: HttpRequest) -> Response[bytes]:
    """The OpenAPI document."""
    return answer(document(request.app))


@safe_get("/docs", opt=_DOCS.opt())
async def docs(request: HttpRequest) -> Response[str]:
    """The page."""
    return Response(page(document(request.app)), media_type="text/html")
