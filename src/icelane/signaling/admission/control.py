"""Who may enter: the pipeline, cheap things first.

    screen    1 lists        address, country          \
              2 rates        per address, everybody     | before the upgrade, by a status of HTTP
              3 Origin                                 /
    admit     4 credential   found, and verified       \
              5 hook         function, webhook          | after accept, so that a page sees the reason
              6 lists, rates of the identity           /

    control = AdmissionControl(AdmissionSettings(...), lists=..., entropy=SystemEntropy())
    request = control.request(peer=..., raw_headers=...)
    outcome = control.screen(request) or await control.admit(request.with_hello(token), screened=True)

Whatever is not decided is a refusal.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import msgspec

from icelane.aio.system import SystemWallClock, monotonic
from icelane.core.clock import Duration, Instant, UnixSeconds, WallClock
from icelane.core.entropy import Entropy
from icelane.core.net import SocketAddress
from icelane.core.secret_header import SECRET_HEADERS
from icelane.errors import LocalProtocolError, MalformedError
from icelane.signaling.admission.answer import checked_allow
from icelane.signaling.admission.api_key import ApiKeys
from icelane.signaling.admission.credential import (
    CredentialRefusedError,
    Credentials,
    Shown,
    withholds_cookies,
)
from icelane.signaling.admission.event_document import document_of
from icelane.signaling.admission.forwarded import TrustedProxies
from icelane.signaling.admission.hook import TIMEOUT, GuardedHook, Hook, HookFailedError, Notice, refined
from icelane.signaling.admission.hook_times import HookTimes
from icelane.signaling.admission.json_web_token import TokenRefusedError, TokenVerifier, TrustedIssuer
from icelane.signaling.admission.key_set import Fetch
from icelane.signaling.admission.notice import Notices
from icelane.signaling.admission.origin import OriginPolicy, OriginVerdict
from icelane.signaling.admission.rate import Connection, Connections, RateLimits, RateSettings
from icelane.signaling.admission.refusal import (
    bad_token,
    denied,
    hook_failed,
    limited,
    refusal_of,
    unauthorized,
)
from icelane.signaling.admission.request import (
    CSRF_HEADER,
    Allow,
    Connected,
    ConnectRequest,
    Deny,
    IceRequest,
    JoinRequest,
    Left,
    MessageRequest,
    TlsFacts,
    connect_request,
)
from icelane.signaling.admission.ticket import TicketStore
from icelane.signaling.admitted import (
    DEFAULT_GRANTS,
    Admission,
    AdmissionLimits,
    IcePolicy,
    Refusal,
)
from icelane.signaling.close_code import CloseCode
from icelane.signaling.error_code import ErrorCode
from icelane.turn.access_list import AccessLists, Client
from icelane.turn.limiter import SourceLimiter

LOGGER: Final = logging.getLogger("icelane.signaling")

# Refusals of one address that are written one by one, before the rest is counted.
_REPORTS_PER_SECOND: Final = 0.1
_REPORTS_AT_ONCE: Final = 3
_REPORT_BUCKETS: Final = 4096

K = TypeVar("K")
Q = TypeVar("Q", ConnectRequest, JoinRequest, MessageRequest, IceRequest)


@dataclass(frozen=True, kw_only=True)
class AdmissionHooks:
    """The program's own say. Each is an `async def`; a question is answered with `Allow` or `Deny`."""

    before_connect: Hook[ConnectRequest] | None = None
    before_join: Hook[JoinRequest] | None = None
    before_message: Hook[MessageRequest] | None = None
    before_ice: Hook[IceRequest] | None = None
    on_connected: Hook[Connected] | None = None
    on_left: Hook[Left] | None = None
    timeout: Duration = TIMEOUT
    # So long somebody whom the hook would not let in any more may come back with the token that it let in.
    cache_time: Duration = 10.0


