"""Shares of an estimate, as streams come and go."""

from __future__ import annotations

from icelane.media.codec import MediaKind, NegotiatedCodec
from icelane.media.event import BitrateLimited
from icelane.media.outbound_stream import OutboundOptions, OutboundStream
from icelane.peer.bitrate_share import BitrateShares
from icelane.peer.transceiver import Transceiver
from icelane.sdp.rtp_attributes import Direction
from icelane.testing.clock import VirtualClock
from icelane.testing.entropy import SeededEntropy
from tests.peer.media import OPUS, VP8, MediaPeer


def sending(*kinds: MediaKind) -> dict[Transceiver, OutboundStream]:
    """Transceivers that may send, with streams of the SSRCs 1, 2 and so on."""
    peer, streams = MediaPeer(), {}
    for ssrc, kind in enumerate(kinds, 1):
        transceiver = peer.add_track(f"track-{ssrc}", kind)
        transceiver.current_direction = Direction.SENDONLY
        codec = NegotiatedCodec(codec=OPUS if kind is MediaKind.AUDIO else VP8, payload_type=96)
        options = OutboundOptions(codec=codec, ssrc=ssrc)
        streams[transceiver] = OutboundStream(options, entropy=SeededEntropy(ssrc), wall=VirtualClock())
    return streams


def test_what_is_named_shares_and_the_rest_keeps_what_it_had() -> None:
    streams = sending(MediaKind.AUDIO, MediaKind.VIDEO, MediaKind.VIDEO)
    sound, one, other = streams
    shares = BitrateShares()
    for transceiver in streams:
        shares.learn(transceiver, BitrateLimited(300_000, (1, 2, 3)))
    assert shares.changes(streams) == [(sound, 150_000), (one, 150_000), (other, 150_000)]
    assert shares.changes(streams) == []
    shares.learn(one, BitrateLimited(80_000, (2,)))
    assert shares.changes(streams) == [(one, 80_000)]


def test_shares_grow_when_one_is_not_sent_any_more() -> None:
    streams = sending(MediaKind.VIDEO, MediaKind.VIDEO)
    one, other = streams
    shares = BitrateShares()
    for transceiver in streams:
        shares.learn(transceiver, BitrateLimited(300_000, (1, 2)))
    assert shares.changes(streams) == [(one, 150_000), (other, 150_000)]
    shares.forget(other)
    del streams[other]
    assert shares.changes(streams) == [(one, 300_000)]
