"""Who speaks for the transport of a section."""

from __future__ import annotations

from icelane.sdp.session import SessionDescription, parse_session
from icelane.sdp.transport_attributes import IceCredentials, Setup
from tests.sdp.captures import CAPTURES

HEAD = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"


def described(
    *groups: str, ports: tuple[int, ...] = (9, 9, 9), extra: tuple[str, ...] = ("", "", "")
) -> SessionDescription:
    """A session with sections 0, 1, 2."""
    lines = [f"a=group:{group}\n" for group in groups]
    lines += [f"m=audio {port} RTP/SAVPF 0\na=mid:{i}\n{extra[i]}" for i, port in enumerate(ports)]
    return parse_session(HEAD + "".join(lines))


def speaker_mids(session: SessionDescription) -> list[str | None]:
    return [transport.speaker.mid for transport in session.transports()]


def test_the_first_section_of_a_bundle_speaks_for_the_others() -> None:
    assert speaker_mids(described("BUNDLE 0 1")) == ["0", "0", "2"]
    assert speaker_mids(described("BUNDLE 2 0", "BUNDLE 1")) == ["2", "1", "2"]
    assert speaker_mids(described("LS 0 1 2")) == ["0", "1", "2"]
    assert speaker_mids(described()) == ["0", "1", "2"]


def test_one_that_is_rejected_or_only_goes_bundled_speaks_for_nobody() -> None:
    assert speaker_mids(described("BUNDLE 0 1 2", ports=(0, 9, 9))) == ["0", "1", "1"]
    bundle_only = ("a=bundle-only\n", "", "")
    assert speaker_mids(described("BUNDLE 0 1 2", ports=(0, 9, 9), extra=bundle_only)) == ["1", "1", "1"]
    assert speaker_mids(described("BUNDLE 0 1 2", ports=(0, 0, 0), extra=bundle_only)) == ["0", "1", "2"]


def test_mids_that_no_section_has_speak_for_nobody() -> None:
    assert speaker_mids(described("BUNDLE x 1 2")) == ["0", "1", "1"]


def test_what_a_section_leaves_out_is_said_by_its_speaker_before_the_session() -> None:
    spoken = "a=ice-ufrag:aaaa\na=ice-pwd:first\na=setup:active\na=rtcp-mux\n"
    session = described("BUNDLE 0 1", extra=(spoken, "a=ice-pwd:own\n", ""))
    session.replace("ice-ufrag", "sess")
    session.replace("setup", "passive")
    _, bundled, alone = session.media
    assert session.ice_credentials(bundled) == IceCredentials("aaaa", "own")
    assert session.setup(bundled) is Setup.ACTIVE
    assert session.transport(bundled).rtcp_mux
    assert session.transport(bundled).is_bundled
    assert session.ice_credentials(alone) is None
    assert session.setup(alone) is Setup.PASSIVE
    assert session.fingerprints(alone) == []
    assert session.tls_id(alone) is None
    assert not session.transport(alone).is_bundled


def test_the_sections_that_firefox_offers_bundled_only_use_the_transport_of_the_first() -> None:
    session = parse_session(CAPTURES["firefox_maxbundle_offer"])
    assert [media.bundle_only for media in session.media] == [False, True, True]
    assert speaker_mids(session) == ["0", "0", "0"]
    assert len({session.ice_credentials(media) for media in session.media}) == 1


def test_a_section_of_no_session_speaks_for_itself() -> None:
    stranger = described().media[0]
    transport = described("BUNDLE 0 1").transport(stranger)
    assert transport.speaker is transport.media is stranger
