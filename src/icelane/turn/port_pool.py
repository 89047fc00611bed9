"""The free relay ports of one relay address.

Ports are taken uniformly at random, because one that can be foretold can be spoken to before the client is ready
(RFC 8656 section 7.2, RFC 6056; CVE-2025-69217). Taking and releasing cost O(1) whatever is free.
"""

from __future__ import annotations

from collections.abc import Iterable

from icelane.core.entropy import Entropy
from icelane.errors import ConfigurationError, LocalProtocolError


class PortPool:
    """Hands out the ports of a range, each to one holder at a time; None when what is asked for is not left.

    Raises ConfigurationError when the range is empty, has gaps or leaves 1 to 65535.
    """

    def __init__(self, ports: range, entropy: Entropy) -> None:
        if not ports or ports.step != 1 or ports[0] < 1 or ports[-1] > 65535:
            raise ConfigurationError("relay ports are a range within 1 to 65535", key="turn.relay_ports")
        self._ports = ports
        self._entropy = entropy
        self._even = _RandomSet(port for port in ports if port % 2 == 0)
        self._odd = _RandomSet(port for port in ports if port % 2 == 1)
        # Even ports that are free together with the next one.
        self._pairs = _RandomSet(port for port in ports if port % 2 == 0 and port + 1 in ports)

    def __len__(self) -> int:
        """How many ports are free."""
        return len(self._even) + len(self._odd)

    @property
    def in_use(self) -> int:
        """How many ports are taken."""
        return len(self._ports) - len(self)

    def __contains__(self, port: int) -> bool:
        """Whether `port` is free."""
        return port in self._even or port in self._odd

    def __repr__(self) -> str:
        return f"PortPool({self._ports[0]}-{self._ports[-1]}, {len(self)} free)"

    def take(self) -> int | None:
        """Any free port."""
        if not len(self):
            return None
        index = self._entropy.below(len(self))
        evens = len(self._even)
        return self._taken(self._even[index] if index < evens else self._odd[index - evens])

    def take_even(self) -> int | None:
        """A free even port, for EVEN-PORT without the R bit (RFC 8656 section 18.7)."""
        if not len(self._even):
            return None
        return self._taken(self._even[self._entropy.below(len(self._even))])

    def take_pair(self) -> int | None:
        """A free even port whose successor is free too, for EVEN-PORT with the R bit.

        Both are taken; the successor waits for its RESERVATION-TOKEN. Each is released for itself.
        """
        if not len(self._pairs):
            return None
        even = self._taken(self._pairs[self._entropy.below(len(self._pairs))])
        self._taken(even + 1)
        return even

    def release(self, port: int) -> None:
        """Give a taken port back. Raises LocalProtocolError when it was not taken."""
        if port not in self._ports or port in self:
            raise LocalProtocolError(f"port {port} was not taken")
        (self._odd if port % 2 else self._even).add(port)
        even = port & ~1
        if even in self._even and even + 1 in self._odd:
            self._pairs.add(even)

    def _taken(self, port: int) -> int:
        (self._odd if port % 2 else self._even).discard(port)
        self._pairs.discard(port & ~1)
        return port


class _RandomSet:
    """Numbers with an index that any change may reorder: what makes a uniform choice cost O(1)."""

    __slots__ = ("_indices", "_members")

    def __init__(self, members: Iterable[int]) -> None:
        self._members = list(members)
        self._indices = {member: index for index, member in enumerate(self._members)}

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: int) -> bool:
        return member in self._indices

    def __getitem__(self, index: int) -> int:
        return self._members[index]

    def add(self, member: int) -> None:
        self._indices[member] = len(self._members)
        self._members.append(member)

    def discard(self, member: int) -> None:
        index = self._indices.pop(member, None)
        if index is None:
            return
        last = self._members.pop()
        if last != member:
            self._members[index] = last
            self._indices[last] = index
