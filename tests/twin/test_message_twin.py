"""The two forms of the message codec agree on every message, every refusal and every built byte."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from tests.twin.twins import pure_form, running_form
from tests.vectors import stun as vectors

pytestmark = pytest.mark.twin

RUNNING = running_form("icelane.stun.message")
PURE = pure_form("icelane.stun.message")
SEEDS = [
    vectors.SAMPLE_REQUEST,
    vectors.SAMPLE_IPV4_RESPONSE,
    vectors.SAMPLE_IPV6_RESPONSE,
    vectors.SAMPLE_LONG_TERM_REQUEST,
    vectors.B1_REQUEST,
]


def parsed(module: ModuleType, data: Any) -> object:
    """Everything that a parsed message says, or the text of the refusal."""
    try:
        message = module.parse_message(data)
    except MalformedError as error:
        return str(error)
    return (
        message.method,
        int(message.message_class),
        message.transaction_id,
        message.attributes,
        message.raw,
        message.integrity_offset,
        message.integrity_sha256_offset,
        message.fingerprint_offset,
        repr(message),
        [message.get(kind) for kind, _ in message.attributes],
        [message.get_all(kind) for kind, _ in message.attributes],
        message.has(0x0006),
        message.unknown_required({0x0006}),
    )


@given(seed=st.sampled_from(SEEDS), edits=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8))
def test_both_forms_parse_damaged_messages_alike(seed: bytes, edits: list[tuple[int, int]]) -> None:
    """ST-7, FZ-1."""
    data = bytearray(seed)
    for position, value in edits:
        data[position % len(data)] = value
    for form in (bytes, bytearray, memoryview):
        assert parsed(RUNNING, form(data)) == parsed(PURE, form(data))


@given(st.binary(max_size=60))
def test_both_forms_parse_arbitrary_bodies_alike(body: bytes) -> None:
    """ST-7, FZ-1."""
    body += bytes(-len(body) % 4)
    data = b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body
    assert parsed(RUNNING, data) == parsed(PURE, data)
    assert parsed(RUNNING, body) == parsed(PURE, body)


@pytest.mark.parametrize("size", [0, 1, 19, 20, 65532, 65535])
def test_both_forms_bound_a_message_alike(size: int) -> None:
    """ST-6."""
    data = b"\x00\x01" + min(size, 0xFFFF).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12 + size)
    assert parsed(RUNNING, data) == parsed(PURE, data)


def built(module: ModuleType, script: list[tuple[str, int, bytes]]) -> object:
    """The bytes that a script of calls builds, with the text of each refusal."""
    builder = module.MessageBuilder(3, 0, bytes(12))
    refusals = []
    for step, kind, value in script:
        try:
            if step == "add":
                assert builder.add(kind, value) is builder
            elif step == "sha1":
                assert builder.add_integrity_sha1(value) is builder
            elif step == "sha256":
                assert builder.add_integrity_sha256(value) is builder
            else:
                assert builder.add_fingerprint() is builder
        except ValueError as error:
            refusals.append(str(error))
    return builder.build(), len(builder), refusals


scripts = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "sha1", "sha256", "fingerprint"]),
        st.integers(0, 0xFFFF),
        st.binary(max_size=40) | st.sampled_from([bytes(65000), bytes(65480)]),
    ),
    max_size=8,
)


@given(scripts)
def test_both_forms_build_the_same_bytes(script: list[tuple[str, int, bytes]]) -> None:
    """FZ-1."""
    assert built(RUNNING, script) == built(PURE, script)


@pytest.mark.parametrize("module", [RUNNING, PURE])
def test_values_may_be_any_buffer_and_keywords_work_in_both_forms(module: ModuleType) -> None:
    builder = module.MessageBuilder(method=1, message_class=0, transaction_id=bytearray(12))
    builder.add(attribute_type=6, value=bytearray(b"ab")).add(6, memoryview(b"cd")).add(0x25)
    message = module.parse_message(data=builder.build())
    assert message.attributes == [(6, b"ab"), (6, b"cd"), (0x25, b"")]
    with pytest.raises(AttributeError):
        message.extra = 1


@pytest.mark.parametrize("kind", [-1, 0x10000, 2**31, 2**40])
def test_both_forms_refuse_an_attribute_type_out_of_range(kind: int) -> None:
    for module in (RUNNING, PURE):
        with pytest.raises(ValueError, match="range"):
            module.MessageBuilder(1, 0, bytes(12)).add(kind, b"")
