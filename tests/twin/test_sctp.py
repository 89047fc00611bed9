"""The two forms of SCTP agree on every packet: on what they parse and build, and on whole conversations."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icelane.errors import MalformedError
from tests.twin.twins import pure_form, running_form

pytestmark = pytest.mark.twin

CHUNKS = (running_form("icelane.sctp.chunks"), pure_form("icelane.sctp.chunks"))
CHECKSUM = (running_form("icelane.sctp.checksum"), pure_form("icelane.sctp.checksum"))

CONVERSATION = """
import hashlib, random
from icelane.testing.network import Link
from tests.sctp.pairs import Pair

said = hashlib.sha256()
for seed, loss in ((1, 0.0), (2, 0.05), (3, 0.3)):
    for zero_checksum in (True, False):
        from icelane.sctp.options import SctpOptions

        options = SctpOptions(zero_checksum=zero_checksum, receive_window=200_000, max_message_size=70_000)
        pair = Pair(Link(delay=0.01, jitter=0.005, loss=loss, duplication=loss, reordering=loss), seed, options)
        for end in (pair.a, pair.b):
            send = end.send
            end.send = lambda data, path, send=send: (said.update(data), send(data, path))[1]
        pair.connect()
        generator = random.Random(seed)
        for n in range(60):
            data = generator.randbytes(generator.choice((1, 100, 1132, 1133, 5_000, 60_000 if n % 20 == 0 else 9)))
            how = {"ordered": n % 3 > 0, "max_retransmissions": 1 if n % 5 == 0 else None}
            if n % 7 == 0:
                how["lifetime"] = 0.03
            (pair.a if n % 2 else pair.b).say(n % 4, data, **how)
            pair.network.run_for(generator.choice((0.0, 0.001, 0.02)))
        pair.a.run(lambda now: pair.a.association.reset_streams([1], now))
        pair.network.run_for(1.0)
        pair.close(200.0)
        for end in (pair.a, pair.b):
            said.update(repr([(m.stream_id, len(m.data)) for m in end.messages]).encode())
            said.update(repr(end.association.statistics).encode())
print(said.hexdigest())
"""


def parsed(module: ModuleType, data: bytes) -> object:
    """All that a packet says, or the text of the refusal."""
    try:
        spans = module.parse_chunk_spans(data)
    except MalformedError as error:
        return str(error)
    said: list[object] = [spans]
    for start, end in zip(spans[::2], spans[1::2], strict=True):
        for parse in (module.parse_data, module.parse_sack):
            try:
                chunk = parse(data, start, end)
            except MalformedError as error:
                said.append(str(error))
            else:
                said.append([getattr(chunk, name) for name in dir(chunk) if name[0] != "_"])
    return said


@given(st.binary(min_size=12, max_size=12), st.lists(st.tuples(st.sampled_from([0, 3, 9]), st.binary(max_size=30))))
def test_both_forms_parse_packets_alike(header: bytes, chunks: list[tuple[int, bytes]]) -> None:
    """SC-2, FZ-1."""
    data = header + b"".join(CHUNKS[1].encode_chunk(kind, 3, body) for kind, body in chunks)
    for cut in (0, 1, 5):
        packet = data[: len(data) - cut]
        assert parsed(CHUNKS[0], packet) == parsed(CHUNKS[1], packet)


@given(st.binary(max_size=80))
def test_both_forms_parse_nonsense_alike(data: bytes) -> None:
    """SC-2, FZ-1."""
    assert parsed(CHUNKS[0], data) == parsed(CHUNKS[1], data)
    assert CHECKSUM[0].crc32c(data) == CHECKSUM[1].crc32c(data)


@given(st.integers(0, 2**40), st.integers(0, 2**32 - 1), st.lists(st.integers(1, 65_535), max_size=6))
def test_both_forms_build_alike(tsn: int, window: int, offsets: list[int]) -> None:
    gaps = [tsn + offset for offset in sorted(offsets + offsets)]
    for arguments in ((tsn, window, gaps, [tsn]), (tsn, window, [], [])):
        assert CHUNKS[0].encode_sack(*arguments) == CHUNKS[1].encode_sack(*arguments)
    arguments_of_data = (3, 17, tsn, 4, 70_000, window)
    assert CHUNKS[0].encode_data_header(*arguments_of_data) == CHUNKS[1].encode_data_header(*arguments_of_data)


def test_whole_conversations_are_the_same_to_the_byte() -> None:
    """Losses, duplicates, both checksums, messages that are given up, a reset, a close: with the same seeds."""
    root = pathlib.Path(__file__).parents[2]
    said = {
        subprocess.run(
            [sys.executable, "-c", CONVERSATION],
            env={**os.environ, "ICELANE_PURE": pure, "PYTHONPATH": str(root)},
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for pure in ("0", "1")
    }
    assert len(said) == 1
    assert len(said.pop()) == 65
