"""Documents that are made of the types: complete, without dangling references, and as they are published."""

from __future__ import annotations

import importlib.resources
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from docs.signal_documents import PLACES, documents
from icelane.signaling.close_code import CloseCode
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.http.document_endpoints import document_endpoints
from icelane.signaling.http.endpoint import Endpoint
from icelane.signaling.http.openapi import openapi
from icelane.signaling.messages import (
    CandidateInit,
    ClientFrame,
    Hello,
    IceServersBody,
    Join,
    PeerJoined,
    Resume,
    RoomName,
    SendSignal,
    ServerFrame,
    SignalData,
    encode_frame,
)
from icelane.signaling.schema import asyncapi, signal_schema
from tests.audit.sources import ROOT

FRAMES = [*get_args(ClientFrame), *get_args(ServerFrame)]


class Wanted(msgspec.Struct):
    name: str


async def handler(_: Request) -> Response:
    return Response()


TABLE = [
    Endpoint(method="GET", path="/v1/things", handler=handler, summary="All", answer=IceServersBody),
    Endpoint(method="POST", path="/v1/things", handler=handler, summary="One more", request=Wanted, status=201),
    Endpoint(method="DELETE", path="/v1/things/{thing:path}", handler=handler, summary="Gone", caller="operator"),
]


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def resolve(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("document", [signal_schema(), asyncapi("call.example.org"), openapi(TABLE)])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        target = resolve(document, reference)
        while "$ref" in target:
            target = resolve(document, target["$ref"])
        assert target
    json.dumps(document, allow_nan=False)


def test_every_frame_is_described_with_its_type() -> None:
    definitions = signal_schema()["$defs"]
    for frame in FRAMES:
        described = definitions[frame.__name__]
        assert described["properties"]["type"]["enum"] == [msgspec.inspect.type_info(frame).tag]  # type: ignore[attr-defined]  # all are structs
        assert "type" in described["required"]
        assert described["description"]
    names = {one["$ref"].rpartition("/")[2] for one in definitions["clientFrame"]["oneOf"]}
    assert names == {frame.__name__ for frame in get_args(ClientFrame)}


@pytest.mark.parametrize(
    "frame",
    [
        Hello(id=1, token="t", resume=Resume(session="s", seq=3)),
        Join(id=2, room="r"),
        SendSignal(to="p", data=SignalData(candidate=CandidateInit(candidate="", sdp_mid=None, sdp_m_line_index=0))),
        PeerJoined(seq=1, room="r", peer="p", identity="i", polite=False),
    ],
)
def test_what_is_on_the_wire_has_the_names_of_the_schema(frame: ClientFrame | ServerFrame) -> None:
    wire = json.loads(encode_frame(frame))
    described = signal_schema()["$defs"][type(frame).__name__]
    assert wire.keys() <= described["properties"].keys()
    assert set(described["required"]) <= wire.keys()


def test_the_pattern_of_room_names_is_one_that_browsers_read() -> None:
    [pattern] = [meta.pattern for meta in RoomName.__metadata__]  # type: ignore[attr-defined]  # Annotated
    assert "\\Z" not in pattern
    assert "(?P" not in pattern
    assert re.search(pattern, "a\n") is None
    assert re.search(pattern, "Raum 7/ä") is not None


def test_all_close_codes_and_errors_are_told() -> None:
    description = asyncapi()["info"]["description"]
    for code in CloseCode:
        assert str(code.value) in description
    for error in ErrorCode:
        assert error.value in description


def test_endpoints_are_described_as_the_table_has_them() -> None:
    document = openapi(TABLE, "https://call.example.org")
    assert document["servers"] == [{"url": "https://call.example.org"}]
    things = document["paths"]["/v1/things"]
    assert things["get"]["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/IceServersBody"
    }
    assert things["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("Wanted")
    gone = document["paths"]["/v1/things/{thing}"]["delete"]
    assert gone["parameters"][0]["name"] == "thing"
    assert gone["security"] == [{"apiKey": []}]
    operations = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(operations)) == len(operations)


def test_documents_describe_themselves_as_well() -> None:
    made = document_endpoints(TABLE, lambda: "https://call.example.org")
    assert [one.path for one in made] == ["/v1/asyncapi.json", "/v1/signal.schema.json", "/v1/openapi.json"]


@pytest.mark.parametrize(("name", "document"), documents().items())
def test_what_is_published_is_what_is_made(name: str, document: dict[str, Any]) -> None:
    """`python -m docs.signal_documents` writes them, for readers and for those who have the package."""
    for place in PLACES:
        assert json.loads((place / name).read_text(encoding="utf-8")) == json.loads(json.dumps(document))


def test_what_is_published_is_in_the_package() -> None:
    """Beside the code, so that no server has to be asked."""
    folder = importlib.resources.files("icelane.signaling") / "documents"
    assert {one.name for one in folder.iterdir()} == {"asyncapi.json", "openapi.json", "signal.schema.json"}
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["icelane"]
    assert "signaling/documents/*.json" in shipped
