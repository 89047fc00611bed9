"""OpenAPI 3.1, made of a table of endpoints and of the types of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from icelane.signaling.http.endpoint import Endpoint
from icelane.signaling.schema import components

Document = dict[str, Any]

_TITLE: Final = "icelane"
_VERSION: Final = "1"
_SECURITY: Final[dict[str, list[Document]]] = {
    "anybody": [],
    "user": [{"joinToken": []}, {"cookie": []}],
    "operator": [{"apiKey": []}],
    "both": [{"joinToken": []}, {"cookie": []}, {"apiKey": []}],
}
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")


def openapi(endpoints: Iterable[Endpoint], server: str | None = None) -> Document:
    """OpenAPI 3.1 of a table of endpoints; `server` is its URL."""
    table = list(endpoints)
    bodies = [body for endpoint in table for body in (endpoint.request, endpoint.answer) if body is not None]
    found, schemas = components(bodies, "#/components/schemas/{name}")
    by_body = dict(zip(map(id, bodies), found, strict=True))
    paths: dict[str, Document] = {}
    for endpoint in table:
        path = _PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _described_endpoint(endpoint, by_body)
    schemas["Problem"] = _PROBLEM
    document: Document = {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": _VERSION},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES},
    }
    if server is not None:
        document["servers"] = [{"url": server}]
    return document


def _described_endpoint(endpoint: Endpoint, by_body: dict[int, Document]) -> Document:
    described: Document = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "security": _SECURITY[endpoint.caller],
        "responses": {
            str(endpoint.status): _response("Done", None if endpoint.answer is None else by_body[id(endpoint.answer)]),
            "default": {
                "description": "Why not (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if endpoint.tags:
        described["tags"] = list(endpoint.tags)
    parameters = _PARAMETER.findall(endpoint.path)
    if parameters:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
        ]
    if endpoint.request is not None:
        described["requestBody"] = {"content": {"application/json": {"schema": by_body[id(endpoint.request)]}}}
    return described


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[A-Za-z0-9]+", endpoint.path)
    return endpoint.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _response(description: str, schema: Document | None) -> Document:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_PROBLEM: Final[Document] = {
    "title": "Problem",
    "description": "RFC 9457. `code` is for programs, `hint` says what to do.",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "retryable": {"type": "boolean"},
        "retryAfter": {"type": "number"},
        "hint": {"type": "string"},
    },
    "required": ["status", "code", "retryable"],
}
_SECURITY_SCHEMES: Final[Document] = {
    "joinToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "http", "scheme": "bearer", "description": "Also as the password of Basic."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "icelane", "description": "Named in auth.cookie."},
}
