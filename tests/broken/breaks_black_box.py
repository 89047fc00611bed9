"""What a scanner outside would find."""

from __future__ import annotations

from icelane.core.net import AddressFamily
from icelane.server.relay_plane import RelayedClient
from icelane.stun.message import Message, MessageBuilder
from icelane.turn import response
from icelane.turn.peer_policy import PeerPolicy, Verdict
from icelane.turn.refusal import Refusal
from tests.broken.registry import breaks, swap

TESTS = "tests/server/test_black_box.py"
SCAN = f"{TESTS}::test_a_scan_tells_no_open_port_from_a_closed_one_where_it_must_not_reach"
LEAK = f"{TESTS}::test_no_byte_that_belongs_to_another_user_or_to_nobody_comes_back"


@breaks("TR-11", test=(f"{SCAN}[udp]", f"{SCAN}[tcp]"))
def a_network_inside_is_reached() -> None:
    check_host = PeerPolicy.check_host

    def lenient(self: PeerPolicy, host: str, family: AddressFamily) -> Verdict:
        return Verdict(allowed=True, wire_host=host) if host.startswith("10.") else check_host(self, host, family)

    swap(PeerPolicy, "check_host", lenient)


@breaks("TR-11", test=f"{SCAN}[udp]")
def an_answer_tells_the_kind_of_network() -> None:
    error_response = response.error_response

    def talkative(message: Message, refusal: Refusal, phrase: str) -> MessageBuilder:
        return error_response(message, refusal, refusal.reason if phrase else "")

    swap(response, "error_response", talkative)


@breaks("TR-11", test=f"{LEAK}[tcp]")
def padding_is_whatever_was_there_before() -> None:
    add = MessageBuilder.add
    before = [bytes(3)]

    def careless(self: MessageBuilder, attribute_type: int, value: bytes = b"") -> MessageBuilder:
        add(self, attribute_type, value)
        padding = -len(value) & 3
        if padding:
            self._data[-padding:] = before[0][:padding]
        before[0] = (value + before[0])[:3]
        return self

    swap(MessageBuilder, "add", careless)


@breaks("TR-11", test=f"{LEAK}[udp]")
def the_length_that_a_stranger_claims_is_believed() -> None:
    relay_channel_data = RelayedClient._relay_channel_data
    buffer = bytearray(1 << 16)

    def trusting(self: RelayedClient, data: bytes) -> None:
        buffer[: len(data)] = data
        claimed = 4 + int.from_bytes(data[2:4], "big")
        relay_channel_data(self, bytes(buffer[: max(claimed, len(data))]))

    swap(RelayedClient, "_relay_channel_data", trusting)
