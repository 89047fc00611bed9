"""The protocol as documents that other programs read, made of the types themselves.

    signal_schema()      JSON Schema of every frame
    asyncapi()           AsyncAPI 3: the WebSocket

Nothing here is written by hand that a type already says, so that none of it can be wrong for long. OpenAPI, for
everything that is not the WebSocket, is made by `icelane.signaling.http.openapi`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

import msgspec
import msgspec.inspect

from icelane.signaling.close_code import CloseCode
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.limits import MAX_FRAME
from icelane.signaling.messages import SIGNAL_PATH, SUBPROTOCOL, ClientFrame, ServerFrame

Document = dict[str, Any]

_TITLE: Final = "icelane"
_VERSION: Final = "1"


def signal_schema() -> Document:
    """JSON Schema (2020-12): a frame of either direction, and `clientFrame` and `serverFrame` among its definitions."""
    _, definitions = components([*_types(ClientFrame), *_types(ServerFrame)], "#/$defs/{name}")
    for name, union in (("clientFrame", ClientFrame), ("serverFrame", ServerFrame)):
        definitions[name] = {"oneOf": [{"$ref": f"#/$defs/{one.__name__}"} for one in _types(union)]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SUBPROTOCOL,
        "oneOf": [{"$ref": "#/$defs/clientFrame"}, {"$ref": "#/$defs/serverFrame"}],
        "$defs": definitions,
    }


def asyncapi(server: str | None = None) -> Document:
    """AsyncAPI 3.0 of the WebSocket; `server` is its host, such as `call.example.org`."""
    client, to_client = _types(ClientFrame), _types(ServerFrame)
    _, schemas = components([*client, *to_client], "#/components/schemas/{name}")
    messages = {one.__name__: _message(one) for one in (*client, *to_client)}
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {"title": f"{_TITLE} signaling", "version": _VERSION, "description": _described()},
        "defaultContentType": "application/json",
        "channels": {
            "signal": {
                "address": SIGNAL_PATH,
                "description": f"Text frames of at most {MAX_FRAME} bytes; the sub-protocol is {SUBPROTOCOL}.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "fromClient": _operation("receive", client),
            "toClient": _operation("send", to_client),
        },
        "components": {"messages": messages, "schemas": schemas},
    }
    if server is not None:
        document["servers"] = {"this": {"host": server, "protocol": "wss"}}
    return document


def _message(frame: type) -> Document:
    return {
        "name": _tag(frame),
        "summary": (frame.__doc__ or "").partition("\n")[0],
        "payload": {"$ref": f"#/components/schemas/{frame.__name__}"},
    }


def _operation(action: str, frames: Sequence[type]) -> Document:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/signal"},
        "messages": [{"$ref": f"#/channels/signal/messages/{one.__name__}"} for one in frames],
    }


def _described() -> str:
    codes = "\n".join(f"- {code.value} {code.name.lower()}: reconnect {code.reconnect.value}" for code in CloseCode)
    errors = "\n".join(f"- {error.value}: {error.message}" for error in ErrorCode)
    return f"Close codes:\n\n{codes}\n\nErrors, beside those of admission and of hooks:\n\n{errors}\n"


def _types(union: Any) -> tuple[type, ...]:
    return get_args(union)


def _tag(frame: type) -> str:
    info = msgspec.inspect.type_info(frame)
    assert isinstance(info, msgspec.inspect.StructType)
    return str(info.tag)


def components(types: Sequence[Any], template: str) -> tuple[list[Document], dict[str, Document]]:
    """The schemas of msgspec's types, and what they refer to by `template`, which has `{name}`."""
    found, named = msgspec.json.schema_components(types, ref_template=template)
    return list(found), dict(sorted(named.items()))
