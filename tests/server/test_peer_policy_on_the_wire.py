"""The peer-address policy of a running server, with a packet socket that sees whatever leaves."""

from __future__ import annotations

import pytest

from tests.server.namespaces import run_module


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("policy", ["closed", "open"])
def test_no_method_sends_a_packet_to_a_peer_that_is_refused(transport: str, policy: str) -> None:
    """TR-1, TR-3, TR-5, TR-6: every row by CreatePermission, ChannelBind, Send, ChannelData and Connect, IPv4 and
    IPv6.

    In a namespace without a route out. `open` allows all that configuration can open; the rest stays refused. Peers
    that are not refused are reached, so the silence is the policy's.
    """
    said = run_module("tests.server.wire_policy", transport, policy)
    assert int(said.split()[0]) > 400, said
