"""Descriptions that are believed, or that cost too much."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from dataclasses import replace

from icelane.sdp import attribute, attributes, lines, session, transport_attributes, validation
from icelane.sdp.transport import SectionTransport
from icelane.sdp.transport_attributes import Fingerprint, IceCredentials, Setup, parse_setup
from tests.broken.registry import breaks, swap

LINES = "tests/sdp/test_lines.py"
SESSION = "tests/sdp/test_session.py"
TRANSPORT = "tests/sdp/test_transport_attributes.py"
VALIDATION = "tests/sdp/test_validation.py"


@breaks("SD-1", test=(f"{LINES}::test_one_more_than_a_bound_is_malformed",
                      f"{SESSION}::test_a_hostile_description_is_malformed"))  # fmt: skip
def descriptions_have_no_bounds() -> None:
    for module in (lines, session):
        for name in ("MAX_SIZE", "MAX_LINES", "MAX_LINE", "MAX_MEDIA"):
            if hasattr(module, name):
                swap(module, name, 10**9)


@breaks("SD-1", test=f"{SESSION}::test_a_hostile_description_is_malformed")
def sections_have_no_bound() -> None:
    swap(session, "MAX_MEDIA", 10**9)


@breaks("SD-1", test=(f"{LINES}::test_anything_else_is_malformed",
                      f"{SESSION}::test_a_hostile_description_is_malformed"))  # fmt: skip
def line_ends_are_whatever_python_takes_for_one() -> None:
    swap(lines, "_parse_line_ends", lambda text: "\n".join(text.replace("\0", "").splitlines()))


@breaks("SD-1", "FZ-1", test=f"{LINES}::test_bytes_that_are_not_utf_8_or_too_many_are_malformed")
def bytes_that_are_not_text_raise_what_python_raises() -> None:
    swap(lines, "decode_text", lambda data: data.decode("utf-8"))


@breaks("SD-1", "FZ-1", test="tests/sdp/test_attribute.py::test_numbers_are_digits_and_few")
def numbers_are_whatever_python_takes_for_one() -> None:
    swap(attribute, "parse_number", lambda text, what, limit, least=0: int(text))


@breaks("SD-1", test=f"{SESSION}::test_a_hostile_description_is_malformed")
def attributes_are_not_looked_at() -> None:
    swap(attributes, "check_attribute", lambda found: None)


@breaks("SD-1", test=f"{SESSION}::test_a_wrong_description_is_refused_with_the_place")
def the_last_password_wins() -> None:
    swap(session, "SINGULAR", frozenset())


@breaks("SD-1", test=f"{SESSION}::test_a_line_end_in_a_value_never_becomes_a_line")
def values_bring_lines_of_their_own() -> None:
    swap(lines, "_FORBIDDEN", ())


@breaks("SD-3", test=(f"{VALIDATION}::test_a_section_without_a_fingerprint_is_refused",
                      f"{VALIDATION}::test_fingerprints_that_can_be_forged_are_not_enough",
                      f"{VALIDATION}::test_keys_in_the_description_are_no_keys",
                      f"{VALIDATION}::test_every_name_of_rtp_needs_dtls",
                      f"{VALIDATION}::test_an_answer_is_checked_for_itself_first"))  # fmt: skip
def keys_are_not_asked_for() -> None:
    swap(validation, "_check_keys", lambda transport: None)


@breaks("SD-3", test=(f"{VALIDATION}::test_fingerprints_that_can_be_forged_are_not_enough",
                      f"{TRANSPORT}::test_weak_and_unknown_fingerprints_are_kept_and_known_as_such"))  # fmt: skip
def every_hash_is_strong() -> None:
    swap(Fingerprint, "is_strong", property(lambda self: True))


@breaks("SD-3", test=f"{TRANSPORT}::test_a_fingerprint_has_the_length_of_its_algorithm")
def fingerprints_may_be_cut_short() -> None:
    swap(transport_attributes, "_DIGEST_SIZES", {})


@breaks("SD-3", test=f"{VALIDATION}::test_keys_in_the_description_are_no_keys")
def sdes_counts_as_keys() -> None:
    check = validation._check_keys

    def with_crypto(transport: SectionTransport) -> None:
        if not transport.media.has("crypto"):
            check(transport)

    swap(validation, "_check_keys", with_crypto)


@breaks("SD-3", test=(f"{VALIDATION}::test_a_section_without_a_dtls_role_is_refused",
                      f"{VALIDATION}::test_a_held_connection_is_refused",
                      f"{VALIDATION}::test_an_answer_has_to_choose_its_role"))  # fmt: skip
def any_role_will_do() -> None:
    swap(validation, "_check_setup", lambda transport, is_offer: None)


@breaks("SD-3", test=f"{VALIDATION}::test_a_section_without_a_dtls_role_is_refused")
def a_missing_role_is_active() -> None:
    def setup(self: SectionTransport) -> Setup:
        values = self.values("setup")
        return parse_setup(values[0]) if values else Setup.ACTIVE

    swap(SectionTransport, "setup", property(setup))


@breaks("SD-3", test=(f"{VALIDATION}::test_ice_credentials_that_can_be_guessed_are_refused",
                      f"{VALIDATION}::test_credentials_of_the_session_are_held_to_the_same"))  # fmt: skip
def passwords_may_be_short() -> None:
    swap(validation, "MIN_PWD", 1)


@breaks("SD-3", test=f"{VALIDATION}::test_credentials_of_the_session_are_held_to_the_same")
def credentials_of_the_session_are_padded() -> None:
    def padded(self: SectionTransport) -> IceCredentials | None:
        ufrag, pwd = self.values("ice-ufrag"), self.values("ice-pwd")
        if not ufrag or not pwd:
            return None
        return IceCredentials(ufrag[0], pwd[0] if self.media.ice_pwd else pwd[0].ljust(22, "0"))

    swap(SectionTransport, "ice_credentials", property(padded))


@breaks("SD-3", test=f"{VALIDATION}::test_media_without_rtcp_mux_is_refused")
def rtcp_may_have_a_port_of_its_own() -> None:
    swap(validation, "_check_rtcp", lambda transport: None)


@breaks("SD-3", test=f"{VALIDATION}::test_a_protocol_is_answered_with_itself")
def savpf_may_be_answered_with_avp() -> None:
    swap(validation, "_is_same_protocol", lambda offered, answered: True)


@breaks("SD-3", test=f"{VALIDATION}::test_a_section_that_only_goes_bundled_is_not_rejected")
def port_0_is_always_rejected() -> None:
    check = validation.check_description

    def check_ports(description: session.SessionDescription, *, is_offer: bool) -> None:
        alive = [media for media in description.media if media.port]
        check(replace(description, media=alive), is_offer=is_offer)

    swap(validation, "check_description", check_ports)
