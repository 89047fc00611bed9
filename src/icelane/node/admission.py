"""Admission as the configuration has it: `[auth]`, `[hooks]`, `[limits]`, and `[server]`'s part in it.

admission = ConfiguredAdmission(config, lists, entropy=SystemEntropy(), node="fra-1")
admission.control                       # for signaling and its HTTP surface
commit = admission.prepare(other)       # all of it, or nothing
commit()
await admission.close()

`[lists]` are the relay's as well, and watched there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from icelane.aio.named_function import load_function
from icelane.core.entropy import Entropy
from icelane.core.origin import parse_origin
from icelane.crypto.provider import SystemEntropy
from icelane.errors import ConfigurationError
from icelane.server.access import access_sources
from icelane.server.config import Config, JwtSettings
from icelane.server.config.sources import read_file
from icelane.server.config.validation import failures_of, refuse
from icelane.server.config.values import HookNames
from icelane.server.public_url import public_url
from icelane.signaling.admission.control import AdmissionControl, AdmissionHooks, AdmissionSettings
from icelane.signaling.admission.hook import Hook, chained
from icelane.signaling.admission.http_fetch import HttpFetcher
from icelane.signaling.admission.join_token import TokenSigner
from icelane.signaling.admission.json_web_token import TrustedIssuer
from icelane.signaling.admission.rate import Rate, RateSettings
from icelane.signaling.admission.request import ConnectRequest
from icelane.signaling.admission.webhook import Webhook
from icelane.signaling.limits import SignalingLimits
from icelane.turn.access_list import AccessLists

E = TypeVar("E")

# How much may come at once, in seconds of the rate.
_BURST: Final = 4
_CONNECT_BURST: Final = 5
_JOIN_BURST: Final = 16


class ConfiguredAdmission:
    """What a configuration says about who may enter, at work. Raises ConfigurationError for one that cannot work."""

    def __init__(
        self,
        config: Config,
        lists: AccessLists,
        *,
        entropy: Entropy,
        node: str = "",
        before_connect: Hook[ConnectRequest] | None = None,
    ) -> None:
        """`before_connect` is asked before those of `[hooks]`."""
        self._node = node
        self._before_connect = before_connect
        self._fetcher = HttpFetcher()
        self.settings = self._settings(config)
        self.signer = token_signer(config)
        self.control = AdmissionControl(self.settings, entropy=entropy, lists=lists, fetch=self._fetcher.get)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Make all that another configuration needs; what is returned makes it count, and cannot fail.

        Raises ConfigurationError that names all that is wrong.
        """
        made: list[tuple[AdmissionSettings, Callable[[], None]]] = []
        signers: list[TokenSigner | None] = []
        refuse(
            failures_of(
                lambda: made.append(self._prepared(config)),
                lambda: signers.append(token_signer(config)),
            )
        )
        (settings, commit_rules), (signer,) = made[0], signers

        def commit() -> None:
            commit_rules()
            self.settings, self.signer = settings, signer

        return commit

    def _prepared(self, config: Config) -> tuple[AdmissionSettings, Callable[[], None]]:
        settings = self._settings(config)
        return settings, self.control.prepare(settings)

    async def close(self) -> None:
        """Deliver what programs are to be told, and close connections to them."""
        await self.control.close()
        await self._fetcher.close()

    def _settings(self, config: Config) -> AdmissionSettings:
        settings = admission_settings(config, self._fetcher, self._node)
        ours = self._before_connect
        if ours is None:
            return settings
        theirs = settings.hooks.before_connect
        both = ours if theirs is None else chained((ours, theirs))
        return replace(settings, hooks=replace(settings.hooks, before_connect=both))


def admission_settings(config: Config, fetcher: HttpFetcher, node: str = "") -> AdmissionSettings:
    """Everything else. Raises ConfigurationError, also for a file that cannot be read and a module that does not import
    as it should."""
    server, auth = config.server, config.auth
    own = public_url(config)
    return AdmissionSettings(
        issuers=trusted_issuers(config),
        api_keys={name: key.get_secret_value() for name, key in auth.api_keys.items()},
        cookies=frozenset(() if auth.cookie is None else (auth.cookie,)),
        query_tokens=auth.dangerously_accept_tokens_in_urls,
        allowed_origins=tuple(dict.fromkeys((*server.allowed_origins, *([] if own is None else [parse_origin(own)])))),
        trusted_proxies=server.trusted_proxies,
        hooks=_hooks(config, fetcher),
        rates=rate_settings(config),
        node=node,
    )


def trusted_issuers(config: Config) -> tuple[TrustedIssuer, ...]:
    """`[[auth.jwt]]`. Raises ConfigurationError for a file that cannot be read."""
    return tuple(_trusted(entry, index) for index, entry in enumerate(config.auth.jwt))


