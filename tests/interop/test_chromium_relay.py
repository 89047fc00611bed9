"""Two Chromium pages that may only use our relay: data and video flow, as the browser itself counts them."""

from __future__ import annotations

import asyncio

import pytest

from demo.call import CallReport, EndReport
from demo.chromium import PACKAGE, relayed_call
from tests.interop.conftest import need_program
from tests.interop.relay_server import PASSWORD, USER, RelayServer

pytestmark = pytest.mark.interop

PAYLOAD = 1 << 20  # bytes each way
FRAMES = 30


@pytest.fixture(scope="module", params=["udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def call(icelane_server: RelayServer, transport: str) -> CallReport:
    """One call for the tests of this module to look at: starting a browser is the slow part."""
    need_program("chromium", PACKAGE)
    url = f"turn:{icelane_server.host}:{icelane_server.port}?transport={transport}"
    server = {"urls": [url], "username": USER, "credential": PASSWORD}
    return asyncio.run(relayed_call([server], payload=PAYLOAD, frames=FRAMES))


@pytest.fixture(params=["caller", "callee"])
def end(request: pytest.FixtureRequest, call: CallReport) -> EndReport:
    return call.caller if request.param == "caller" else call.callee


def test_both_ends_of_the_selected_pair_are_relayed_over_the_transport_of_the_url(
    end: EndReport, transport: str
) -> None:
    assert (end.local_candidate, end.remote_candidate) == ("relay", "relay")
    assert end.relay_protocol == transport
    assert end.problems == ()


def test_every_byte_of_data_arrives_unchanged(end: EndReport) -> None:
    assert end.payload_received == PAYLOAD
    assert end.payload_intact
    assert end.transport_bytes_sent > PAYLOAD
    assert end.transport_bytes_received > PAYLOAD


def test_video_is_decoded(end: EndReport) -> None:
    assert end.frames_decoded >= FRAMES
    assert end.video_packets_received > 0
    # Video that shares a relay with a bulk transfer may lose to it, a little; the frames above were decoded anyway.
    assert end.video_packets_lost <= end.video_packets_received * 0.1


def test_set_up_and_round_trip_are_those_of_one_machine(end: EndReport) -> None:
    assert 0 < end.set_up < 10
    assert end.round_trip is not None
    assert 0 <= end.round_trip < 1