@dataclass(frozen=True, kw_only=True)
class AdmissionSettings:
    """Everything that admission goes by. The defaults let nobody in."""

    issuers: tuple[TrustedIssuer, ...] = ()
    api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Names of cookies that hold a join token.
    cookies: frozenset[str] = frozenset()
    # Whether ?token= counts. It is in every log that has URLs, of every proxy on the way.
    query_tokens: bool = False
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    hooks: AdmissionHooks = field(default_factory=AdmissionHooks)
    rates: RateSettings = field(default_factory=RateSettings)
    node: str = ""


class AdmissionControl:
    """Decides who may enter, and goes on deciding about who has. Raises ConfigurationError for settings of no use.

    One event loop uses it. `reload` takes other settings while it runs.
    """

    def __init__(
        self,
        settings: AdmissionSettings,
        *,
        entropy: Entropy,
        lists: AccessLists | None = None,
        fetch: Fetch | None = None,
        clock: Callable[[], Instant] = monotonic,
        wall_clock: WallClock | None = None,
    ) -> None:
        self._entropy = entropy
        self._fetch = fetch
        self._clock = clock
        self._wall_clock = wall_clock or SystemWallClock()
        self.lists = lists if lists is not None else AccessLists()
        self._tickets = TicketStore(entropy)
        self._reports = SourceLimiter(entropy, _REPORTS_PER_SECOND, _REPORTS_AT_ONCE, _REPORT_BUCKETS)
        self.hook_times = HookTimes()
        """How long hooks have taken, whatever was reloaded since."""
        self._rules = _Rules(settings, self)
        self._retired: list[_Rules] = []
        self.connections = Connections(settings.rates.connections_per_address, settings.rates.connections)

    def __repr__(self) -> str:
        return "AdmissionControl()"

    def request(
        self,
        *,
        peer: str,
        raw_headers: Iterable[tuple[bytes, bytes]],
        query: bytes = b"",
        path: str = "/",
        transport: str = "websocket",
        tls: TlsFacts | None = None,
    ) -> ConnectRequest:
        """What came in. Raises MalformedError for a request that is to be answered with 400."""
        rules = self._rules
        return connect_request(
            peer=peer,
            raw_headers=raw_headers,
            query=query,
            path=path,
            transport=transport,
            tls=tls,
            node=rules.settings.node,
            proxies=rules.proxies,
        )

    def screen(self, request: ConnectRequest) -> Refusal | None:
        """Why a request is refused before anything is asked or read of it; None when it may go on."""
        now, rules = self._clock(), self._rules
        listed = self.lists.refuses_address(request.ip)
        if listed is not None:
            return self._refuse(request, listed, denied(ErrorCode.DENIED.value, status=403))
        # A program of the operator asks for all of its users from one address.
        wait = None if rules.credentials.backend_of(request) is not None else rules.limits.connect(request.ip, now)
        if wait is not None:
            return self._refuse(request, "rate-limited", limited("rate_limited", wait, status=429))
        if rules.origins.judge(request.headers) is OriginVerdict.FOREIGN:
            return self._refuse(request, "foreign-origin", denied("origin_not_allowed", status=403))
        return None

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of this origin may connect."""
        return origin in self._rules.origins.allowed

    async def admit(self, request: ConnectRequest, *, screened: bool = False) -> Admission | Refusal:
        """Who it is and what he may do. `screened` says that `screen` has been asked about this very request."""
        refusal = None if screened else self.screen(request)
        if refusal is not None:
            return refusal
        rules = self._rules
        verdict = rules.origins.judge(request.headers)
        if verdict is OriginVerdict.FOREIGN:
            return self._refuse(request, "foreign-origin", denied("origin_not_allowed", status=403))
        try:
            shown = await rules.credentials.examine(request, verdict, self._unix_time(), self._clock())
        except TokenRefusedError as error:
            return self._refuse_guess(request, error.fault.value, bad_token(error.fault))
        except CredentialRefusedError as error:
            return self._refuse_guess(request, error.reason, _explained(error.reason))
        return await self._decide(request, verdict, shown)

    def issue_ticket(self, admission: Admission) -> str | None:
        """A one-time ticket that admits as this admission does; None while too many are out."""
        allow = Allow(
            identity=admission.identity,
            name=admission.name,
            rooms=admission.rooms,
            grants=admission.grants,
            meta=admission.meta,
            labels=admission.labels,
            limits=admission.limits,
            expires_at=admission.expires_at,
            ice=admission.ice,
        )
        return self._tickets.issue(allow, self._clock())

    def invite(self, allow: Allow) -> str | None:
        """A one-time ticket for who was not here yet, which admits as `allow` says; None while too many are out.

        Raises LocalProtocolError for an `allow` that could not be the answer of a hook either.
        """
        try:
            checked = checked_allow(allow)
        except MalformedError as error:
            raise LocalProtocolError(str(error)) from None
        return self._tickets.issue(checked, self._clock())

    def open_connection(self, request: ConnectRequest) -> Connection | Refusal:
        """A place among the connections, to be closed with the connection; or too many are there."""
        place = self.connections.open(request.ip)
        if place is not None:
            return place
        return self._refuse(request, "too-many-connections", limited("too_many_connections", 5.0, status=429))

    async def before_join(self, event: JoinRequest) -> Refusal | None:
        """Why somebody may not join; None when nobody says no."""
        return await self._ask(self._rules.before_join, event, event.ip)

    async def before_message(self, event: MessageRequest, ip: str) -> Refusal | None:
        """Why a frame is not passed on; None when nobody says no."""
        return await self._ask(self._rules.before_message, event, ip)

    async def before_ice(self, event: IceRequest, policy: IcePolicy) -> IcePolicy | Refusal:
        """The policy that credentials are made by: `policy`, unless the hook puts another in its place."""
        hook = self._rules.before_ice
        wait = self._rules.limits.credentials(event.identity, self._clock())
        if wait is not None:
            return limited("rate_limited", wait)
        if hook is None:
            return policy
        try:
            answer = await hook.ask(event, ip=event.ip)
        except HookFailedError:
            return hook_failed()
        if isinstance(answer, Deny):
            return refusal_of(answer)
        return policy if answer.ice is None else answer.ice

    @property
    def asks_about_joins(self) -> bool:
        """Whether there is a `before_join`; without one, a question would cost a task."""
        return self._rules.before_join is not None

    @property
    def asks_about_messages(self) -> bool:
        """Whether there is a `before_message`."""
        return self._rules.before_message is not None

    @property
    def asks_about_ice(self) -> bool:
        """Whether there is a `before_ice`."""
        return self._rules.before_ice is not None

    def message_wait(self, identity: str, room: str, kind: str) -> Duration | None:
        """The seconds after which somebody may send a frame of this kind (`join`, `update`, `signal` or `message`).

        None: now.
        """
        return self._rules.limits.message(identity, room, kind, self._clock())

    def tell(self, notice: Notice) -> None:
        """Queue `on_connected` or `on_left`."""
        self._rules.notices.tell(notice)

    def refused_now(self, clients: Iterable[Client[K]]) -> Iterator[tuple[K, Refusal]]:
        """Those who are connected and whom the lists keep out by now; close them. To be asked every two seconds."""
        for key, reason in self.lists.refused_now(clients):
            LOGGER.info("signaling.ended", extra={"reason": reason})
            yield key, denied(ErrorCode.DENIED.value)

    def reload(self, settings: AdmissionSettings) -> None:
        """Other settings from now on; what runs by the old ones ends by them. Raises ConfigurationError, and then the
        old ones count."""
        self.prepare(settings)()

    def prepare(self, settings: AdmissionSettings) -> Callable[[], None]:
        """Make all that other settings need; what is returned makes them count, and cannot fail (OP-12).

        Raises ConfigurationError.
        """
        rules = _Rules(settings, self)

        def commit() -> None:
            if settings.rates == self._rules.settings.rates:
                rules.limits = self._rules.limits
            # Calls of hooks end by themselves within a second, so that few are kept however often one reloads.
            self._retired = [one for one in (*self._retired, self._rules) if one.busy]
            self._rules = rules
            self.connections.resize(settings.rates.connections_per_address, settings.rates.connections)

        return commit

    async def close(self) -> None:
        """Deliver notices for a moment, and cancel what runs."""
        for rules in (*self._retired, self._rules):
            await rules.close()
        self._retired.clear()

    def verifier(self, settings: AdmissionSettings) -> TokenVerifier:
        """The tokens of `settings`, fetched by what this was given."""
        return TokenVerifier(settings.issuers, self._fetch, clock=self._clock)

    @property
    def entropy(self) -> Entropy:
        """The source of randomness."""
        return self._entropy

    @property
    def clock(self) -> Callable[[], Instant]:
        """What is asked for the time."""
        return self._clock

    @property
    def tickets(self) -> TicketStore:
        """Those that are out."""
        return self._tickets

    async def _decide(self, request: ConnectRequest, verdict: OriginVerdict, shown: Shown) -> Admission | Refusal:
        allow, hook = shown.allow, self._rules.before_connect
        if allow is not None and allow.identity is not None:
            # Before the hook is bothered with somebody who is on a list; whoever it makes of him is looked at again.
            refusal = self._refuses_identity(request, allow.identity)
            if refusal is not None:
                return refusal
        if hook is not None and not shown.final:
            seen = _as_hooks_see(request, verdict, shown)
            try:
                answer = await hook.ask(seen, ip=request.ip, cache_key=_cache_key(seen))
                if isinstance(answer, Allow):
                    allow = answer if allow is None else refined(allow, answer)
            except HookFailedError as error:
                return self._refuse(request, f"hook-{error.reason}", hook_failed())
            if isinstance(answer, Deny):
                return self._refuse(request, f"hook-{answer.code}", refusal_of(answer))
        if allow is None:
            reason = "no-credential" if shown.token is None else "unknown-token"
            return self._refuse_guess(request, reason, unauthorized())
        return self._admission(request, allow, shown.api_key)

    def _admission(self, request: ConnectRequest, allow: Allow, api_key: str | None) -> Admission | Refusal:
        if allow.identity is None:
            return self._refuse(request, "no-identity", unauthorized())
        refusal = self._refuses_identity(request, allow.identity)
        if refusal is not None:
            return refusal
        if allow.expires_at is not None and allow.expires_at <= self._unix_time():
            return self._refuse(
                request, "expired", Refusal(code=CloseCode.TOKEN_EXPIRED, error="token_expired", reason="it is over")
            )
        wait = self._rules.limits.admit(allow.identity, self._clock()) if api_key is None else None
        if wait is not None:
            return self._refuse(request, "identity-rate-limited", limited("rate_limited", wait))
        return Admission(
            identity=allow.identity,
            name=allow.name,
            rooms=allow.rooms or (),
            grants=allow.grants if allow.grants is not None else DEFAULT_GRANTS,
            meta=allow.meta or {},
            labels=allow.labels or {},
            limits=allow.limits or AdmissionLimits(),
            expires_at=allow.expires_at,
            ice=allow.ice or IcePolicy(),
            api_key=api_key,
        )

    def _refuses_identity(self, request: ConnectRequest, identity: str) -> Refusal | None:
        listed = self.lists.refuses_identity(identity)
        return None if listed is None else self._refuse(request, listed, denied(ErrorCode.DENIED.value))

    async def _ask(self, hook: GuardedHook[Q] | None, event: Q, ip: str) -> Refusal | None:
        if hook is None:
            return None
        try:
            answer = await hook.ask(event, ip=ip)
        except HookFailedError:
            return hook_failed()
        return refusal_of(answer) if isinstance(answer, Deny) else None

    def _refuse_guess(self, request: ConnectRequest, reason: str, refusal: Refusal) -> Refusal:
        """Refuse somebody who may be guessing: it is counted against his address."""
        if refusal.code is CloseCode.TOKEN_EXPIRED:
            self._rules.limits.refused(request.ip, self._clock())
        return self._refuse(request, reason, refusal)

    def _refuse(self, request: ConnectRequest, reason: str, refusal: Refusal) -> Refusal:
        allowance = self._reports.allow(request.ip, self._clock())
        if allowance.allowed or allowance.report:
            fields: dict[str, object] = {
                "code": int(refusal.code),
                "status": refusal.http_status,
                "reason": reason,
                "client": SocketAddress(request.ip, 0),
                "transport": request.transport,
            }
            if allowance.refused:
                fields["repeats"] = allowance.refused
            LOGGER.warning("signaling.refused", extra=fields)
        return refusal

    def _unix_time(self) -> UnixSeconds:
        return self._wall_clock.unix_time(self._clock())


class _Rules:
    """What one configuration means, complete."""

    def __init__(self, settings: AdmissionSettings, control: AdmissionControl) -> None:
        self.settings = settings
        self.proxies = TrustedProxies(settings.trusted_proxies)
        self.origins = OriginPolicy(settings.allowed_origins)
        self.credentials = Credentials(
            tokens=control.verifier(settings),
            api_keys=ApiKeys(settings.api_keys),
            tickets=control.tickets,
            cookies=settings.cookies,
            query_tokens=settings.query_tokens,
        )
        self.limits = RateLimits(settings.rates, control.entropy)
        hooks, clock, times = settings.hooks, control.clock, control.hook_times
        self.before_connect = _guarded("before_connect", hooks.before_connect, hooks, clock, times, hooks.cache_time)
        self.before_join = _guarded("before_join", hooks.before_join, hooks, clock, times)
        self.before_message = _guarded("before_message", hooks.before_message, hooks, clock, times)
        self.before_ice = _guarded("before_ice", hooks.before_ice, hooks, clock, times)
        told: dict[type[Notice], Hook[Notice]] = {}
        if hooks.on_connected is not None:
            told[Connected] = hooks.on_connected  # type: ignore[assignment]  # chosen by the type of the notice
        if hooks.on_left is not None:
            told[Left] = hooks.on_left  # type: ignore[assignment]
        self.notices = Notices(told, hooks.timeout, clock, times)

    @property
    def busy(self) -> bool:
        """Whether something still runs by these."""
        return len(self.notices) > 0 or any(len(hook) > 0 for hook in self._hooks)

    async def close(self) -> None:
        await self.notices.close()
        for hook in self._hooks:
            await hook.close()
        await self.credentials.tokens.close()

    @property
    def _hooks(self) -> Iterator[GuardedHook[Any]]:
        hooks = (self.before_connect, self.before_join, self.before_message, self.before_ice)
        return (hook for hook in hooks if hook is not None)


def _guarded(
    name: str,
    call: Hook[Q] | None,
    hooks: AdmissionHooks,
    clock: Callable[[], Instant],
    times: HookTimes,
    cache_time: Duration = 0.0,
) -> GuardedHook[Q] | None:
    if call is None:
        return None
    return GuardedHook(name, call, timeout=hooks.timeout, cache_time=cache_time, clock=clock, times=times)


def _explained(reason: str) -> Refusal:
    if reason == "token-in-query":
        return denied("token_in_query", "a token in the URL is refused: use a ticket")
    return unauthorized()


def _as_hooks_see(request: ConnectRequest, verdict: OriginVerdict, shown: Shown) -> ConnectRequest:
    """A request with the token that counted, and without cookies that do not."""
    withheld = withholds_cookies(request, verdict)
    return replace(
        request,
        token=shown.token,
        claims=shown.claims,
        cookies={} if withheld else request.cookies,
        # The token and the cookies are here where they count, and nowhere else.
        headers=request.headers.without(*SECRET_HEADERS),
        subprotocols=(),
        hello_token=None,
        ticket=None,
        query_token=None,
    )


def _cache_key(request: ConnectRequest) -> bytes | None:
    """A digest of everything that tells two questions apart; None without a token, by which answers are remembered."""
    if request.token is None:
        return None
    document = document_of(request, ("user-agent", "accept-language", "origin", "referer", CSRF_HEADER))
    try:
        return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).digest()
    except (TypeError, ValueError):
        return None
