"""Who is in control, and what happens when both think they are (RFC 8445 sections 7.3.1.1 and 7.2.5.1)."""

from __future__ import annotations

from typing import Final

from icelane.core.entropy import Entropy
from icelane.ice.check import Check
from icelane.ice.event import IceRole

# Honest peers need one change, or two when both met at once. A peer that makes us change again and again wants no
# connection: beyond this the role stays, its conflicting checks are refused and our refused ones fail (IC-11).
MAX_ROLE_CHANGES: Final = 8

_TIE_BREAKER_BYTES: Final = 8


class RoleArbiter:
    """Our role and tie-breaker; the role of a `fixed` one, beside or of a lite agent, is changed by no conflict."""

    def __init__(self, role: IceRole, entropy: Entropy, *, fixed: bool = False) -> None:
        self.role = role
        self.tie_breaker = 0
        self.fixed = fixed
        self._changes = 0
        self._entropy = entropy
        self.draw()

    def draw(self) -> None:
        """Draw another tie-breaker."""
        self.tie_breaker = int.from_bytes(self._entropy.token(_TIE_BREAKER_BYTES), "big")

    def forgive(self) -> None:
        """A new ICE session has begun: changes are counted anew."""
        self._changes = 0

    def admits(self, check: Check) -> bool:
        """Settle the conflict that a verified check may bring up: False means that it is to be refused with 487."""
        if check.role is not self.role:
            return True
        # The larger tie-breaker is in control; on equal ones the receiver of the check keeps its role or takes control.
        keeps = (self.tie_breaker >= check.tie_breaker) is (self.role is IceRole.CONTROLLING)
        return False if keeps else self._change(self.role.other)

    def handle_refusal(self, claimed: IceRole | None) -> bool:
        """A check in which we claimed that role was refused with 487. Returns whether it is worth trying again."""
        if claimed is None:
            return False
        if claimed is not self.role:
            return True  # changed meanwhile
        if not self._change(claimed.other):
            return False
        # Section 7.2.5.1: another tie-breaker, or two equal ones would conflict for ever.
        self.draw()
        return True

    def _change(self, role: IceRole) -> bool:
        if self.fixed or self._changes >= MAX_ROLE_CHANGES:
            return False
        self._changes += 1
        self.role = role
        return True
