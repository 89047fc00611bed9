"""Names of multicast DNS in place of our addresses, as browsers have them (draft-ietf-mmusic-mdns-ice-candidates).

names = HostNames(entropy)
names.of("192.0.2.7")        # "0c7a9f6e-....local", the same as long as these names live
"""

from __future__ import annotations

from icelane.core.entropy import Entropy


class HostNames:
    """Fresh for each connection, so that two of them cannot be told to be the same machine's."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._names_by_host: dict[str, str] = {}  # as many as this machine has addresses

    def of(self, host: str) -> str:
        """The name that stands for an address of ours."""
        name = self._names_by_host.get(host)
        if name is None:
            name = self._names_by_host[host] = f"{_random_uuid(self._entropy)}.local"
        return name


def _random_uuid(entropy: Entropy) -> str:
    """Version 4 of RFC 9562: all bits are random but those that say so."""
    data = bytearray(entropy.token(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
