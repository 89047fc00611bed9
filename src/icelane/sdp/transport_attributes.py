"""What belongs to a transport: groups, DTLS, ICE and SCTP (RFC 9143, 8122, 8842, 8839, 8841)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from icelane.errors import MalformedError
from icelane.sdp.attribute import TypedAttribute, parse_number, parse_token, parse_tokens, parse_words
from icelane.sdp.lines import shown

# A group of more is MalformedError; no description has more sections than that, see MAX_MEDIA.
MAX_GROUP: Final = 256
# The same for the words of a=ice-options.
MAX_ICE_OPTIONS: Final = 32
MAX_SCTP_PORT: Final = 65535
MAX_MESSAGE_SIZE: Final = 2**64 - 1

# RFC 8839 section 5.4: the shortest that may be; `validation` holds them to it, and parsing to the longest.
MIN_UFRAG: Final = 4
MIN_PWD: Final = 22

STRONG_ALGORITHMS: Final = frozenset({"sha-256", "sha-384", "sha-512"})
_DIGEST_SIZES: Final = {"md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}

_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
# RFC 8839 allows letters, digits, + and /; browsers let the other four pass, and some servers use them.
_ICE_CHARACTERS: Final = re.compile(r"[A-Za-z0-9+/=#_-]{1,256}")
# RFC 8842 section 4.
_TLS_ID: Final = re.compile(r"[A-Za-z0-9+/_-]{20,255}")


class Setup(enum.Enum):
    """Who begins the DTLS handshake (RFC 4145 section 4, RFC 8842 section 5)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


class IceCredentials(NamedTuple):
    """What the other agent's connectivity checks are signed with."""

    ufrag: str
    password: str

    def __repr__(self) -> str:
        return f"IceCredentials({self.ufrag!r}, ...)"


@dataclass(frozen=True, slots=True)
class Fingerprint(TypedAttribute):
    """The hash of a certificate. `algorithm` is in lower case; weak and unknown ones are kept, see `is_strong`."""

    NAME: ClassVar[str] = "fingerprint"
    algorithm: str
    value: bytes

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value.hex(':').upper()}"

    @property
    def is_strong(self) -> bool:
        """Whether a peer may be believed by it alone."""
        return self.algorithm in STRONG_ALGORITHMS


@dataclass(frozen=True, slots=True)
class Group(TypedAttribute):
    """Sections that belong together, by their mids; `semantics` is BUNDLE, LS, or what others made up."""

    NAME: ClassVar[str] = "group"
    semantics: str
    mids: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.semantics, *self.mids))


@dataclass(frozen=True, slots=True)
class SctpMap(TypedAttribute):
    """The `sctpmap` of drafts before RFC 8841, with the proto DTLS/SCTP. `streams` is None when not written."""

    NAME: ClassVar[str] = "sctpmap"
    port: int
    application: str
    streams: int | None = None

    def __str__(self) -> str:
        return f"{self.port} {self.application}" + ("" if self.streams is None else f" {self.streams}")


def parse_fingerprint(text: str) -> Fingerprint:
    """The value of `a=fingerprint` (RFC 8122 section 5).

    Raises MalformedError when it is not hexadecimal, or not as long as its algorithm's hashes are.
    """
    algorithm, digits = parse_words(text, "fingerprint", (2,))
    algorithm = parse_token(algorithm, "hash function").lower()
    if not _HEXADECIMAL.fullmatch(digits):
        raise MalformedError(f"{shown(digits)} is not a fingerprint: pairs of hexadecimal digits between colons")
    value = bytes.fromhex(digits.replace(":", ""))
    if len(value) != _DIGEST_SIZES.get(algorithm, len(value)):
        raise MalformedError(f"a fingerprint by {algorithm} has {_DIGEST_SIZES[algorithm]} bytes, not {len(value)}")
    return Fingerprint(algorithm, value)


def parse_setup(text: str) -> Setup:
    """The value of `a=setup`, in any case."""
    try:
        return Setup(text.lower())
    except ValueError:
        raise MalformedError(f"{shown(text)} is not actpass, active, passive or holdconn") from None


def parse_tls_id(text: str) -> str:
    """The value of `a=tls-id`: 20 to 255 characters (RFC 8842 section 4)."""
    if not _TLS_ID.fullmatch(text):
        raise MalformedError(f"{shown(text)} is no tls-id")
    return text


def parse_ice_ufrag(text: str) -> str:
    """The value of `a=ice-ufrag`, however short."""
    if not _ICE_CHARACTERS.fullmatch(text):
        raise MalformedError(f"{shown(text)} is no ufrag")
    return text


def parse_ice_pwd(text: str) -> str:
    """The value of `a=ice-pwd`, however short. The MalformedError does not repeat it."""
    if not _ICE_CHARACTERS.fullmatch(text):
        raise MalformedError("the ICE password has characters that none may have, or more than 256")
    return text


def parse_ice_options(text: str) -> tuple[str, ...]:
    """The words of `a=ice-options`. Between them may be commas too: libdatachannel writes `ice2,trickle`."""
    return tuple(parse_tokens(text.replace(",", " "), "list of options", range(1, MAX_ICE_OPTIONS + 1)))


def parse_mid(text: str) -> str:
    """The value of `a=mid` (RFC 5888 section 4)."""
    return parse_token(text, "mid")


def parse_group(text: str) -> Group:
    """The value of `a=group`; it may name no mids at all."""
    semantics, *mids = parse_tokens(text, "group", range(1, MAX_GROUP + 2))
    return Group(semantics, tuple(mids))


def parse_sctp_port(text: str) -> int:
    """The value of `a=sctp-port` (RFC 8841 section 5): 0 closes the association."""
    return parse_number(text, "SCTP port", MAX_SCTP_PORT)


def parse_max_message_size(text: str) -> int:
    """The value of `a=max-message-size` in bytes (RFC 8841 section 6): 0 says that there is no limit."""
    return parse_number(text, "message size", MAX_MESSAGE_SIZE)


def parse_sctp_map(text: str) -> SctpMap:
    """The value of `a=sctpmap`."""
    port, application, *streams = parse_words(text, "sctpmap", (2, 3))
    return SctpMap(
        parse_sctp_port(port),
        parse_token(application, "application"),
        parse_number(streams[0], "number of streams", 65536) if streams else None,
    )
