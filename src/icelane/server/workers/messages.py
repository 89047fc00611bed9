"""What the supervisor and its workers tell each other over a link."""

from __future__ import annotations

from typing import Any, NamedTuple

from prometheus_client.metrics_core import Metric

from icelane.core.clock import Instant, UnixSeconds
from icelane.core.net import Path, SocketAddress
from icelane.server.config import Config
from icelane.server.health import Readiness
from icelane.server.held_files import HeldFiles
from icelane.server.reload import Reloaded
from icelane.turn.revocation import Revocation
from icelane.turn.routes import BindId

# From the supervisor to a worker


class Start(NamedTuple):
    """The first message: what to serve, and how. With it come the ledger and a bound socket for each listener.

    `life` is how many workers there were before, in all places; `external` are the public addresses that others have
    found, `held` what the configuration's files hold. `search_path` is where the supervisor finds Python modules,
    `turn.auth` among them. `web_at` is where `server.listen` is bound; the sockets, behind those of the listeners, come
    to one worker alone.
    """

    config: Config
    worker: int
    workers: int
    relay_ports: range
    nonce_key: bytes
    ledger_names: int
    ledger_secret: bytes
    figures: SocketAddress | None
    held: HeldFiles
    revoked: dict[Revocation, UnixSeconds]
    life: int
    external: dict[str, str]
    search_path: list[str]
    web_at: tuple[SocketAddress, ...] = ()


class Drain(NamedTuple):
    """Take no new allocation, and say `Drained` when the last one is over."""


class Stop(NamedTuple):
    """End now."""


class Ping(NamedTuple):
    """Answer with Pong."""


class SiblingGone(NamedTuple):
    """A worker has ended; what it had borrowed is free."""

    worker: int


class Ask(NamedTuple):
    """A question that `Answer` answers."""

    number: int
    question: Question


class Administer(NamedTuple):
    """One of the commands of the admin socket; the answer is a SessionAnswer."""

    request: dict[str, Any]
    now: Instant


class Consider(NamedTuple):
    """Whether what runs beside the relay could go by this. The answer has problems, or else a GoBy will follow."""

    config: Config
    held: HeldFiles


class GoBy(NamedTuple):
    """Another configuration, and what its files hold; the answer is a Reloaded."""

    config: Config
    held: HeldFiles


class TellFigures(NamedTuple):
    """The answer is a Figures."""


Question = Administer | Consider | GoBy | TellFigures


class Reply(NamedTuple):
    """The answer to an `Enquiry`, or what is wrong with it."""

    number: int
    result: int | Readiness | None = None
    error: str | None = None


# From a worker to the supervisor


class Ready(NamedTuple):
    """The first word: it has imported all that it needs, and waits for Start."""


class Started(NamedTuple):
    """It serves."""

    plane: str


class Problem(NamedTuple):
    """A ConfigurationError on its way."""

    message: str
    key: str
    file: str | None


class Failed(NamedTuple):
    """It cannot start."""

    problems: tuple[Problem, ...]


class Found(NamedTuple):
    """The public addresses of relay addresses, where `turn.external_address_from` is asked."""

    external: dict[str, str]


class Pong(NamedTuple):
    """It lives."""


class Drained(NamedTuple):
    """No allocation is left, or the time for that is over."""

    in_time: bool


class SessionAnswer(NamedTuple):
    """What an administrator is told, or why it cannot be done; `until` is the end of what was taken back."""

    answer: dict[str, Any] | None = None
    error: str | None = None
    until: UnixSeconds | None = None


class Figures(NamedTuple):
    """What one worker counts, and how it is."""

    families: list[Metric]
    readiness: Readiness


class Answer(NamedTuple):
    """What a question was answered with, or the problems that it met."""

    number: int
    result: SessionAnswer | Reloaded | Figures | None
    problems: tuple[Problem, ...] = ()


class Enquiry(NamedTuple):
    """A question about all workers, which a Reply answers."""

    number: int
    question: RevokeEverywhere | TellReadiness


class RevokeEverywhere(NamedTuple):
    """Take a credential back in every worker; the result is how many allocations ended."""

    username: str


class TellReadiness(NamedTuple):
    """The result is the Readiness of all."""


# From worker to worker, by way of the supervisor


class ToSibling(NamedTuple):
    """Goes to `worker`, from whom the supervisor knows."""

    worker: int
    message: Claim | Claimed | Returned | Passed


class FromSibling(NamedTuple):
    """What `worker`, another one, has sent."""

    worker: int
    message: Claim | Claimed | Returned | Passed


class Claim(NamedTuple):
    """Hand over what is reserved for the token."""

    bind_id: BindId
    token: bytes


class Claimed(NamedTuple):
    """The relay socket comes with it; None and nothing where there is no such reservation."""

    bind_id: BindId
    relay: SocketAddress | None


class Returned(NamedTuple):
    """That port is free again."""

    relay: SocketAddress


class Passed(NamedTuple):
    """The client's connection comes with it; `data` has come over it already."""

    client: Path
    data: bytes
