"""Every error code of STUN and TURN in plain words: what it means, and what mends it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Explanation(NamedTuple):
    """`meaning` says what the server refused, `mend` what to look at."""

    meaning: str
    mend: str


_EXPLANATIONS: Final = {
    300: Explanation("the server sends us to another server", "use the server that it names, or look at its load"),
    400: Explanation("the server could not make sense of the request", "look for what altered it on the way, or a bug"),
    401: Explanation(
        "the user name or the password is wrong, or the ephemeral credential has expired",
        "compare user, password or secret, and realm; for ephemeral credentials compare both clocks: `timedatectl`",
    ),
    403: Explanation(
        "the server does not relay to this peer",
        "its policy denies private, loopback and its own addresses; open what must be reached with turn.peers.allow",
    ),
    405: Explanation("the server does not know this method", "it is a STUN server, not a TURN server"),
    420: Explanation(
        "the server does not know an option that we ask for", "leave the option out, or update the server"
    ),
    437: Explanation(
        "there is no allocation, or already another one, on this address and port", "connect again from another port"
    ),
    438: Explanation(
        "the nonce is stale, and stayed so", "something changes our address on the way, or its clock jumps"
    ),
    440: Explanation("the server has no relay address of this family", "ask for the other family, or add an address"),
    441: Explanation("the allocation belongs to another user", "use the credentials that made it"),
    442: Explanation("the server does not relay over this transport", "ask for UDP"),
    443: Explanation("the peer's address is of another family than the relayed one", "allocate for the peer's family"),
    446: Explanation("a connection to this peer exists already", "use that connection"),
    447: Explanation("the server could not connect to the peer", "check that the peer listens, and its firewall"),
    486: Explanation(
        "this user has as many allocations as the server allows",
        "close some, wait until forgotten ones expire (10 minutes), or raise turn.quota.allocations_per_user",
    ),
    500: Explanation("the server has a defect or lost its database", "try again; then read the server's log"),
    508: Explanation(
        "the server has no room: no free relay port, too many permissions, or it is being emptied",
        "try again later; on the server widen turn.relay_ports or raise turn.quota.allocations_total",
    ),
}

_BY_CLASS: Final = {
    3: Explanation("the server wants us to go elsewhere", "read its documentation"),
    4: Explanation("the server refuses the request", "read the server's log"),
    5: Explanation("the server failed", "try again; then read the server's log"),
    6: Explanation("the request can succeed nowhere", "read the server's log"),
}

EXPLAINED_CODES: Final = frozenset(_EXPLANATIONS)
"""The codes that have words of their own."""


def explain(code: int) -> Explanation:
    """What an error code of 300 to 699 means; an unknown one is explained by its class (RFC 8489 section 14.8)."""
    return _EXPLANATIONS.get(code) or _BY_CLASS[code // 100]
