"""What the security report and the statistics say of the path, from the first message on."""

from __future__ import annotations

from icelane.core.clock import Instant, UnixSeconds
from icelane.peer.connection_options import PeerOptions
from icelane.peer.security_report import SecurityReport
from icelane.peer.stats import collect_stats
from icelane.testing.clock import VirtualClock
from icelane.testing.network import VirtualNetwork
from icelane.testing.peer import PeerHost
from tests.scenarios.internet import RELAY, SERVER, Internet, connect, has_selected, run_until, settle


def connected() -> tuple[PeerHost, PeerHost]:
    """Two peers with an open channel over a relay, which ICE does not agree on at once: a better path might come."""
    internet, options = Internet(), PeerOptions(relay_only=True)
    alice, bob = internet.peer(1, options=options), internet.peer(2, options=options)
    connect(alice, bob)
    run_until(alice, bob, lambda: alice.opened and bob.opened, 5.0)
    assert not has_selected(alice)
    return alice, bob


def test_there_is_a_path_as_soon_as_a_channel_is_open_and_it_stays() -> None:
    alice, bob = connected()
    begun = [SecurityReport.of(peer.engine) for peer in (alice, bob)]
    settle(alice, bob)
    for peer, before in zip((alice, bob), begun, strict=True):
        assert before.selected_pair is not None
        assert before.local_candidate_type == "relay"
        assert before.relay_url == RELAY.url
        assert "not connected" not in str(before)
        assert SecurityReport.of(peer.engine) == before


def test_the_statistics_name_the_pair_that_carries_data_before_it_is_nominated() -> None:
    alice, _ = connected()
    stats = collect_stats(alice.engine, UnixSeconds(1.8e9), Instant(0.0))
    pair = stats[str(stats["T"]["selectedCandidatePairId"])]
    assert pair.state == "succeeded"
    assert stats[str(pair.localCandidateId)].address == SERVER.host


def test_both_ends_see_each_other_s_certificates() -> None:
    alice, bob = connected()
    ours, theirs = SecurityReport.of(alice.engine), SecurityReport.of(bob.engine)
    assert (ours.local_fingerprint, ours.remote_fingerprint) == (theirs.remote_fingerprint, theirs.local_fingerprint)
    assert (ours.protocol, ours.cipher_suite) == (theirs.protocol, theirs.cipher_suite)
    assert ours.protocol == "DTLSv1.2"


def test_the_srtp_profile_has_the_name_that_iana_gave_it_in_the_report_and_the_statistics() -> None:
    alice, bob = connected()
    reports = [SecurityReport.of(peer.engine) for peer in (alice, bob)]
    assert [report.srtp_profile for report in reports] == ["SRTP_AEAD_AES_128_GCM"] * 2
    assert collect_stats(alice.engine, UnixSeconds(0.0), Instant(0.0))["T"].srtpCipher == "SRTP_AEAD_AES_128_GCM"


def test_before_there_is_a_connection_nothing_is_claimed() -> None:
    network = VirtualNetwork(VirtualClock())
    report = SecurityReport.of(PeerHost(network, "192.0.2.1", seed=1).engine)
    assert (report.protocol, report.remote_fingerprint, report.selected_pair, report.relay_url) == (None,) * 4
    assert str(report).count("not connected") == 4
