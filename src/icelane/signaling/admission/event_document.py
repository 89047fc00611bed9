"""Events as JSON: what a webhook gets, and what tells two questions apart. Names are in snake_case."""

from __future__ import annotations

import math
from collections.abc import Iterable

from icelane.core.clock import UnixSeconds
from icelane.signaling.admission.hook import Notice, Question
from icelane.signaling.admission.request import (
    Connected,
    ConnectRequest,
    IceRequest,
    JoinRequest,
    MessageRequest,
)


def document_of(event: Question | Notice, headers: Iterable[str] = ()) -> dict[str, object]:
    """An event as JSON has it. Names are in snake_case, and what is None is left out."""
    match event:
        case ConnectRequest():
            found = _connect_document(event, headers)
        case JoinRequest():
            found = {
                "identity": event.identity,
                "room": event.room,
                "meta": event.meta,
                "labels": event.labels,
                "ip": event.ip,
                "session": event.session,
            }
        case MessageRequest():
            found = {
                "identity": event.identity,
                "room": event.room,
                "to": event.to,
                "kind": event.kind,
                "data": event.data,
                "labels": event.labels,
                "session": event.session,
            }
        case IceRequest():
            found = {
                "identity": event.identity,
                "labels": event.labels,
                "ip": event.ip,
                "session": event.session,
            }
        case Connected():
            found = {"identity": event.identity, "session": event.session, "ip": event.ip, "at": _date(event.at)}
        case _:
            found = {
                "identity": event.identity,
                "session": event.session,
                "reason": event.reason,
                "at": _date(event.at),
            }
    return {name: value for name, value in found.items() if value is not None}


def _connect_document(request: ConnectRequest, names: Iterable[str]) -> dict[str, object]:
    tls = request.tls
    return {
        "ip": request.ip,
        "headers": {name: request.headers[name] for name in names if name in request.headers},
        "cookies": dict(request.cookies),
        "origin": request.origin,
        "token": request.token,
        "claims": dict(request.claims),
        "query": dict(request.query),
        "data": request.data,
        "transport": request.transport,
        "path": request.path,
        "tls": None
        if tls is None
        else {"version": tls.version, "cipher": tls.cipher, "server_name": tls.server_name, "alpn": tls.alpn},
        "node": request.node,
    }


def _date(at: UnixSeconds) -> int:
    return math.floor(at)
