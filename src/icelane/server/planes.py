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
    " installed; `pip install --force-reinstall --no-binary icelane icelane` builds it, and `auto` does without"
)


def make_plane(wanted: PlaneName, entropy: Entropy, *, coalesce: Duration) -> RelayPlane:
    """The plane; raises ConfigurationError for one that is not here."""
    if wanted == "pure" or (wanted == "auto" and not batched.available()):
        return RelayPlane(entropy)
    if not batched.available():
        raise ConfigurationError(MISSING, key="turn.plane")
    from icelane.server.batched.plane import BatchedPlane

    return BatchedPlane(entropy, coalesce=coalesce)
