"""Which relay plane a server runs: the compiled one where it has been built, the one on asyncio everywhere else."""

from __future__ import annotations

from icelane.core.clock import Duration
from icelane.core.entropy import Entropy
from icelane.errors import ConfigurationError
from icelane.server import batched
from icelane.server.config.model import PlaneName
from icelane.server.relay_plane import RelayPlane

MISSING = (
    "there is no compiled relay plane here: it is built on Linux when a C compiler is there while icelane is"
    " installed; `pip install --force-reinstall --no-deps .` in its sources builds it, and `auto` does without"
)


def is_compiled(wanted: PlaneName) -> bool:
    """Whether the server's plane is the compiled one; raises ConfigurationError for one that is not here."""
    if wanted == "compiled" and not batched.available():
        raise ConfigurationError(MISSING, key="turn.plane")
    return wanted != "pure" and batched.available()


def make_plane(wanted: PlaneName, entropy: Entropy, *, coalesce: Duration) -> RelayPlane:
    """The plane; raises ConfigurationError as `is_compiled` does."""
    if not is_compiled(wanted):
        return RelayPlane(entropy)
    from icelane.server.batched.plane import BatchedPlane

    return BatchedPlane(entropy, coalesce=coalesce)
