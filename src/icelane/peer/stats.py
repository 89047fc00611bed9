"""What `getStats` tells (W3C webrtc-stats); `media_stats` has what there is about media.

peer-connection   P                      how many channels were opened and closed
transport         T                      states, bytes, DTLS version and suite, the selected pair
candidate-pair    CP<n>                  packets and bytes of data, checks, round trips
local-candidate   I<n>                   ours, paired or not; with relay-only nothing but relayed ones
remote-candidate  R<n>                   the peer's
certificate       CF<fingerprint>        fingerprint, and the certificate itself
data-channel      D<n>                   messages and bytes

An identifier is that of one thing as long as it is there: after an ICE restart candidates and pairs have others.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import cast

from icelane.core.clock import Instant, UnixSeconds
from icelane.crypto.certificate import fingerprint_of
from icelane.ice.candidate import Candidate
from icelane.ice.pair import PairReport
from icelane.peer.connection import PeerConnection
from icelane.peer.ice_transport_event import LocalReport
from icelane.peer.media_stats import add_media
from icelane.peer.secure_transport import SecureTransport
from icelane.peer.security_report import format_fingerprint
from icelane.peer.stats_identifiers import StatsIdentifiers

Value = str | int | float | bool


class Stats(dict[str, Value]):
    """One record, by the W3C's names; each name is an attribute as well. What is not known is missing."""

    def __getattr__(self, name: str) -> Value:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def qualityLimitationDurations(self) -> Mapping[str, float]:  # noqa: N802  (W3C's)
        """The one record within a record: seconds by `qualityLimitationReason`."""
        return cast("Mapping[str, float]", self.__getattr__("qualityLimitationDurations"))


class StatsReport(dict[str, Stats]):
    """All records, by their id."""

    def of_type(self, kind: str) -> list[Stats]:
        """The records of one type, such as `candidate-pair`."""
        return [stats for stats in self.values() if stats["type"] == kind]


class _Collector:
    def __init__(self, identifiers: StatsIdentifiers, at: UnixSeconds, now: Instant) -> None:
        identifiers.begin()
        self.identifiers = identifiers
        self.report = StatsReport()
        self._timestamp = at * 1000
        self._now = now

    def timestamp_of(self, moment: Instant | None) -> float | None:
        """In milliseconds since 1970, as all that W3C stamps."""
        return None if moment is None else self._timestamp - (self._now - moment) * 1000

    def add(self, kind: str, identifier: str, /, **values: Value | None) -> str:
        stats = Stats(type=kind, id=identifier, timestamp=self._timestamp)
        stats.update({name: value for name, value in values.items() if value is not None})
        self.report[identifier] = stats
        return identifier


def collect_stats(connection: PeerConnection, at: UnixSeconds, now: Instant) -> StatsReport:
    """Everything as it is now; `at`, which is the same moment as `now`, stamps the records."""
    collector = _Collector(connection.stats_identifiers, at, now)
    counts = connection.counts
    collector.add("peer-connection", "P", dataChannelsOpened=counts.opened, dataChannelsClosed=counts.closed)
    if connection.transport is not None:
        _add_transport(collector, connection, connection.transport)
    for channel, count in counts.by_channel.items():
        collector.add(
            "data-channel",
            f"D{channel}",
            label=count.label,
            protocol=count.protocol,
            dataChannelIdentifier=connection.stream_id(channel),
            state=count.state,
            messagesSent=count.messages_sent,
            bytesSent=count.bytes_sent,
            messagesReceived=count.messages_received,
            bytesReceived=count.bytes_received,
        )
    add_media(collector.add, connection.media, connection.transceivers)
    return collector.report


def _add_transport(collector: _Collector, connection: PeerConnection, transport: SecureTransport) -> None:
    selected = _add_pairs(collector, transport)
    security = transport.security
    local = _add_certificate(collector, connection.certificate.der)
    remote = _add_certificate(collector, security.remote_certificate) if security is not None else None
    collector.add(
        "transport",
        "T",
        bytesSent=transport.bytes_sent,
        bytesReceived=transport.bytes_received,
        packetsSent=transport.packets_sent,
        packetsReceived=transport.packets_received,
        dtlsState=transport.state.value,
        iceState=transport.ice.agent.state.value,
        iceRole=transport.ice.agent.role.value,
        iceLocalUsernameFragment=transport.ice.agent.credentials.ufrag,
        selectedCandidatePairId=selected,
        selectedCandidatePairChanges=transport.ice.selections,
        localCertificateId=local,
        remoteCertificateId=remote,
        dtlsRole=transport.role.value if transport.role is not None else "unknown",
        tlsVersion="FEFD" if security is not None else None,  # DTLS 1.2 on the wire (RFC 6347 section 4.1)
        dtlsCipher=security.cipher_suite if security is not None else None,
        srtpCipher=(
            security.srtp_profile.iana_name if security is not None and security.srtp_profile is not None else None
        ),
    )


