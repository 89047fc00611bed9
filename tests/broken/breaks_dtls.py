"""DTLS that believes whom it should not, agrees to too much, or lets strangers end a connection.

What OpenSSL does is weakened where Python sets it up, in the pyOpenSSL backend; each test runs over both.
"""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from collections.abc import Sequence

from OpenSSL import SSL

from icelane.core.clock import Instant
from icelane.crypto.certificate import FINGERPRINT_ALGORITHMS, fingerprint_of
from icelane.crypto.provider import equal
from icelane.dtls import options, pyopenssl, record, security
from icelane.dtls.connection import DtlsConnection
from icelane.dtls.identity import Fingerprint, RemoteIdentity
from icelane.dtls.options import DtlsOptions, SrtpProfile
from icelane.dtls.record import RecordFilter
from tests.broken.registry import breaks, swap

IDENTITY = "tests/dtls/test_identity.py"
RAW = "tests/dtls/test_raw_peers.py"
RECORD = "tests/dtls/test_record.py"
EVERYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"


@breaks("DT-3", test=(f"{IDENTITY}::test_a_peer_without_every_signalled_fingerprint_is_not_believed",
                      f"{IDENTITY}::test_the_client_does_not_believe_a_wrong_server_either"))  # fmt: skip
def fingerprints_are_not_compared() -> None:
    swap(RemoteIdentity, "_matches", lambda self, certificate: bool(certificate))


@breaks("DT-3", test=f"{IDENTITY}::test_a_peer_without_every_signalled_fingerprint_is_not_believed")
def one_right_fingerprint_is_enough() -> None:
    swap(
        RemoteIdentity,
        "_matches",
        lambda self, certificate: any(
            equal(value, fingerprint_of(certificate, name)) for name, value in self.fingerprints
        ),
    )


@breaks("DT-3", test=f"{IDENTITY}::test_a_peer_without_every_signalled_fingerprint_is_not_believed")
def a_description_without_a_good_fingerprint_is_believed() -> None:
    expect, matches = RemoteIdentity.expect, RemoteIdentity._matches

    def expect_nothing(self: RemoteIdentity, fingerprints: Sequence[Fingerprint]) -> None:
        if any(name.lower() in FINGERPRINT_ALGORITHMS for name, _ in fingerprints):
            expect(self, fingerprints)
        else:
            self._fingerprints = ()

    swap(RemoteIdentity, "expect", expect_nothing)
    swap(
        RemoteIdentity,
        "_matches",
        lambda self, certificate: self._fingerprints == () or matches(self, certificate),
    )


@breaks("DT-3", test=f"{IDENTITY}::test_our_own_certificate_is_nobody_else")
def our_own_certificate_is_somebody() -> None:
    def expect(self: RemoteIdentity, fingerprints: Sequence[Fingerprint]) -> None:
        self._fingerprints = tuple(fingerprints)

    swap(RemoteIdentity, "expect", expect)


@breaks("DT-3", test=f"{IDENTITY}::test_keys_exist_only_after_the_match")
def keys_are_exported_when_the_handshake_is_done() -> None:
    advance = DtlsConnection._advance

    def advance_and_export(self: DtlsConnection, datagram: bytes, now: Instant) -> None:
        advance(self, datagram, now)
        if self._finished:
            security.export_keys(self._session, SrtpProfile.AEAD_AES_128_GCM)

    swap(DtlsConnection, "_advance", advance_and_export)


@breaks("DT-3", test="tests/dtls/test_connection.py::test_fingerprints_may_be_known_after_the_handshake_was_done")
def data_is_delivered_before_the_peer_is_believed() -> None:
    swap(DtlsConnection, "poll_data", lambda self: self._data.popleft() if self._data else None)


@breaks("DT-4", test=f"{RAW}::test_a_client_without_a_certificate_is_refused")
def a_peer_needs_no_certificate() -> None:
    swap(SSL, "VERIFY_FAIL_IF_NO_PEER_CERT", 0)
    swap(RemoteIdentity, "_matches", lambda self, certificate: True)


@breaks("DT-5", test=(f"{RAW}::test_a_client_that_offers_no_good_suite_is_refused",
                      f"{RAW}::test_the_client_offers_what_was_decided_and_nothing_else"))  # fmt: skip
def every_suite_is_good() -> None:
    swap(DtlsOptions, "suite_list", property(lambda self: EVERYTHING))


@breaks("DT-5", test=f"{RAW}::test_legacy_suites_are_behind_the_others_and_only_on_request")
def legacy_suites_come_first() -> None:
    suites = ":".join([*options.CBC_SUITES, *options.AEAD_SUITES])
    swap(DtlsOptions, "suite_list", property(lambda self: suites))


@breaks("DT-5", test=f"{RAW}::test_nothing_below_dtls_1_2_is_spoken")
def old_versions_are_spoken() -> None:
    swap(SSL.Context, "set_min_proto_version", lambda self, version: None)
    swap(DtlsOptions, "suite_list", property(lambda self: EVERYTHING))


@breaks("DT-5", test=f"{RAW}::test_the_server_signals_secure_renegotiation_and_refuses_it")
def a_second_handshake_over_dtls_is_allowed() -> None:
    allow_client_renegotiation = 1 << 8
    swap(pyopenssl, "_OPTIONS", pyopenssl._OPTIONS & ~SSL.OP_NO_RENEGOTIATION | allow_client_renegotiation)


@breaks("DT-6", test=(f"{RECORD}::test_nobody_but_the_peer_can_touch_a_live_connection",
                      f"{RECORD}::test_garbage_during_the_handshake_does_not_end_it"))  # fmt: skip
def openssl_sees_everything() -> None:
    swap(RecordFilter, "admit", lambda self, data: data)


@breaks("DT-6", test=f"{RECORD}::test_what_passes_before_and_after_the_handshake")
def plaintext_passes_for_ever() -> None:
    passes = RecordFilter._passes

    def passes_as_before(self: RecordFilter, data: bytes, found: record.Record) -> bool:
        connected, self.connected = self.connected, False
        try:
            return passes(self, data, found)
        finally:
            self.connected = connected

    swap(RecordFilter, "_passes", passes_as_before)


@breaks("DT-8", test=f"{RECORD}::test_incomplete_fragments_are_limited_and_whole_messages_are_not")
def fragments_are_not_counted() -> None:
    swap(record, "MAX_FRAGMENTS", 1 << 30)


@breaks("DT-13", test=f"{RAW}::test_a_client_without_a_profile_of_ours_gets_no_keys")
def srtp_is_never_required() -> None:
    init = DtlsConnection.__init__

    def forget(self: DtlsConnection, *arguments: object, **named: object) -> None:
        init(self, *arguments, **named)  # type: ignore[arg-type]  # whatever it was given
        object.__setattr__(self._options, "srtp_required", False)

    swap(DtlsConnection, "__init__", forget)
