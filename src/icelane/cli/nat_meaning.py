"""What a NAT's behaviour means for a call, in words.

The theory is that of tests/scenarios/test_peers_connect_through_nats.py, which makes every pair of NATs connect.
"""

from __future__ import annotations

import enum
from typing import assert_never

from icelane.stun.behavior import Behavior, BehaviorDiscovered


class Reach(enum.Enum):
    """With whom a call needs no relay, as long as UDP passes at both ends."""

    EVERYBODY = "everybody"
    UNLESS_SYMMETRIC = "unless-symmetric"
    FEW = "few"
    UNKNOWN = "unknown"


def reach(found: BehaviorDiscovered) -> Reach:
    """Whom the host that asked reaches directly."""
    if found.mapping is None:
        return Reach.UNKNOWN
    if found.mapping is not Behavior.ENDPOINT_INDEPENDENT:
        return Reach.FEW
    if found.filtering in (None, Behavior.ADDRESS_AND_PORT_DEPENDENT):
        # Of a filter that is not known only the worst can be promised.
        return Reach.UNLESS_SYMMETRIC
    return Reach.EVERYBODY


def meaning(found: BehaviorDiscovered) -> str:
    """One sentence or two."""
    match reach(found):
        case Reach.EVERYBODY:
            return "direct calls work with everybody whom UDP reaches, whatever NAT they are behind"
        case Reach.UNLESS_SYMMETRIC:
            return (
                "direct calls work with everybody whom UDP reaches, except behind a NAT whose mapping depends on the"
                " address (a symmetric NAT): those need a relay"
            )
        case Reach.FEW:
            return (
                "direct calls work with those in the open, and behind NATs with endpoint-independent mapping that do"
                " not filter by port; with others often a relay alone helps, so give programs a turn: URL"
            )
        case Reach.UNKNOWN:
            return "what calls need cannot be told from this"
        case other:
            assert_never(other)


def mapping_words(found: BehaviorDiscovered) -> str:
    """The mapping, and what that is."""
    if not found.translated:
        return "none: the server sees our own address"
    if found.mapping is None:
        return _unknown(found)
    return f"{found.mapping.value}: {_MAPPING[found.mapping]}"


def filtering_words(found: BehaviorDiscovered) -> str:
    """The filtering, and what that is."""
    if found.filtering is None:
        return _unknown(found)
    return f"{found.filtering.value}: {_FILTERING[found.filtering]}"


def hairpinning_words(found: BehaviorDiscovered) -> str:
    """Whether hosts behind the same NAT reach each other by its public address."""
    if found.hairpinning is None:
        return "not asked" if found.other is None or found.translated else "none: there is no NAT"
    return "yes" if found.hairpinning else "no"


def what_is_missing(found: BehaviorDiscovered) -> str | None:
    """Why something is not known; None when all is."""
    if found.other is None:
        return (
            f"{found.server} names no second address (RFC 5780), so it tells what our address is, and not what the NAT"
            " does"
        )
    if found.mapping is not None and found.filtering is not None:
        return None
    if found.change_refused and found.mapping is not None:
        return f"{found.server} does not answer from another address when it is asked to"
    silent = " and ".join(str(address) for address in found.silent)
    return f"{silent} did not answer, which {found.server} names as its other addresses"


def _unknown(found: BehaviorDiscovered) -> str:
    return "not known" if found.other is None else "not known: the server does not answer from all its addresses"


_MAPPING = {
    Behavior.ENDPOINT_INDEPENDENT: "one port, whomever we talk to",
    Behavior.ADDRESS_DEPENDENT: "another port for each address that we talk to",
    Behavior.ADDRESS_AND_PORT_DEPENDENT: "another port for each address and port that we talk to",
}
_FILTERING = {
    Behavior.ENDPOINT_INDEPENDENT: "anybody may answer",
    Behavior.ADDRESS_DEPENDENT: "answers come in from addresses that we have sent to",
    Behavior.ADDRESS_AND_PORT_DEPENDENT: "answers come in from the address and port that we have sent to, and no other",
}
