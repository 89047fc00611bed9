"""Published STUN messages: RFC 5769 sections 2.1 to 2.4, and RFC 8489 appendix B.1 as erratum 6268 corrects it."""

from __future__ import annotations

from typing import Final

SHORT_TERM_PASSWORD: Final = "VOkJxbRl1RmTxUk/WvJxBt"
SHORT_TERM_USERNAME: Final = "evtj:h6vY"
SHORT_TERM_TRANSACTION_ID: Final = bytes.fromhex("b7e7a701bc34d686fa87dfae")

# RFC 5769 section 2.1. The padding of USERNAME is spaces on purpose: it is covered by the MAC as it stands.
SAMPLE_REQUEST: Final = bytes.fromhex(
    "00010058 2112a442 b7e7a701bc34d686fa87dfae"
    "80220010 5354554e207465737420636c69656e74"  # SOFTWARE "STUN test client"
    "00240004 6e0001ff"  # PRIORITY
    "80290008 932ff9b151263b36"  # ICE-CONTROLLED
    "00060009 6576746a3a68367659 202020"  # USERNAME "evtj:h6vY"
    "00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004 e57a3bcf"
)

# RFC 5769 section 2.2
SAMPLE_IPV4_RESPONSE: Final = bytes.fromhex(
    "0101003c 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"  # SOFTWARE "test vector"
    "00200008 0001a147 e112a643"  # XOR-MAPPED-ADDRESS 192.0.2.1:32853
    "00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004 c07d4c96"
)

# RFC 5769 section 2.3
SAMPLE_IPV6_RESPONSE: Final = bytes.fromhex(
    "01010048 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9"  # [2001:db8:1234:5678:11:2233:4455:6677]:32853
    "00080014 a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004 c8fb0b4c"
)

LONG_TERM_USERNAME: Final = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
LONG_TERM_REALM: Final = "example.org"
LONG_TERM_NONCE: Final = "f//499k954d6OL34oL9FSTvy64sA"
LONG_TERM_PASSWORD: Final = "The\u00adM\u00aatr\u2168"
LONG_TERM_PREPARED_PASSWORD: Final = "TheMatrIX"
LONG_TERM_TRANSACTION_ID: Final = bytes.fromhex("78ad3433c6ad72c029da412e")

# RFC 5769 section 2.4. There is no FINGERPRINT.
SAMPLE_LONG_TERM_REQUEST: Final = bytes.fromhex(
    "00010060 2112a442 78ad3433c6ad72c029da412e"
    "00060012 e3839ee38388e383aae38383e382afe382b9 0000"  # USERNAME
    "0015001c 662f2f3439396b3935346436 4f4c33346f4c39465354767936347341"  # NONCE
    "0014000b 6578616d706c652e6f7267 00"  # REALM
    "00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666"
)

# RFC 8489 appendix B.1. As printed its length, its PASSWORD-ALGORITHM and its MAC are wrong; erratum 6268 has the right
# ones. Its nonce announces features least-significant-bit first, which section 9.2 does not allow.
B1_NONCE: Final = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"
B1_USERHASH: Final = bytes.fromhex("4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704")
B1_INTEGRITY_SHA256: Final = bytes.fromhex("b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65")
B1_PRINTED_INTEGRITY_SHA256_BEGINS: Final = bytes.fromhex("e4686c8f")
B1_REQUEST: Final = (
    bytes.fromhex("00010090 2112a442 78ad3433c6ad72c029da412e 001e0020")
    + B1_USERHASH
    + bytes.fromhex("00150029")
    + B1_NONCE.encode()
    + bytes.fromhex("000000 0014000b 6578616d706c652e6f7267 00 001d0004 00020000 001c0020")
    + B1_INTEGRITY_SHA256
)

# RFC 8489 section 9.2.2
LONG_TERM_KEY_EXAMPLE: Final = bytes.fromhex("8493fbc53ba582fb4c044c456bdc40eb")
