"""Whatever two peers do with their transceivers, and whoever offers: afterwards both have the same sections."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from icelane.errors import InvalidStateError
from icelane.peer.signaling_state import SignalingState
from icelane.sdp.rtp_attributes import Direction
from icelane.sdp.session import parse_session
from tests.peer.media import AUDIO, G722, H264, OPUS, VIDEO, VP8, MediaPeer, media_pair, sections
from tests.peer.negotiating import exchange, rollback
from tests.peer.test_media_negotiation import check_media

ACTIONS = st.tuples(
    st.sampled_from(
        ["track", "add", "stop", "direction", "remove", "streams", "prefer", "data", "offer", "roll back", "glare"]
    ),
    st.booleans(),
    st.integers(0, 5),
    st.sampled_from(list(Direction)),
    st.sampled_from([AUDIO, VIDEO]),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_two_that_negotiate_agree_on_every_section(actions: list[tuple[str, bool, int, Direction, object]]) -> None:
    peers = media_pair()
    for step, (action, is_second, which, direction, kind) in enumerate(actions):
        actor, other = peers[is_second], peers[not is_second]
        _act(actor, other, action, which, direction, f"track{step}", VIDEO if kind is VIDEO else AUDIO)
    for offerer, answerer in ((peers[0], peers[1]), (peers[1], peers[0]), (peers[0], peers[1])):
        _exchange(offerer, answerer)
    for peer in peers:
        assert not peer.needs_negotiation()
        assert not any(transceiver.is_stopping for transceiver in peer.transceivers)
        _check_descriptions(peer)


def _act(
    actor: MediaPeer, other: MediaPeer, action: str, which: int, direction: Direction, name: str, kind: object
) -> None:
    every = actor.negotiation.media.transceivers
    some = list(every)
    chosen = some[which % len(some)] if some else None
    medium = VIDEO if kind is VIDEO else AUDIO
    if action == "track":
        every.add_track(name, medium, [f"s{which}"])
    elif action == "add":
        every.add(medium, direction)
    elif action == "data":
        actor.negotiation.request_data_channels()
    elif action == "offer":
        _exchange(actor, other)
    elif action == "roll back":
        actor.set_local()
        actor.set_local(rollback())
    elif action == "glare":
        _collide(actor, other)
    elif chosen is not None:
        try:
            if action == "stop":
                every.stop(chosen)
            elif action == "direction":
                every.set_direction(chosen, direction)
            elif action == "remove":
                every.remove_track(chosen)
            elif action == "streams":
                every.set_streams(chosen, [f"s{which}", "more"])
            else:
                every.set_codec_preferences(chosen, [G722, OPUS] if chosen.kind is AUDIO else [H264, VP8])
        except InvalidStateError:
            assert chosen.is_stopping


def _exchange(offerer: MediaPeer, answerer: MediaPeer) -> None:
    exchange(offerer, answerer)
    check_media(offerer, answerer)
    ours, theirs = sections(offerer.local), sections(answerer.local)
    assert [(one.kind, one.mid) for one in ours] == [(one.kind, one.mid) for one in theirs]


def _collide(polite: MediaPeer, impolite: MediaPeer) -> None:
    """Both offer; the polite one takes its own back."""
    polite.set_local()
    impolite.set_local()
    polite.set_remote(impolite.local)
    polite.set_local()
    impolite.set_remote(polite.local)
    check_media(polite, impolite)


def _check_descriptions(peer: MediaPeer) -> None:
    assert peer.state is SignalingState.STABLE
    description = peer.negotiation.local_description
    if description is None:
        return
    session = parse_session(description.sdp)
    mids = [section.mid for section in session.media]
    assert len(set(mids)) == len(mids)
    bundled = {mid for group in session.bundle_groups for mid in group}
    assert bundled == {section.mid for section in session.media if section.port}
    by_mid = {transceiver.mid for transceiver in peer.transceivers}
    alive = [section for section in session.media if section.port and section.is_rtp]
    assert by_mid <= {section.mid for section in alive}
    idle = [section for section in alive if section.mid not in by_mid]
    assert all(section.direction is Direction.INACTIVE for section in idle)
    assert len(idle) <= 1
    numbers: dict[str, str] = {}
    for section in session.media:
        for extension in section.header_extensions:
            assert numbers.setdefault(str(extension.id), extension.uri) == extension.uri
        for entry in section.rtp_maps.values():
            name = f"{section.kind} {entry.encoding}/{entry.clock_rate}"
            assert numbers.setdefault(f"payload {entry.payload_type}", name) == name
