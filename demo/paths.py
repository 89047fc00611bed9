"""What the demo tries, one record per path from end to end through the relay."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from demo.call import CallReport, EndReport


class Outcome(enum.Enum):
    """How a path ended."""

    CARRIED = "carried"
    """Every byte arrived unchanged."""
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class SecurityResult:
    """How both ends say that a call was protected, and along which path it went. Fingerprints as in SDP."""

    protocol: str
    cipher_suite: str
    srtp_profile: str | None
    path: str
    caller_fingerprint: str
    callee_fingerprint: str
    code: str
    """What both ends would read to each other."""


@dataclass(frozen=True, kw_only=True)
class CarriedResult:
    """What a call carried, from the caller to the callee (`forth`) and the other way."""

    codecs: tuple[str, ...]
    files_forth: int
    files_back: int
    """Bytes of files whose hash was right."""
    pictures_forth: int
    pictures_back: int
    """Pictures that were decoded."""
    bytes_forth: int
    bytes_back: int
    """Of the transport, with all that protects it."""


@dataclass(frozen=True, kw_only=True)
class PathResult:
    """One row of the table. Times in seconds; counts are of both directions together."""

    path: str
    outcome: Outcome
    set_up: float | None = None
    round_trip: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    packets: int = 0
    """Packets that were counted for loss: all of our clients', the video's of the browser."""
    packets_lost: int = 0
    security: SecurityResult | None = None
    carried: CarriedResult | None = None
    remark: str = ""
    """What went wrong, why it was skipped, or what else there is to say."""


def all_carried(results: list[PathResult]) -> bool:
    """Whether something was tried and nothing that was tried fell short. What was skipped does not count."""
    tried = [result for result in results if result.outcome is not Outcome.SKIPPED]
    return bool(tried) and all(result.outcome is Outcome.CARRIED for result in tried)


def skipped(path: str, reason: str) -> PathResult:
    """A path that this machine cannot try."""
    return PathResult(path=path, outcome=Outcome.SKIPPED, remark=reason)


def failed(path: str, error: Exception) -> PathResult:
    """A path that ended in an exception, whose notes say what its ends know of it."""
    said = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
    return PathResult(path=path, outcome=Outcome.FAILED, remark="; ".join(said))


def of_call(path: str, transport: str, call: CallReport) -> PathResult:
    """The row of a call over TURN by `transport`."""
    shortfalls = _all_shortfalls(call, transport)
    pictures = sum(end.frames_decoded for end in call.ends)
    round_trips = [end.round_trip for end in call.ends if end.round_trip is not None]
    return PathResult(
        path=path,
        outcome=Outcome.FAILED if shortfalls else Outcome.CARRIED,
        set_up=max(end.set_up for end in call.ends),
        round_trip=max(round_trips, default=None),
        bytes_sent=sum(end.payload_sent for end in call.ends),
        bytes_received=sum(end.payload_received for end in call.ends),
        packets=sum(end.video_packets_received + max(end.video_packets_lost, 0) for end in call.ends),
        packets_lost=sum(max(end.video_packets_lost, 0) for end in call.ends),
        remark="; ".join(shortfalls) or (f"{pictures} pictures decoded" if pictures else ""),
    )


def of_room(path: str, call: CallReport, *, codes: tuple[str | None, str | None], greeted: bool) -> PathResult:
    """The row of a call in a room, over TURN by TLS, with what was negotiated and carried."""
    result = of_call(path, "tls", call)
    wrong = [result.remark] if result.outcome is Outcome.FAILED else []
    if codes[0] is None or codes[0] != codes[1]:
        wrong.append("the two ends show different security codes")
    if not greeted:
        wrong.append("words were lost")
    if not all(end.frames_decoded for end in call.ends):
        wrong.append("no picture was decoded")
    if not all(end.security.srtp_profile for end in call.ends):
        wrong.append("media was not protected")
    if wrong:
        return replace(result, outcome=Outcome.FAILED, remark="; ".join(wrong))
    return replace(result, security=_security(call, codes[0] or ""), carried=_carried(call), remark="")


def _carried(call: CallReport) -> CarriedResult:
    caller, callee = call.ends
    return CarriedResult(
        codecs=tuple(dict.fromkeys((*caller.codecs, *callee.codecs))),
        files_forth=callee.payload_received,
        files_back=caller.payload_received,
        pictures_forth=callee.frames_decoded,
        pictures_back=caller.frames_decoded,
        bytes_forth=callee.transport_bytes_received,
        bytes_back=caller.transport_bytes_received,
    )


def _all_shortfalls(call: CallReport, transport: str) -> list[str]:
    shortfalls = [text for end in call.ends for text in _shortfalls(end, transport)]
    if not call.compared:
        shortfalls.append("the two ends do not see the same certificates and encryption")
    if shortfalls:
        shortfalls += problems_of("caller", call.caller.problems) + problems_of("callee", call.callee.problems)
    return shortfalls


def problems_of(name: str, problems: Sequence[str]) -> list[str]:
    """What one end of a call says of its servers, for a remark."""
    return [f"{name}: {problem}" for problem in problems]


def _security(call: CallReport, code: str) -> SecurityResult:
    caller, callee = call.ends
    return SecurityResult(
        protocol=caller.security.protocol,
        cipher_suite=caller.security.cipher_suite,
        srtp_profile=caller.security.srtp_profile,
        path=f"{caller.local_candidate} to {callee.local_candidate}, TURN over {caller.relay_protocol.upper()}",
        caller_fingerprint=caller.security.local_fingerprint,
        callee_fingerprint=callee.security.local_fingerprint,
        code=code,
    )


def _shortfalls(end: EndReport, transport: str) -> list[str]:
    if not end.payload_intact or end.payload_received != end.payload_sent:
        return ["data was lost or changed"]
    if not end.relayed:
        return ["the selected pair is not relayed"]
    if end.relay_protocol != transport:
        return [f"relayed over {end.relay_protocol} instead of {transport}"]
    return []
