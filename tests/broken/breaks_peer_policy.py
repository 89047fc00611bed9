"""What relays of the past got wrong about peers."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from icelane.core.net import AddressFamily, SocketAddress, canonical_host
from icelane.errors import MalformedError
from icelane.turn import peer_policy
from icelane.turn.address_range import AddressRange, RangeTable, parse_address_range
from icelane.turn.peer_policy import PeerPolicy, Verdict
from tests.broken.registry import breaks, swap

TESTS = "tests/turn/test_peer_policy.py"
RELOAD = "tests/server/test_reload.py"
HARD_ROWS = f"{TESTS}::test_what_no_configuration_opens_is_refused_however_it_is_allowed"
DEFAULT_ROWS = f"{TESTS}::test_special_purpose_addresses_are_refused_unless_the_allow_list_names_them"
ENCODINGS = f"{TESTS}::test_every_encoding_of_every_ipv4_address_is_refused"
REFERENCE = f"{TESTS}::test_the_policy_agrees_with_a_slow_reference"


@breaks("TR-1", "FZ-2", test=(HARD_ROWS, ENCODINGS))
def addresses_inside_addresses_are_not_seen() -> None:
    swap(peer_policy, "EMBEDDED_IPV4", ())


@breaks("TR-1", "FZ-2", test=(HARD_ROWS, ENCODINGS))
def isatap_is_not_seen() -> None:
    swap(peer_policy, "_is_isatap", lambda number: False)


@breaks("TR-1", "FZ-1", test=(DEFAULT_ROWS, REFERENCE))
def special_purpose_addresses_are_public() -> None:
    swap(peer_policy, "_SPECIAL_PURPOSE_TABLES", {family: RangeTable(family, ()) for family in AddressFamily})


@breaks("TR-1", test=f"{TESTS}::test_a_peer_of_the_other_family_is_443_whatever_it_is")
def the_family_of_a_peer_is_not_looked_at() -> None:
    check_host = PeerPolicy.check_host

    def own_family(self: PeerPolicy, host: str, family: AddressFamily) -> Verdict:
        return check_host(self, host, SocketAddress(canonical_host(host), 0).family)

    swap(PeerPolicy, "check_host", own_family)


@breaks("TR-1", test=f"{TESTS}::test_the_loopback_switch_opens_exactly_loopback")
def the_loopback_switch_opens_everything_hard() -> None:
    swap(peer_policy, "_is_loopback", lambda family, number: True)


@breaks("TR-1", test=f"{TESTS}::test_the_loopback_switch_keeps_own_listeners_closed")
def own_listeners_are_forgotten_on_loopback() -> None:
    swap(peer_policy, "_closed_ports", lambda policy, host: frozenset())


@breaks("TR-4", test=(f"{TESTS}::test_each_rule_covers_its_prefix_to_the_last_address",
                      "tests/turn/test_address_range.py::test_the_ends_of_a_range_are_exact"))  # fmt: skip
def the_first_address_of_a_range_is_outside() -> None:
    def label(self: RangeTable, number: int) -> str | None:
        index = bisect_left(self._starts, number) - 1
        return self._labels[index] if index >= 0 else None

    swap(RangeTable, "label", label)


@breaks("TR-4", test=f"{TESTS}::test_a_malformed_value_stops_the_start_and_names_its_key")
def malformed_ranges_are_skipped() -> None:
    def parse_list(
        texts: Iterable[str], key: str, parse: Callable[[str], AddressRange] = parse_address_range
    ) -> list[AddressRange]:
        found = []
        for text in texts:
            try:
                found.append(parse(text))
            except MalformedError:
                continue
        return found

    swap(peer_policy, "_parse_list", parse_list)


@breaks("TR-5", test=f"{TESTS}::test_own_infrastructure_is_refused_even_when_everything_is_allowed")
def own_addresses_are_like_any_other() -> None:
    swap(peer_policy._OwnAddresses, "verdicts", lambda self: {})


@breaks("TR-5", test=f"{TESTS}::test_two_clients_of_one_server_reach_each_other")
def own_relay_ports_are_refused() -> None:
    swap(peer_policy._OwnAddresses, "_own", lambda self, host: Verdict(allowed=False, code=403, reason="own-address"))


@breaks("TR-6", test=f"{TESTS}::test_the_deny_list_wins_over_the_allow_list")
def the_allow_list_is_asked_first() -> None:
    refusal = PeerPolicy._refusal

    def allow_first(self: PeerPolicy, family: AddressFamily, number: int) -> str | None:
        return None if self._allowed[family].label(number) else refusal(self, family, number)

    swap(PeerPolicy, "_refusal", allow_first)


@breaks(
    "TR-6",
    "TR-7",
    test=(
        f"{TESTS}::test_the_deny_list_wins_over_the_loopback_switch",
        f"{RELOAD}::test_a_peer_that_a_reload_denies_gets_no_further_packet[uvloop-list]",
    ),
)
def the_loopback_switch_opens_what_is_denied() -> None:
    post_init = PeerPolicy.__post_init__

    def forgetful(self: PeerPolicy) -> None:
        post_init(self)
        object.__setattr__(self, "_denied", peer_policy._tables([]))

    swap(PeerPolicy, "__post_init__", forgetful)


@breaks("TR-6", test=HARD_ROWS)
def nothing_is_hard() -> None:
    swap(peer_policy, "HARD", ())
