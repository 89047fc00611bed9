"""What diagnosis has to check of the server that a configuration describes."""

from __future__ import annotations

from icelane.core.clock import UnixSeconds
from icelane.core.net import Transport
from icelane.diagnostics.plan import Subject
from icelane.diagnostics.relay_check import Login
from icelane.diagnostics.site import parse_site
from icelane.server.config import Config
from icelane.server.credentials import issue
from icelane.server.ice_servers import advertised, turn_url
from icelane.server.public_url import public_url

_USER = "doctor"
_TTL = 600


def subject_of(
    config: Config, unix_time: UnixSeconds, *, authority: str | None = None, hostname: str | None = None
) -> Subject:
    """What clients are told, and a credential of the configuration. `hostname` stands for `turn.hostname`.

    Raises ConfigurationError when there is no way to make a credential.
    """
    if hostname is not None:
        config = config.model_copy(update={"turn": config.turn.model_copy(update={"hostname": hostname})})
    listeners = advertised(config)
    stun = [f"stun:{one.address}" for one in listeners if one.transport is Transport.UDP]
    turn = [turn_url(one) for one in listeners]
    user = None if config.turn.users and not config.turn.secrets else _USER
    issued = issue(config, user, _TTL, unix_time)
    url = public_url(config)
    return Subject(
        site=parse_site(url, authority=authority) if url is not None else None,
        urls=(*stun, *turn),
        login=Login(username=issued.username, password=issued.password),
        realm=config.turn.realm,
        relay_ports=str(config.turn.relay_ports),
        authority=authority,
    )
