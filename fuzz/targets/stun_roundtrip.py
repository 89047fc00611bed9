"""What parses, builds again to the same message: parse(build(parse(x))) is parse(x)."""

from __future__ import annotations

from collections.abc import Hashable

from fuzz.targets.stun_parse import SEEDS as SEEDS
from icelane.stun.message import MessageBuilder, parse_message


def run(data: bytes) -> Hashable:
    """Method, class and the kinds in their order."""
    message = parse_message(data)
    builder = MessageBuilder(message.method, message.message_class, message.transaction_id)
    for kind, value in message.attributes:
        builder.add(kind, value)
    built = builder.build()
    again = parse_message(built)
    assert (again.method, again.message_class) == (message.method, message.message_class)
    assert again.transaction_id == message.transaction_id
    assert again.attributes == message.attributes
    assert len(built) == len(builder)
    assert len(built) <= len(data)  # what is not believed is not carried on
    for position in ("integrity_offset", "integrity_sha256_offset", "fingerprint_offset"):
        assert (getattr(again, position) is None) == (getattr(message, position) is None)
    return message.message_class, tuple(kind for kind, _ in message.attributes)[:6]
