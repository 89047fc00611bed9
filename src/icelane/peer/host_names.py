"""Names of multicast DNS in place of our addresses, as browsers have them (draft-ietf-mmusic-mdns-ice-candidates).

names = HostNames(entropy)
names.of("192.0.2.7")        # "0c7a9f6e-....local", the same as long as these names live
"""

from __future__ import annotations

from icelane.core.entropy import Entropy, random_uuid


class HostNames:
    """Fresh for each connection, so that two of them cannot be told to be the same machine's."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._names_by_host: dict[str, str] = {}  # as many as this machine has addresses

    def of(self, host: str) -> str:
        """The name that stands for an address of ours."""
        name = self._names_by_host.get(host)
        if name is None:
            name = self._names_by_host[host] = f"{random_uuid(self._entropy)}.local"
        return name