def _add_pairs(collector: _Collector, transport: SecureTransport) -> str | None:
    """All pairs and their candidates; returns which one is used to send, as W3C has it for RTCIceTransport."""
    selected = None
    ours = transport.ice.agent.credentials.ufrag
    for report in transport.ice.local_reports:
        _add_local(collector, report, ours)
    for pair in transport.ice.agent.pairs():
        local = _add_local(
            collector, transport.ice.report_of(transport.ice.shown(pair.local), pair.base), pair.local_ufrag
        )
        remote = _add_remote(collector, pair)
        # Base and remote end are a pair as long as its session; the local candidate may turn out to be another.
        identifier = collector.identifiers.of(
            "CP", (pair.local_ufrag, pair.base, pair.remote.address, pair.remote.transport)
        )
        if pair.carries_data:
            selected = identifier
        collector.add(
            "candidate-pair",
            identifier,
            transportId="T",
            localCandidateId=local,
            remoteCandidateId=remote,
            state=pair.state.value,
            nominated=pair.nominated,
            priority=pair.priority,
            packetsSent=pair.packets_sent,
            packetsReceived=pair.packets_received,
            bytesSent=pair.bytes_sent,
            bytesReceived=pair.bytes_received,
            lastPacketSentTimestamp=collector.timestamp_of(pair.last_sent),
            lastPacketReceivedTimestamp=collector.timestamp_of(pair.last_received),
            requestsSent=pair.requests_sent,
            requestsReceived=pair.requests_received,
            responsesSent=pair.responses_sent,
            responsesReceived=pair.responses_received,
            consentRequestsSent=pair.consent_requests_sent,
            currentRoundTripTime=pair.round_trip,
            totalRoundTripTime=pair.total_round_trip,
        )
    return selected


def _add_local(collector: _Collector, report: LocalReport, ufrag: str) -> str:
    # The same address is another candidate after a restart: it has another username fragment.
    candidate = report.candidate
    key = (ufrag, report.base, candidate.type, candidate.address, candidate.transport, candidate.tcp_type)
    return _add_candidate(
        collector,
        "local-candidate",
        collector.identifiers.of("I", key),
        candidate,
        usernameFragment=ufrag,
        relayProtocol=report.relay_protocol.value if report.relay_protocol is not None else None,
        url=report.url,
    )


def _add_remote(collector: _Collector, pair: PairReport) -> str:
    candidate = pair.remote
    # By our own username fragment, since the peer's may still be unknown. One that was reflexive of the peer becomes
    # what the peer calls it.
    identifier = collector.identifiers.of("R", (pair.local_ufrag, candidate.address, candidate.transport))
    return _add_candidate(collector, "remote-candidate", identifier, candidate, usernameFragment=pair.remote_ufrag)


def _add_candidate(collector: _Collector, kind: str, name: str, candidate: Candidate, **more: Value | None) -> str:
    return collector.add(
        kind,
        name,
        transportId="T",
        address=candidate.host,
        port=candidate.port,
        protocol=candidate.transport,
        tcpType=candidate.tcp_type,
        candidateType=candidate.type.value,
        priority=candidate.priority,
        foundation=candidate.foundation,
        relatedAddress=candidate.related.host if candidate.related is not None else None,
        relatedPort=candidate.related.port if candidate.related is not None else None,
        **more,
    )


def _add_certificate(collector: _Collector, der: bytes) -> str:
    algorithm, value = format_fingerprint("sha-256", fingerprint_of(der, "sha-256")).split(" ")
    return collector.add(
        "certificate",
        f"CF{value}",
        fingerprint=value,
        fingerprintAlgorithm=algorithm,
        base64Certificate=base64.b64encode(der).decode(),
    )
