"""Which transceiver a packet is for: RFC 9143 section 9.2, and the bound of what packets can teach."""

from __future__ import annotations

import pytest

from icelane.media.codec import NegotiatedCodec
from icelane.peer.rtp_parameters import RemoteSource, RtpParameters
from icelane.peer.rtp_router import MAX_LEARNT, RtpRouter
from icelane.peer.transceiver import Transceiver
from icelane.peer.transceiver_list import TransceiverList
from icelane.rtp.header_extension import MID
from icelane.rtp.packet import RtpPacket
from icelane.sdp.rtp_attributes import Direction
from icelane.testing.entropy import SeededEntropy
from tests.peer.media import AUDIO, CAPABILITIES, OPUS, VIDEO, VP8

pytestmark = pytest.mark.twin

MID_NUMBER = 4


def receiving(every: TransceiverList, mid: str, *types: int, sources: tuple[RemoteSource, ...] = ()) -> Transceiver:
    """A transceiver that receives these payload types."""
    made = every.add(VIDEO if len(types) > 1 else AUDIO)
    made.mid, made.current_direction, made.receiver.is_receptive = mid, Direction.SENDRECV, True
    codec = NegotiatedCodec(
        codec=VP8 if len(types) > 1 else OPUS,
        payload_type=types[0],
        rtx_payload_type=types[1] if len(types) > 1 else None,
    )
    made.negotiated = RtpParameters(
        mid=mid,
        send_codecs=(codec,),
        receive_codecs=(codec,),
        receive_extensions=((MID_NUMBER, MID),),
        remote_sources=sources,
    )
    return made


def packet(ssrc: int, payload_type: int, mid: str | None = None) -> RtpPacket:
    extensions = [] if mid is None else [(MID_NUMBER, mid.encode())]
    return RtpPacket(payload_type, 1, 1, ssrc, b"x", False, extensions)


def routed(*, sources: tuple[RemoteSource, ...] = ()) -> tuple[RtpRouter, Transceiver, Transceiver, Transceiver]:
    """A router with one section of sound and two of pictures with the same numbers."""
    every = TransceiverList(SeededEntropy(1), CAPABILITIES)
    sound = receiving(every, "0", 111)
    first, second = receiving(every, "1", 96, 97, sources=sources), receiving(every, "2", 96, 97)
    router = RtpRouter()
    router.set_transceivers(every)
    return router, sound, first, second


def test_packets_that_came_together_are_sorted_and_stay_in_order() -> None:
    router, sound, first, second = routed()
    packets = [
        packet(7, 96, "2"),
        packet(8, 96, "1"),
        packet(7, 96),
        packet(99, 50),
        packet(9, 111),
        packet(8, 97),
    ]
    found = router.sort(packets)
    assert found == {second: [packets[0], packets[2]], first: [packets[1], packets[5]], sound: [packets[4]]}
    assert router.unknown == 1


def test_the_mid_decides_and_teaches_the_ssrc() -> None:
    router, _, first, second = routed()
    assert router.route(packet(7, 96, "2")) is second
    assert router.route(packet(7, 96)) is second
    assert router.route(packet(8, 97, "1")) is first
    assert router.route(packet(8, 97)) is first


def test_an_ssrc_may_move_to_another_section_by_its_mid() -> None:
    router, _, first, second = routed()
    assert router.route(packet(7, 96, "2")) is second
    assert router.route(packet(7, 96, "1")) is first
    assert router.route(packet(7, 96)) is first


def test_an_unknown_mid_is_nobodys_whatever_else_fits() -> None:
    router, sound, _, _ = routed()
    assert router.route(packet(7, 111, "9")) is None
    assert router.unknown == 1
    assert router.route(packet(7, 111)) is sound


def test_a_payload_type_of_one_section_decides_and_one_of_two_does_not() -> None:
    router, sound, _, _ = routed()
    assert router.route(packet(5, 111)) is sound
    assert router.route(packet(6, 96)) is None
    assert router.route(packet(6, 50)) is None
    assert router.unknown == 2


def test_sources_that_a_description_names_need_no_mid() -> None:
    router, _, first, _ = routed(sources=(RemoteSource(20, 21),))
    assert router.route(packet(20, 96)) is first
    assert router.route(packet(21, 97)) is first


def test_of_several_sources_in_one_section_the_first_is_the_track() -> None:
    router, _, first, _ = routed(sources=(RemoteSource(20), RemoteSource(30)))
    assert router.route(packet(20, 96)) is first
    assert router.route(packet(30, 96, "1")) is None


def test_who_does_not_receive_gets_nothing() -> None:
    router, sound, _, _ = routed()
    router.route(packet(5, 111))
    sound.receiver.is_receptive = False
    router.set_transceivers([sound])
    assert router.route(packet(5, 111)) is None
    assert router.route(packet(5, 111, "0")) is None
    assert router.learnt == 0


def test_65536_ssrcs_of_a_peer_leave_a_bounded_table() -> None:
    """SR-4: the sources that are heard stay, those that were heard once go."""
    router, sound, first, _ = routed()
    for ssrc in range(65_536):
        assert router.route(packet(0x1_0000 + ssrc, 111)) is sound
        if ssrc % 100 == 0:
            assert router.route(packet(1, 96, "1" if ssrc == 0 else None)) is first
    assert router.learnt == MAX_LEARNT
