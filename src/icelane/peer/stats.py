"""What `getStats` tells (W3C webrtc-stats), for everything but media.

peer-connection   P                      how many channels were opened and closed
transport         T                      states, bytes, DTLS version and suite, the selected pair
candidate-pair    CP<n>                  checks, round trips
local-candidate   I<n>                   ours, paired or not; with relay-only nothing but relayed ones
remote-candidate  R<n>                   the peer's
certificate       C<local|remote>        fingerprints
data-channel      D<n>                   messages and bytes
"""

from __future__ import annotations

from icelane.core.clock import UnixSeconds
from icelane.core.net import SocketAddress
from icelane.crypto.certificate import fingerprint_of
from icelane.ice.candidate import Candidate
from icelane.ice.pair import PairReport
from icelane.peer.connection import PeerConnection
from icelane.peer.ice_transport import LocalReport
from icelane.peer.secure_transport import SecureTransport
from icelane.peer.security_report import format_fingerprint

Value = str | int | float | bool


class Stats(dict[str, Value]):
    """One record, by the W3C's names; each name is an attribute as well. What is not known is missing."""

    def __getattr__(self, name: str) -> Value:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class StatsReport(dict[str, Stats]):
    """All records, by their id."""

    def of_type(self, kind: str) -> list[Stats]:
        """The records of one type, such as `candidate-pair`."""
        return [stats for stats in self.values() if stats["type"] == kind]


class _Collector:
    def __init__(self, at: UnixSeconds) -> None:
        self._timestamp = at * 1000
        self.report = StatsReport()

    def add(self, kind: str, identifier: str, **values: Value | None) -> str:
        stats = Stats(type=kind, id=identifier, timestamp=self._timestamp)
        stats.update({name: value for name, value in values.items() if value is not None})
        self.report[identifier] = stats
        return identifier


def collect_stats(connection: PeerConnection, at: UnixSeconds) -> StatsReport:
    """Everything as it is now; `at` stamps the records."""
    collector = _Collector(at)
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
    return collector.report


def _add_transport(collector: _Collector, connection: PeerConnection, transport: SecureTransport) -> None:
    pairs = _add_pairs(collector, transport)
    # W3C RTCIceTransport: the selected pair is the one that is used to send.
    selected = next((name for name, pair in pairs if pair.path == transport.ice.agent.data_path), None)
    security = transport.security
    local = _add_certificate(collector, "Clocal", connection.certificate.der)
    remote = _add_certificate(collector, "Cremote", security.remote_certificate) if security is not None else None
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
        localCertificateId=local,
        remoteCertificateId=remote,
        dtlsRole=transport.role.value if transport.role is not None else "unknown",
        tlsVersion="FEFD" if security is not None else None,  # DTLS 1.2 on the wire (RFC 6347 section 4.1)
        dtlsCipher=security.cipher_suite if security is not None else None,
        srtpCipher=(
            security.srtp_profile.iana_name if security is not None and security.srtp_profile is not None else None
        ),
    )


def _add_pairs(collector: _Collector, transport: SecureTransport) -> list[tuple[str, PairReport]]:
    # The same address is another candidate after a restart: it has another username fragment.
    locals_: dict[tuple[Candidate, SocketAddress, str], str] = {}
    remotes: dict[tuple[Candidate, str | None], str] = {}
    pairs = []
    ours = transport.ice.agent.credentials.ufrag
    for report in transport.ice.local_reports:
        locals_[report.candidate, report.base, ours] = _add_local(collector, f"I{len(locals_)}", report, ours)
    for number, pair in enumerate(transport.ice.agent.pairs()):
        key = (transport.ice.shown(pair.local), pair.base, pair.local_ufrag)
        if key not in locals_:
            report = transport.ice.report_of(key[0], key[1])
            locals_[key] = _add_local(collector, f"I{len(locals_)}", report, pair.local_ufrag)
        remote = (pair.remote, pair.remote_ufrag)
        if remote not in remotes:
            remotes[remote] = _add_remote(collector, f"R{len(remotes)}", *remote)
        identifier = collector.add(
            "candidate-pair",
            f"CP{number}",
            transportId="T",
            localCandidateId=locals_[key],
            remoteCandidateId=remotes[remote],
            state=pair.state.value,
            nominated=pair.nominated,
            priority=pair.priority,
            requestsSent=pair.requests_sent,
            requestsReceived=pair.requests_received,
            responsesSent=pair.responses_sent,
            responsesReceived=pair.responses_received,
            consentRequestsSent=pair.consent_requests_sent,
            currentRoundTripTime=pair.round_trip,
            totalRoundTripTime=pair.total_round_trip,
        )
        pairs.append((identifier, pair))
    return pairs


def _add_local(collector: _Collector, name: str, report: LocalReport, ufrag: str) -> str:
    return _add_candidate(
        collector,
        "local-candidate",
        name,
        report.candidate,
        usernameFragment=ufrag,
        relayProtocol=report.relay_protocol.value if report.relay_protocol is not None else None,
        url=report.url,
    )


def _add_remote(collector: _Collector, name: str, candidate: Candidate, ufrag: str | None) -> str:
    return _add_candidate(collector, "remote-candidate", name, candidate, usernameFragment=ufrag)


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


def _add_certificate(collector: _Collector, name: str, der: bytes) -> str:
    algorithm, value = format_fingerprint("sha-256", fingerprint_of(der, "sha-256")).split(" ")
    return collector.add("certificate", name, fingerprint=value, fingerprintAlgorithm=algorithm)
