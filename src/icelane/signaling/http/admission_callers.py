"""Callers as admission knows them: the pipeline that WebSockets go through, for requests of HTTP."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from icelane.errors import MalformedError
from icelane.signaling.admission.control import AdmissionControl
from icelane.signaling.admission.refusal import denied
from icelane.signaling.admission.request import ConnectRequest, IceRequest, tls_facts_of
from icelane.signaling.admitted import Admission, IcePolicy, Refusal
from icelane.signaling.close_code import CloseCode
from icelane.signaling.error_code import ErrorCode
from icelane.signaling.http.caller import Caller, Operator


class AdmissionCallers:
    """Satisfies `Callers`."""

    def __init__(self, control: AdmissionControl) -> None:
        self._control = control

    def passes(self, request: Request) -> Refusal | None:
        """Lists, rates, Origin."""
        try:
            asked = self._asked(request)
        except MalformedError:
            return Refusal(code=CloseCode.BAD_FRAME, error="bad_request", status=400)
        return self._control.screen(asked)

    async def identify(self, request: Request) -> Caller | Refusal:
        """Who it is, of a request that passes."""
        admission = await self._control.admit(self._asked(request), screened=True)
        if isinstance(admission, Refusal) or admission.api_key is None:
            return admission
        return Operator(admission.api_key)

    def address(self, request: Request) -> str:
        """The canonical address of the client, behind trusted proxies."""
        return self._asked(request).ip

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of this origin may read the answers, and send cookies."""
        return self._control.allows_origin(origin)

    def refuses(self, identity: str) -> Refusal | None:
        """Lists."""
        if self._control.lists.refuses_identity(identity) is None:
            return None
        return denied(ErrorCode.DENIED.value, "the lists keep this user out", status=403)

    async def before_ice(self, admission: Admission, address: str) -> IcePolicy | Refusal:
        """`before_ice`, and how often somebody may ask (CR-4)."""
        asked = IceRequest(identity=admission.identity, labels=admission.labels, ip=address)
        return await self._control.before_ice(asked, admission.ice)

    def _asked(self, request: Request) -> ConnectRequest:
        """Made once for each request."""
        known: ConnectRequest | None = getattr(request.state, "connect_request", None)
        if known is None:
            known = self._control.request(
                peer=request.client.host if request.client is not None else "0.0.0.0",
                raw_headers=request.headers.raw,
                query=request.scope["query_string"],
                path=request.scope["path"],
                transport=request.url.scheme,
                tls=tls_facts_of(request.scope),
            )
            # What a query says besides is an endpoint's business, and few of them take a ticket.
            if not getattr(request.state, "takes_ticket", False):
                known = replace(known, ticket=None)
            request.state.connect_request = known
        return known
