"""What holds for the transport of a section, wherever it is written.

An attribute of the transport stands in the section itself, in the section that speaks for its bundle, or in the session
(RFC 8859 section 5, RFC 9143 section 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from icelane.sdp.attributes import AttributeList
from icelane.sdp.media import MediaDescription
from icelane.sdp.transport_attributes import (
    Fingerprint,
    IceCredentials,
    Setup,
    parse_fingerprint,
    parse_setup,
)


class SectionTransport:
    """The transport of `media`. `speaker` is the section that speaks for it, `media` itself where it is not bundled."""

    __slots__ = ("_session", "media", "speaker")

    def __init__(self, session: AttributeList, media: MediaDescription, speaker: MediaDescription) -> None:
        self._session = session
        self.media = media
        self.speaker = speaker

    @property
    def ice_credentials(self) -> IceCredentials | None:
        """The ufrag and the password; None unless both are there."""
        ufrag, pwd = self.values("ice-ufrag"), self.values("ice-pwd")
        return IceCredentials(ufrag[0], pwd[0]) if ufrag and pwd else None

    @property
    def fingerprints(self) -> list[Fingerprint]:
        """The certificate has to match one of them (RFC 8122 section 5)."""
        return [parse_fingerprint(value) for value in self.values(Fingerprint.NAME)]

    @property
    def setup(self) -> Setup | None:
        values = self.values("setup")
        return parse_setup(values[0]) if values else None

    @property
    def tls_id(self) -> str | None:
        values = self.values("tls-id")
        return values[0] if values else None

    @property
    def rtcp_mux(self) -> bool:
        """Whether RTP and RTCP share the port. Where one section of a bundle says so, it holds for all."""
        return self.media.rtcp_mux or self.speaker.rtcp_mux

    @property
    def is_bundled(self) -> bool:
        """Whether another section speaks for this one."""
        return self.speaker is not self.media

    def values(self, name: str) -> list[str]:
        """The values of an attribute from the nearest place that has it."""
        return self.media.get_all(name) or self.values_of_others(name)

    def values_of_others(self, name: str) -> list[str]:
        """The same, as if the section itself said nothing."""
        above = self.speaker.get_all(name) if self.is_bundled else []
        return above or self._session.get_all(name)


def speakers(media: Iterable[MediaDescription], bundles: Iterable[tuple[str, ...]]) -> Iterator[MediaDescription]:
    """For each section the one that speaks for its transport: the first of its bundle that has a port, or itself.

    RFC 9143 section 7 calls it the tagged section. Of several sections with one mid the first counts.
    """
    sections = [(section, section.mid) for section in media]
    section_by_mid = {mid: section for section, mid in reversed(sections)}
    speaker_by_mid: dict[str | None, MediaDescription] = {}
    for bundle in bundles:
        candidates = (section_by_mid[mid] for mid in bundle if mid in section_by_mid)
        first = next((section for section in candidates if section.port), None)
        if first is not None:
            for member in bundle:
                speaker_by_mid.setdefault(member, first)
    for section, mid in sections:
        yield section if section.is_rejected else speaker_by_mid.get(mid, section)
