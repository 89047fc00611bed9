"""SRTP that believes what it should not, twice, or under the wrong number; RTP that reads past the end.

What libcrypto does is weakened in the Python backend; each test runs over both.
"""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.errors import AuthenticationError
from icelane.rtp import packet as rtp_packet
from icelane.rtp.rtcp import transport_feedback
from icelane.srtp import key_derivation, python, replay, transform
from icelane.srtp.limits import MAX_REMOTE_STREAMS
from icelane.srtp.replay import ReplayWindow
from icelane.srtp.transform import CounterMode, Gcm
from tests.broken.registry import breaks, swap

SESSION = "tests/srtp/test_session.py"
LIBSRTP = "tests/srtp/test_libsrtp.py"
PACKET = "tests/rtp/test_packet.py"


@breaks("SR-1", test=("tests/srtp/test_key_derivation.py::test_the_keys_of_rfc_3711_come_out",
                      f"{SESSION}::test_libsrtps_own_packet_comes_out_and_back"))  # fmt: skip
def the_label_stands_at_the_end() -> None:
    swap(key_derivation, "_LABEL_POSITION", 13)


@breaks("SR-1", test=(f"{SESSION}::test_srtp_is_that_of_rfc_7714", f"{SESSION}::test_srtcp_is_that_of_rfc_7714"))
def the_nonce_has_no_salt() -> None:
    swap(Gcm, "_nonce", lambda self, ssrc, index: (ssrc << 48 | index).to_bytes(12, "big"))


@breaks("SR-1", test=f"{SESSION}::test_no_number_is_used_twice")
def a_number_is_used_as_often_as_asked() -> None:
    def index_of(self: ReplayWindow, index: int) -> None:
        """Only what is old is refused."""

    swap(ReplayWindow, "check", index_of)


@breaks("SR-1", test=f"{SESSION}::test_the_key_stream_is_that_of_rfc_3711")
def the_counter_is_one_word_to_the_left() -> None:
    crypt = CounterMode._crypt
    swap(CounterMode, "_crypt", lambda self, ssrc, index, data: crypt(self, ssrc, index + 1, data))


FORGED = f"{SESSION}::test_what_the_peer_did_not_send_is_refused_and_leaves_no_trace"


@breaks("SR-2", test=(f"{FORGED}[AES128_CM_HMAC_SHA1_80-python-rtp-bit flipped]",
                      f"{FORGED}[AES128_CM_HMAC_SHA1_80-python-rtcp-bit flipped]"))  # fmt: skip
def tags_of_eighty_bits_are_not_compared() -> None:
    swap(CounterMode, "_check", lambda self, packet, tag: None)


@breaks("SR-2", test=f"{FORGED}[AES128_CM_HMAC_SHA1_80-python-rtp-bit flipped]")
def tags_are_compared_in_part() -> None:
    swap(transform, "equal", lambda a, b: a[:4] == b[:4])


@breaks("SR-2", test=(f"{FORGED}[AEAD_AES_128_GCM-python-rtp-bit flipped]",
                      f"{SESSION}::test_what_was_protected_by_other_keys_is_refused",
                      f"{SESSION}::test_one_bad_packet_spoils_no_batch"))  # fmt: skip
def what_is_not_authentic_comes_through_as_it_is() -> None:
    open_ = Gcm._open

    def lenient(self: Gcm, ssrc: int, index: int, data: bytes, associated: bytes) -> bytes:
        try:
            return open_(self, ssrc, index, data, associated)
        except AuthenticationError:
            return data[:-16]

    swap(Gcm, "_open", lenient)


@breaks("SR-2", test=f"{SESSION}::test_nobody_without_keys_pushes_anybody_out")
def a_source_has_state_before_it_is_authentic() -> None:
    opened = python.PythonReceiver._open_rtp

    def early(self: python.PythonReceiver, packet: bytes) -> bytes:
        ssrc = int.from_bytes(packet[8:12], "big")
        if ssrc not in self._rtp_windows_by_ssrc:
            python._heard(self._rtp_windows_by_ssrc, ssrc, (packet[2] << 8 | packet[3]) - 1)
        return opened(self, packet)

    swap(python.PythonReceiver, "_open_rtp", early)


@breaks("SR-2", test=f"{SESSION}::test_srtcp_without_encryption_is_refused")
def srtcp_may_be_in_the_clear() -> None:
    opened = python.PythonReceiver._open_rtcp

    def lenient(self: python.PythonReceiver, packet: bytes) -> bytes:
        trailer = self._rtcp.index_of(packet)
        if trailer[0] & 0x80:
            return opened(self, packet)
        return self._rtcp.open_rtcp(packet, int.from_bytes(packet[4:8], "big"), int.from_bytes(trailer, "big"), trailer)

    swap(python.PythonReceiver, "_open_rtcp", lenient)


REPLAYS = f"{SESSION}::test_a_packet_is_taken_once"


@breaks("SR-3", test=(REPLAYS, f"{SESSION}::test_rtcp_is_taken_once"))
def packets_are_taken_as_often_as_they_come() -> None:
    swap(ReplayWindow, "check", lambda self, index: None)


@breaks("SR-3", test=f"{SESSION}::test_a_late_packet_is_taken_while_the_window_reaches")
def what_is_too_old_to_know_is_taken() -> None:
    check = ReplayWindow.check

    def only_the_known(self: ReplayWindow, index: int) -> None:
        if self.highest - index < replay.WINDOW_SIZE:
            check(self, index)

    swap(ReplayWindow, "check", only_the_known)


@breaks("SR-3", test=(f"{SESSION}::test_sequence_numbers_wrap_while_half_is_lost",
                      f"{LIBSRTP}::test_both_take_and_refuse_the_same"))  # fmt: skip
def the_rollover_counter_stays_at_zero() -> None:
    swap(replay, "estimate_index", lambda highest, sequence_number: sequence_number)


@breaks("SR-3", test=f"{SESSION}::test_a_packet_of_another_rollover_is_refused")
def any_rollover_will_do() -> None:
    swap(transform, "_rollover", lambda index: bytes(4))
    swap(CounterMode, "_crypt", lambda self, ssrc, index, data: data)
    swap(Gcm, "_nonce", lambda self, ssrc, index: (ssrc << 16 | index & 0xFFFF).to_bytes(12, "big"))


@breaks("SR-4", test=f"{SESSION}::test_more_sources_than_there_is_room_for_push_out_the_oldest")
def every_source_is_kept() -> None:
    swap(python, "MAX_REMOTE_STREAMS", 1 << 30)


@breaks("SR-4", test=f"{SESSION}::test_a_source_that_is_heard_stays")
def the_first_source_is_pushed_out_first() -> None:
    def in_order_of_coming(windows: dict[int, ReplayWindow], ssrc: int, index: int) -> None:
        if ssrc not in windows and len(windows) == MAX_REMOTE_STREAMS:
            del windows[next(iter(windows))]
        windows.setdefault(ssrc, ReplayWindow()).add(index)

    swap(python, "_heard", in_order_of_coming)


@breaks("SR-5", test=f"{PACKET}::test_a_lie_about_a_length_is_malformed")
def an_element_may_run_past_the_end() -> None:
    swap(rtp_packet, "_check_element", lambda stop, end, count: None)


@breaks("SR-5", test="tests/rtp/rtcp/test_transport_feedback.py::test_a_lie_is_malformed")
def feedback_may_be_about_any_number_of_packets() -> None:
    swap(transport_feedback, "MAX_STATUSES", 1 << 16)
