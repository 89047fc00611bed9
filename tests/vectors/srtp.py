"""Published values for SRTP: RFC 3711 appendix B, RFC 7714 sections 16 and 17, and a packet of libsrtp's own test."""

from __future__ import annotations

from typing import Final

# RFC 3711 appendix B.3: deriving the keys of SRTP.
MASTER_KEY: Final = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
MASTER_SALT: Final = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
CIPHER_KEY: Final = bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
CIPHER_SALT: Final = bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
# All 94 bytes, of which a MAC uses the first 20.
AUTHENTICATION_KEY: Final = bytes.fromhex(
    "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098"
    "6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
)

# RFC 3711 appendix B.2: the key stream of a packet whose SSRC and index are zero, from the first block on.
COUNTER_KEY: Final = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
COUNTER_SALT: Final = bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
KEY_STREAM: Final = bytes.fromhex(
    "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0"
)

# libsrtp's test driver, under the master key and salt of appendix B.3.
RTP: Final = bytes.fromhex("800f1234decafbadcafebabe" + 16 * "ab")
SRTP: Final = bytes.fromhex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")

# RFC 7714 sections 16 and 17. These are session keys: nothing is derived.
GCM_128_KEY: Final = bytes(range(16))
GCM_256_KEY: Final = bytes(range(32))
GCM_SALT: Final = b"Quid pro quo"
GCM_RTP: Final = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
GCM_128_SRTP: Final = bytes.fromhex(
    "8040f17b8041f8d35501a0b2"
    "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
    "899d7f27beb16a9152cf765ee4390cce"
)
GCM_256_SRTP: Final = bytes.fromhex(
    "8040f17b8041f8d35501a0b2"
    "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
    "7aa3db36dfffd6b0f9bb7878d7a76c13"
)
# The packet that the subsections encrypt; the one that section 17 begins with differs in its length and its words.
GCM_RTCP: Final = bytes.fromhex(
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
)
GCM_RTCP_INDEX: Final = 0x5D4
GCM_128_SRTCP: Final = bytes.fromhex(
    "81c8000d4d617273"
    "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b"
    "c84aa45896cf4d2fc5abf87245d9eade800005d4"
)
GCM_256_SRTCP: Final = bytes.fromhex(
    "81c8000d4d617273"
    "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad"
    "1d1eb30c4446839f57ff6f6cb26ac3be800005d4"
)
# Section 17.3: authenticated, not encrypted.
GCM_128_SRTCP_IN_THE_CLEAR: Final = GCM_RTCP + bytes.fromhex("841dd9683dd78ec92ae58790125f62b3000005d4")
