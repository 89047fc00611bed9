"""What a webhook answers, and the JSON it is in: an Allow, a Deny, or MalformedError (SG-3)."""

from __future__ import annotations

from collections.abc import Hashable

from icelane.errors import MalformedError
from icelane.signaling.admission.join_token import parse_join_claims
from icelane.signaling.admission.json_text import parse_json_object
from icelane.signaling.admission.request import Allow
from icelane.signaling.admission.webhook_reply import parse_webhook_reply
from icelane.signaling.limits import MAX_IDENTITY, MAX_REASON

SEEDS = [
    b'{"allow":{"identity":"a","rooms":["x","y-*"],"grants":["join"],"meta":{},"ice":{"policy":"relay"}}}',
    b'{"deny":{"code":"banned","reason":"r","reconnect":true,"retry_after":5}}',
    b'{"result":{"user":"56","channels":["a"],"info":{"n":1},"meta":{"t":"x"},"expire_at":7}}',
    b'{"error":{"code":1000,"message":"m","temporary":true}}',
    b'{"disconnect":{"code":4501,"reason":"r"}}',
    b'{"sub":"a","rooms":["x"],"grants":[],"exp":1800000000,"ice":{"ttl":1}}',
]
DICTIONARY = [
    b'"allow"', b'"deny"', b'"result"', b'"error"', b'"disconnect"', b'"limits":{"rooms":1}', b"null", b"true",
    b"1e999", b"NaN", b'"\\ud800"', b'"labels":{"a":"b"}', b"[[[[", b"*", b'"servers":false', b"-1",
]  # fmt: skip


def run(data: bytes) -> Hashable:
    """Which answer it is."""
    try:
        found = parse_json_object(data)
    except MalformedError:
        return None
    try:
        allow = parse_join_claims(found)
        assert allow.identity
    except MalformedError:
        pass
    try:
        answer = parse_webhook_reply(found)
    except MalformedError:
        return "malformed"
    if isinstance(answer, Allow):
        assert answer.identity is None or 0 < len(answer.identity) <= MAX_IDENTITY
        return "allow", answer.identity is None, answer.rooms is None
    assert len(answer.reason) <= MAX_REASON
    return "deny", answer.reconnect
