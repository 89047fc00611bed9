"""The views of transports, the statistics and the security report, of a connection that stands."""

from __future__ import annotations

import json

from icelane.aio.session_description import RTCIceCandidate
from icelane.aio.system import SystemWallClock, monotonic
from icelane.aio.transports import RTCSctpTransport
from icelane.peer.stats import collect_stats
from tests.aio.peers import channels, connect, pair, until
from tests.loops import Run


def test_the_transports_tell_what_w3c_says(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            assert not alice.sctp
            told: list[RTCIceCandidate] = []
            alice.on("icecandidate", lambda candidate: told.append(candidate) if candidate else None)
            channel = alice.createDataChannel("chat")
            await alice.setLocalDescription()
            sctp = alice.sctp
            assert isinstance(sctp, RTCSctpTransport)
            assert (sctp.state, sctp.maxChannels, sctp.transport.state) == ("connecting", None, "new")
            assert sctp.transport.iceTransport.getSelectedCandidatePair() is None
            assert sctp.transport.getRemoteCertificates() == []
            assert sctp.transport.iceTransport.getRemoteParameters() is None
            await alice.setLocalDescription()
            await connect(alice, bob)
            await channel.opened()
            sctp = alice.sctp
            assert sctp is not None
            await until(lambda: sctp.transport.iceTransport.getSelectedCandidatePair())
            ice = sctp.transport.iceTransport
            assert (sctp.state, sctp.transport.state, ice.component) == ("connected", "connected", "rtp")
            assert ice.state in ("connected", "completed")
            assert (ice.role, ice.gatheringState) == ("controlling", "complete")
            assert sctp.maxMessageSize >= 65_536
            assert sctp.maxChannels is not None
            assert sctp.maxChannels >= 1024
            selected = ice.getSelectedCandidatePair()
            assert selected is not None
            assert selected.local in ice.getLocalCandidates()
            assert selected.remote in ice.getRemoteCandidates()
            assert ice.getLocalCandidates() == told
            for end, candidate, parameters in (
                (alice, selected.local, ice.getLocalParameters()),
                (bob, selected.remote, ice.getRemoteParameters()),
            ):
                assert end.localDescription is not None
                assert parameters is not None
                assert f"a=ice-ufrag:{parameters.usernameFragment}\r\n" in end.localDescription.sdp
                assert candidate.usernameFragment == parameters.usernameFragment
                assert (candidate.sdpMid, candidate.sdpMLineIndex) == ("0", 0)
            assert len(sctp.transport.getRemoteCertificates()) == 1
            await alice.close()
            assert sctp.transport.state == "closed"
            assert sctp.state == "closed"

    run(main())


def test_statistics_have_the_shape_of_browsers(run: Run) -> None:
    async def main() -> None:
        async with channels(protocol="soap") as (ours, theirs):
            ours.send("Grüße")
            ours.send(bytes(1000))
            assert await theirs.receive() == "Grüße"
            assert await theirs.receive() == bytes(1000)
            theirs.send("back")
            assert await ours.receive() == "back"
            engine = ours._port._engine  # type: ignore[attr-defined]
            await until(lambda: engine.transport.ice.selected)
            report = collect_stats(engine, SystemWallClock().unix_time(monotonic()))
            for name, stats in report.items():
                assert stats["id"] == name
                assert stats.timestamp == report["P"].timestamp
            json.dumps(report)
            (transport,) = report.of_type("transport")
            pair_ = report[str(transport.selectedCandidatePairId)]
            assert pair_.type == "candidate-pair"
            assert pair_.nominated is True
            assert pair_.state == "succeeded"
            assert 0 <= float(pair_.currentRoundTripTime) < 1.0
            for identifier, kind in (
                (pair_.localCandidateId, "local-candidate"),
                (pair_.remoteCandidateId, "remote-candidate"),
            ):
                candidate = report[str(identifier)]
                assert candidate.type == kind
                assert candidate.address in ("127.0.0.1", "::1")
                assert candidate.protocol == "udp"
            assert transport.dtlsState == "connected"
            assert transport.tlsVersion == "FEFD"
            assert transport.dtlsCipher == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
            assert int(transport.bytesSent) > 1000
            for key in ("localCertificateId", "remoteCertificateId"):
                certificate = report[str(transport[key])]
                assert certificate.fingerprintAlgorithm == "sha-256"
                assert len(str(certificate.fingerprint).split(":")) == 32
            (channel,) = report.of_type("data-channel")
            assert (channel.label, channel.protocol, channel.state) == ("chat", "soap", "open")
            assert channel.dataChannelIdentifier == ours.id
            assert (channel.messagesSent, channel.bytesSent) == (2, 1000 + len("Grüße".encode()))
            assert (channel.messagesReceived, channel.bytesReceived) == (1, 4)
            assert report["P"].dataChannelsOpened == 1

    run(main())


def test_before_anything_there_are_hardly_any_statistics(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            assert list(await alice.getStats()) == ["P"]
            report = alice.security_report()
            assert report.protocol is None
            assert "not connected" in str(report)

    run(main())


def test_our_candidates_are_in_the_statistics_before_there_is_a_pair(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, _):
            alice.createDataChannel("chat")
            await alice.setLocalDescription()
            await alice.gathering_complete()
            locals_ = (await alice.getStats()).of_type("local-candidate")
            assert {stats.candidateType for stats in locals_} == {"host"}
            assert {stats.address for stats in locals_} <= {"127.0.0.1", "::1"}

    run(main())


def test_both_ends_report_the_same_security(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            await connect(alice, bob)
            for peer in (alice, bob):
                await until(lambda peer=peer: peer.security_report().selected_pair)  # type: ignore[misc]
            ours, theirs = alice.security_report(), bob.security_report()
            assert ours.protocol == theirs.protocol == "DTLSv1.2"
            assert ours.cipher_suite == theirs.cipher_suite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
            assert ours.local_fingerprint == theirs.remote_fingerprint
            assert ours.remote_fingerprint == theirs.local_fingerprint
            assert ours.local_candidate_type == "host"
            assert ours.relay_url is None
            table = str(ours)
            for row in ("protocol", "cipher suite", "our fingerprint", "peer's fingerprint", "path"):
                assert row in table
            assert ours.as_json()["cipherSuite"] == ours.cipher_suite
            json.dumps(ours.as_json())

    run(main())
