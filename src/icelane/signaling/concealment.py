"""What a relay-only room passes on: signals that do not tell where their sender is.

Not-relayed candidates go; of relayed ones, the address behind them (`raddr`) goes too, and of descriptions also what
`c=` and `o=` tell (RFC 8828). What does not parse is not passed on, because nobody knows what it tells.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec
from msgspec import UNSET

from icelane.core.net import SocketAddress
from icelane.errors import MalformedError
from icelane.ice.candidate import CandidateType, parse_candidate
from icelane.sdp.privacy import without_host_information
from icelane.sdp.session import parse_session
from icelane.signaling.messages import CandidateInit, Description, SignalData

# RFC 8839 section 5.1: what stands for "I do not tell" behind raddr and rport.
_UNTOLD: Final = {False: SocketAddress("0.0.0.0", 9), True: SocketAddress("::", 9)}


def concealed(data: SignalData) -> SignalData | None:
    """A copy that tells no address but those of relays; None when nothing is left of it.

    Raises MalformedError for a description that does not parse.
    """
    description, candidate = data.description, data.candidate
    if description is not UNSET:
        description = _concealed_description(description)
    if isinstance(candidate, CandidateInit):
        candidate = _concealed_candidate(candidate) or UNSET
    if description is UNSET and candidate is UNSET:
        return None
    return SignalData(description=description, candidate=candidate)


def _concealed_description(description: Description) -> Description:
    if not description.sdp:  # a rollback has none
        return description
    session = without_host_information(parse_session(description.sdp))
    return msgspec.structs.replace(description, sdp=str(session))


def _concealed_candidate(init: CandidateInit) -> CandidateInit | None:
    if not init.candidate:  # the end of candidates, as text
        return init
    try:
        candidate = parse_candidate(init.candidate)
    except MalformedError:
        return None
    if candidate.type is not CandidateType.RELAYED:
        return None
    return msgspec.structs.replace(init, candidate=str(replace(candidate, related=_UNTOLD[":" in candidate.host])))
