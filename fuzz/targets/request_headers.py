"""What comes with a request: Cookie, sub-protocols, query, Authorization. One typed error, and no other (SG-9)."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.signaling.admission.credential import CredentialRefusedError, parse_basic
from icelane.signaling.admission.headers import MAX_COOKIES, MAX_SUBPROTOCOLS, parse_cookies, parse_subprotocols
from icelane.signaling.admission.request import MAX_QUERY_PARTS, connect_request, parse_query

SEEDS = [
    b'a=1; b="2"; session=eyJhbGciOiJIUzI1NiJ9.e30.eA',
    b"icelane.signal.v1, bearer.eyJhbGciOiJIUzI1NiJ9.e30.eA, csrf.AAAA",
    b"ticket=abc&room=%C3%A4&room=x&token=",
    b"YmFja2VuZDppa18x",
]
DICTIONARY = [b";", b"; ", b"=", b'"', b", ", b"&", b"%", b"%ff", b"%00", b"+", b"bearer.", b"csrf.", b"\x00", b"\r\n"]


def run(data: bytes) -> Hashable:
    """Which of them it is."""
    text = data.decode("latin-1")
    found = []
    try:
        cookies = parse_cookies(text)
        found.append(len(cookies) > 0)
        assert len(cookies) <= MAX_COOKIES
        # What was taken apart is put together as browsers do it, and is the same.
        assert parse_cookies("; ".join(f"{name}={value}" for name, value in cookies.items())) == cookies
    except MalformedError:
        found.append(False)
    try:
        offered = parse_subprotocols(text)
        assert len(offered) <= MAX_SUBPROTOCOLS
        assert parse_subprotocols(", ".join(offered)) == offered
        found.append(len(offered) > 1)
    except MalformedError:
        found.append(False)
    try:
        assert len(parse_query(data)) <= MAX_QUERY_PARTS
        found.append(True)
    except MalformedError:
        found.append(False)
    try:
        name, key = parse_basic(text)
        assert key
        assert ":" not in name
        found.append(True)
    except CredentialRefusedError:
        found.append(False)
    try:
        headers = [(b"cookie", data), (b"sec-websocket-protocol", data), (b"authorization", data), (b"origin", data)]
        request = connect_request(peer="192.0.2.1", raw_headers=headers, query=data)
        assert text not in repr(request) or len(text) < 9
        _ = request.carried, request.csrf
    except MalformedError:
        pass
    return tuple(found)
