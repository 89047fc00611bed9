"""Errors by aiortc's names; all but one are icelane's own."""

from __future__ import annotations

from icelane.errors import InvalidAccessError, InvalidStateError, LocalProtocolError, OperationError

__all__ = ["InternalError", "InvalidAccessError", "InvalidStateError", "OperationError"]


class InternalError(LocalProtocolError):
    """A kind or a direction that there is not."""
