"""All endpoints of a server in one table: what is routed, and what the description of the interface is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from icelane.signaling.http.caller import Callers
from icelane.signaling.http.compatibility import Compatibility
from icelane.signaling.http.credential_endpoints import CredentialEndpoints, Revoker
from icelane.signaling.http.diagnosis_endpoints import Diagnosis, DiagnosisEndpoints
from icelane.signaling.http.diagnostic_endpoints import DiagnosticEndpoints, Readiness
from icelane.signaling.http.document_endpoints import PublicUrl, document_endpoints
from icelane.signaling.http.endpoint import Endpoint
from icelane.signaling.http.module_endpoint import ModuleEndpoint
from icelane.signaling.http.page_endpoints import PageEndpoints
from icelane.signaling.http.room_endpoints import RoomDirectory, RoomEndpoints
from icelane.signaling.http.token_endpoints import TicketMaker, TokenEndpoints, TokenMaker
from icelane.signaling.ice_servers import IceServers


@dataclass(frozen=True, kw_only=True)
class HttpSurface:
    """What the endpoints stand on. What is None has no endpoint.

    `signal_url` says where clients connect; `compat` are the shapes of others that are served beside ours. `public_url`
    says where this server is reached, such as `https://call.example.org`, for what describes the interface. `pages`
    says whether there are pages for people.
    """

    callers: Callers
    readiness: Readiness
    signal_url: Callable[[], str]
    ice: IceServers | None = None
    revoker: Revoker | None = None
    tokens: TokenMaker | None = None
    tickets: TicketMaker | None = None
    rooms: RoomDirectory | None = None
    compat: Collection[str] = ()
    public_url: PublicUrl = lambda: None
    pages: bool = False
    diagnosis: Diagnosis | None = None

    def endpoints(self) -> list[Endpoint]:
        """The table. Raises ConfigurationError for a shape that is not known."""
        table = DiagnosticEndpoints(self.callers, self.readiness).endpoints()
        if self.ice is not None:
            credentials = CredentialEndpoints(self.ice, self.callers, self.revoker)
            table += credentials.endpoints()
            table += Compatibility(credentials, self.compat).endpoints()
        table += TokenEndpoints(self.callers, self.signal_url, tokens=self.tokens, tickets=self.tickets).endpoints()
        if self.rooms is not None:
            table += RoomEndpoints(self.callers, self.rooms).endpoints()
        table += ModuleEndpoint().endpoints()
        if self.diagnosis is not None:
            table += DiagnosisEndpoints(self.callers, self.diagnosis).endpoints()
        if self.pages:
            table += PageEndpoints().endpoints()
        return [*table, *document_endpoints(table, self.public_url)]