def rate_settings(config: Config) -> RateSettings:
    """The part of `[limits]` that is about more than one connection."""
    limits = config.limits
    return RateSettings(
        connects_per_address=Rate.per_minute(limits.connects_per_minute_per_address),
        connects=_rate(limits.connects_per_second, _CONNECT_BURST),
        admissions_per_identity=Rate.per_minute(limits.connects_per_minute_per_identity),
        credentials_per_identity=Rate.per_minute(limits.credentials_per_minute_per_identity),
        messages_per_room=_rate(limits.messages_per_second_per_room, _BURST),
        messages_per_identity={
            "join": _rate(limits.joins_per_second, _JOIN_BURST),
            "update": _rate(limits.joins_per_second, _JOIN_BURST),
            "signal": _rate(limits.messages_per_second, _BURST),
            "message": _rate(limits.messages_per_second, _BURST),
        },
        connections_per_address=limits.connections_per_address,
        connections=limits.connections_total,
    )


def signaling_limits(config: Config) -> SignalingLimits:
    """The part of `[limits]` that is about one connection or one room."""
    limits = config.limits
    defaults = SignalingLimits()
    rate = limits.messages_per_second
    return SignalingLimits(
        # Nobody reads from a connection without end: 0 is the fastest that a default may have become.
        frames_per_second=float(rate) if rate else defaults.frames_per_second * 100,
        frame_burst=rate * _BURST if rate else defaults.frame_burst * 100,
        peers_per_room=limits.peers_per_room,
        rooms_per_session=limits.rooms_per_session,
        sessions_per_identity=limits.sessions_per_identity,
        sessions=limits.connections_total,
    )


def token_signer(config: Config, issuer: str | None = None) -> TokenSigner | None:
    """What our own tokens are signed with: the first of `[[auth.jwt]]`, or of an issuer's, that can.

    Raises ConfigurationError.
    """
    for index, entry in enumerate(config.auth.jwt):
        if issuer not in (None, entry.issuer):
            continue
        key = entry.secret.get_secret_value() if entry.secret is not None else None
        if entry.private_key is not None:
            key = _pem(entry.private_key, f"auth.jwt[{index}].private_key")
        if key is not None:
            return TokenSigner(
                issuer=entry.issuer, algorithm=entry.algorithm, key=key, kid=entry.kid, audience=entry.audience
            )
    return None


def _trusted(entry: JwtSettings, index: int) -> TrustedIssuer:
    where = f"auth.jwt[{index}]"
    return TrustedIssuer(
        issuer=entry.issuer,
        algorithm=entry.algorithm,
        secret=None if entry.secret is None else entry.secret.get_secret_value(),
        public_key=None if entry.public_key is None else _pem(entry.public_key, f"{where}.public_key"),
        jwks_url=entry.jwks_url,
        kid=entry.kid,
        audience=entry.audience,
        where=where,
    )


def _pem(file: Path, key: str) -> str:
    try:
        return read_file(file)
    except ConfigurationError as error:
        raise ConfigurationError(error.message, key=key, file=str(file)) from None


def _rate(per_second: int, burst: int) -> Rate:
    return Rate(per_second=per_second, burst=max(1, per_second * burst))


def _hooks(config: Config, fetcher: HttpFetcher) -> AdmissionHooks:
    hooks = config.hooks
    secret = None if hooks.secret is None else hooks.secret.get_secret_value()

    def made(event: str, names: HookNames, answers: bool = True) -> Hook[Any] | None:
        found: list[Hook[Any]] = [
            Webhook(event, name, fetcher.post, secret=secret, headers=hooks.headers, answers=answers)
            if "://" in name
            else load_function(name, f"hooks.{event}")
            for name in names
        ]
        if not found:
            return None
        return chained(tuple(found)) if answers else _each(found)

    return AdmissionHooks(
        before_connect=made("before_connect", hooks.before_connect),
        before_join=made("before_join", hooks.before_join),
        before_message=made("before_message", hooks.before_message),
        before_ice=made("before_ice", hooks.before_ice),
        on_connected=made("on_connected", hooks.on_connected, answers=False),
        on_left=made("on_left", hooks.on_left, answers=False),
        cache_time=hooks.cache,
    )


def _each(hooks: Sequence[Hook[E]]) -> Hook[E]:
    """Tell all of them, whatever they say."""
    if len(hooks) == 1:
        return hooks[0]

    async def tell(event: E) -> object:
        for hook in hooks:
            await hook(event)
        return None

    return tell


def unusable(config: Config) -> list[ConfigurationError]:
    """What is wrong with all that `[auth]`, `[hooks]` and `[lists]` name outside of the configuration."""
    fetcher = HttpFetcher()
    return failures_of(
        lambda: AdmissionControl(admission_settings(config, fetcher), entropy=SystemEntropy(), fetch=fetcher.get),
        lambda: access_sources(config).load(),
        lambda: token_signer(config),
    )
