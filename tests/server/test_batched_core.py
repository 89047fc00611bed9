"""When the core of the compiled plane pauses, and when it does not; and what it takes of long runs."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from icelane.aio.system import monotonic
from icelane.core.clock import Instant
from tests.server.namespaces import run_module

if TYPE_CHECKING:
    from icelane.server.batched.core import RelayCore

# More than the core calls busy, in less than a window of 10 ms.
BURST = 25
SECRET = bytes(16)


@contextmanager
def relay(coalesce: float) -> Iterator[tuple[RelayCore, socket.socket, Any]]:
    """A core with one relay port that is nobody's, so that what comes is counted and dropped; and who sends to it."""
    module = pytest.importorskip("icelane.server.batched.core", exc_type=ImportError)
    core = module.RelayCore(runs=False, coalesce=coalesce, secret=SECRET)
    with closing(core), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as port:
        port.setblocking(False)
        port.bind(("127.0.0.1", 0))
        core.add_socket(port.fileno(), is_listener=False)
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            yield core, sender, port.getsockname()


def offer_bursts(core: RelayCore, sender: socket.socket, to: Any, seconds: float) -> int:
    """One burst, one run, and again; returns how many runs there were."""
    runs, end = 0, monotonic() + seconds
    while monotonic() < end:
        for _ in range(BURST):
            sender.sendto(b"payload", to)
        core.run()
        runs += 1
    return runs


def test_a_busy_core_pauses_after_a_burst() -> None:
    with relay(0.0001) as (core, sender, to):
        offer_bursts(core, sender, to, 0.1)
        assert core.activity()["coalesced"] > 0


def test_a_core_without_coalescing_never_pauses() -> None:
    with relay(0.0) as (core, sender, to):
        offer_bursts(core, sender, to, 0.1)
        assert core.activity()["coalesced"] == 0


def test_a_core_that_is_not_busy_never_pauses() -> None:
    with relay(0.0001) as (core, sender, to):
        for _ in range(50):
            sender.sendto(b"payload", to)
            core.run()
        assert core.activity()["coalesced"] == 0


def test_pauses_that_bring_nobody_are_given_up_for_a_while() -> None:
    """The next burst comes when the run has ended, so that every pause is in vain."""
    with relay(0.00005) as (core, sender, to):
        runs = offer_bursts(core, sender, to, 0.4)
        assert core.activity()["coalesced"] < runs / 2


def test_a_run_ends_soon_whatever_comes() -> None:
    """The loop that calls has other work."""
    with relay(0.00015) as (core, sender, to):
        offer_bursts(core, sender, to, 0.05)
        began = monotonic()
        core.run()
        assert monotonic() - began < 0.5


RUN = 128  # datagrams; as many as later kernels make one run of
RUNS = (16, 32)  # for each socket; 32 is what one gets of a batch
SEGMENT = 20


def open_udp() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.bind(("127.0.0.1", 0))
    return opened


@pytest.mark.parametrize("has_channel", [True, False], ids=["channel", "permission"])
def test_runs_of_more_than_the_batch_has_places_lose_none(has_channel: bool) -> None:
    """From this host come runs of 128, and a batch may hold 64 of them."""
    module = pytest.importorskip("icelane.server.batched.core", exc_type=ImportError)
    core: RelayCore = module.RelayCore(runs=True, coalesce=0.0, secret=SECRET)
    with ExitStack() as stack:
        stack.enter_context(closing(core))
        listener, peer = stack.enter_context(open_udp()), stack.enter_context(open_udp())
        client = core.add_client(core.add_socket(listener.fileno(), is_listener=True), listener.getsockname())
        relays = []
        for _ in RUNS:
            relay = stack.enter_context(open_udp())
            number = core.add_socket(relay.fileno(), is_listener=False)
            core.assign(number, client)
            if has_channel:
                core.set_channel(client, 0x4000 + number, number, peer.getsockname(), Instant(1e12))
                core.lead_back(client, 0x4000 + number)
            else:
                core.permit(number, peer.getsockname(), True)
            relays.append((number, relay))
        for (_, relay), runs in zip(relays, RUNS, strict=True):
            for _ in range(runs):
                send_run(peer, bytes(SEGMENT * RUN - 1), relay.getsockname())
        before = core.activity()["received"]
        escapes = core.run()
        sent = sum(RUNS) * RUN
        assert core.activity()["received"] - before >= sent
        assert [core.socket_counters(number)[2] for number, _ in relays] == [0] * len(relays)
        if has_channel:
            assert core.client_counters(client)[2:] == (sent, sent * SEGMENT - sum(RUNS), 0)
        else:
            assert {piece for *_, piece, _ in escapes} == {SEGMENT}
            assert sum(-(-len(data) // SEGMENT) for _, _, _, data, _, _ in escapes) == sent


def send_run(by: socket.socket, data: bytes, to: Any) -> None:
    """As one message, which loopback leaves in one piece; skips the test where the kernel takes no such run."""
    segment = [(17, 103, struct.pack("=H", SEGMENT))]
    try:
        by.sendmsg([data], segment, 0, to)
    except OSError as error:
        pytest.skip(f"this kernel has no runs of {RUN}: {error}")


def test_a_peer_on_a_link_is_not_the_peer_of_a_channel() -> None:
    """As in the other plane, which knows peers by what `recvfrom` says: nobody's channel leads to a link."""
    pytest.importorskip("icelane.server.batched.core", exc_type=ImportError)
    run_module("tests.server.scoped_peer")
