"""The views of transports, the statistics and the security report, of a connection that stands."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

from icelane.aio.session_description import RTCIceCandidate
from icelane.aio.system import SystemWallClock, monotonic
from icelane.aio.transports import RTCSctpTransport
from icelane.core.clock import UnixSeconds
from icelane.peer.stats import Stats, collect_stats
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
            report = collect_stats(engine, SystemWallClock().unix_time(now := monotonic()), now)
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
                der = base64.b64decode(str(certificate.base64Certificate), validate=True)
                assert hashlib.sha256(der).hexdigest() == str(certificate.fingerprint).replace(":", "").lower()
            assert transport.localCertificateId != transport.remoteCertificateId
            (channel,) = report.of_type("data-channel")
            assert (channel.label, channel.protocol, channel.state) == ("chat", "soap", "open")
            assert channel.dataChannelIdentifier == ours.id
            assert (channel.messagesSent, channel.bytesSent) == (2, 1000 + len("Grüße".encode()))
            assert (channel.messagesReceived, channel.bytesReceived) == (1, 4)
            assert report["P"].dataChannelsOpened == 1

    run(main())


def test_a_pair_counts_the_data_that_went_over_it_and_says_when(run: Run) -> None:
    async def main() -> None:
        async with pair() as (alice, bob):
            received: list[bytes] = []
            bob.on("datachannel", lambda channel: channel.on("message", received.append))
            channel = alice.createDataChannel("chat")
            await connect(alice, bob)
            await channel.opened()
            for _ in range(300):
                channel.send(bytes(3000))
            await until(lambda: len(received) == 300)
            await asyncio.sleep(0.3)  # the last acknowledgements
            pairs = []
            for peer in (alice, bob):
                report = await peer.getStats()
                (transport,) = report.of_type("transport")
                selected = report[str(transport.selectedCandidatePairId)]
                assert (selected.packetsSent, selected.bytesSent) == (transport.packetsSent, transport.bytesSent)
                for name in ("lastPacketSentTimestamp", "lastPacketReceivedTimestamp"):
                    assert 0 <= float(selected.timestamp) - float(selected[name]) < 10_000
                pairs.append(selected)
            ours, theirs = pairs
            assert int(ours.bytesSent) > 900_000
            assert (ours.packetsSent, ours.bytesSent) == (theirs.packetsReceived, theirs.bytesReceived)
            assert (theirs.packetsSent, theirs.bytesSent) == (ours.packetsReceived, ours.bytesReceived)

    run(main())


def test_an_identifier_is_that_of_one_thing_through_restarts(run: Run) -> None:
    async def main() -> None:
        def names(stats: Stats) -> tuple[object, ...]:
            return tuple(stats.get(key) for key in ("type", "address", "port", "usernameFragment", "localCandidateId"))

        async with pair() as (alice, bob):
            alice.createDataChannel("chat")
            named_by_id: dict[str, tuple[object, ...]] = {}
            seen: list[set[str]] = []
            for _ in range(3):
                await connect(alice, bob)
                await asyncio.sleep(0.3)  # the pair of before goes
                for _ in range(2):
                    report = await alice.getStats()
                    for identifier, stats in report.items():
                        assert named_by_id.setdefault(identifier, names(stats)) == names(stats)
                seen.append({name for name in report if name[0] in "IR" or name.startswith("CP")})
                alice.restartIce()
            assert not seen[0] & seen[1] & seen[2]
            assert not seen[0] & seen[2]

    run(main())


def test_a_channel_that_is_closing_says_so_and_was_open(run: Run) -> None:
    async def main() -> None:
        async with channels() as (ours, theirs):
            engine = ours._port._engine  # type: ignore[attr-defined]

            def told() -> list[Stats]:
                return collect_stats(engine, UnixSeconds(0.0), monotonic()).of_type("data-channel")

            for _ in range(100):
                ours.send(bytes(60_000))
            ours.close()
            assert [stats.state for stats in told()] == [ours.readyState] == ["closing"]
            async for _ in theirs:
                pass
            await until(lambda: ours.readyState == "closed")
            assert not told()
            assert (engine.counts.opened, engine.counts.closed) == (1, 1)

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
