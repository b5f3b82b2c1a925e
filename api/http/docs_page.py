"""The OpenAPI document as one plain page: no script, no style from elsewhere, so that it also reads offline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem} h2{margin-top:2.5rem;border-bottom:1px solid #ccc} code,pre{font:13px/1.45 ui-monospace,monospace}
details{border:1px solid #ddd;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem} summary{cursor:pointer}
pre{background:#f6f6f6;padding:.6rem;overflow:auto} table{border-collapse:collapse}
td,th{text-align:left;padding:.15rem 1rem .15rem 0}
.m{display:inline-block;min-width:4.5rem;font-weight:600}
"""


def page(document: Mapping[str, Any]) -> str:
    """The HTML of `document`."""
    info = document["info"]
    body = [f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"]
    body += ['<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>']
    for tag, operations in _by_tag(document).items():
        body.append(f"<h2>{escape(tag)}</h2>")
        body += [_operation(*one) for one in operations]
    body.append("<h2>Shapes</h2>")
    body += [_shape(name, schema) for name, schema in document["components"]["schemas"].items()]
    title = escape(info["title"])
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>'


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return found


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(operation.get('description', 'No key needed.'))}</p>", *_parameters(operation)]
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, {escape(kind)}: {_schema(body['schema'])}</p>")
    parts.append("<table>" + "".join(_response(*one) for one in operation["responses"].items()) + "</table>")
    summary = f'<span class="m">{method}</span><code>{escape(path)}</code> {escape(operation["summary"])}'
    return f"<details><summary>{summary}</summary>{''.join(parts)}</details>"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{'required' if one['required'] else 'optional'}</td><td>{_schema(one['schema'])}</td></tr>"
        for one in operation["parameters"]
    ]
    if rows:
        yield f"<table>{''.join(rows)}</table>"


def _response(status: str, response: Mapping[str, Any]) -> str:
    shapes = " ".join(_schema(one["schema"]) for one in response.get("content", {}).values())
    return f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td><td>{shapes}</td></tr>"


def _schema(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}">{name}</a>'
    return f"<code>{escape(json.dumps(schema)[:400])}</code>"


def _shape(name: str, schema: Mapping[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2))
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>'
