"""What the configuration and the bound listeners come to for `iceServers`."""

from __future__ import annotations

from icelane.core.net import Transport
from icelane.server.companion import Relay
from icelane.server.config import Config
from icelane.server.config.values import Listener, WebListener
from icelane.server.ice_servers import advertised, turn_url
from icelane.signaling.ice_servers import IceSettings
from icelane.turn.credentials import Secret


def ice_settings(config: Config, relay: Relay | None = None) -> IceSettings:
    """The URLs of this server and the secrets that sign. Raises ConfigurationError.

    Without a secret there are STUN servers only: the password of a static user is nobody's to hand out.
    """
    listeners = advertised(as_bound(config, relay) if relay is not None else config)
    secrets = tuple(Secret(kid=one.kid, secret=one.secret.get_secret_value()) for one in config.turn.secrets)
    stun = [f"stun:{one.address}" for one in listeners if one.transport is Transport.UDP]
    turn = [turn_url(listener) for listener in listeners] if secrets else []
    return IceSettings(urls=(*stun, *turn), secrets=secrets)


def as_bound(config: Config, relay: Relay) -> Config:
    """The same with the ports that the system chose."""
    behavior = set(config.behavior_listeners)
    turn: list[Listener] = [one for one in relay.listening if one not in behavior]
    web: list[WebListener] = relay.web_listening
    if turn:
        config = config.model_copy(update={"turn": config.turn.model_copy(update={"listen": tuple(turn)})})
    if web:
        config = config.model_copy(update={"server": config.server.model_copy(update={"listen": tuple(web)})})
    return config
