"""Configuration of the server: a TOML file, the environment and flags, checked as a whole before anything starts.

    config = load_config("icelane.toml")     # raises ConfigurationError that names every wrong key
    config.turn.listen                       # (Listener(Transport.UDP, "192.0.2.1", 3478), ...)

Read `model` for the keys, `values` for the shapes, `sources` for the precedence.
"""

from __future__ import annotations

from icelane.server.config.admission import (
    AuthSettings,
    HookSettings,
    JwtSettings,
    LimitSettings,
    ListSettings,
)
from icelane.server.config.advice import Advice, advise
from icelane.server.config.load import load_config, parse_config
from icelane.server.config.model import (
    AdminSettings,
    Config,
    LogSettings,
    MetricsSettings,
    PeerSettings,
    QuotaSettings,
    SharedSecret,
    TlsSettings,
    TurnSettings,
)
from icelane.server.config.validation import InvalidConfigurationError, problems_of
from icelane.server.config.values import Listener, PortRange

__all__ = [
    "Config",
    "TurnSettings",
    "PeerSettings",
    "QuotaSettings",
    "SharedSecret",
    "TlsSettings",
    "AuthSettings",
    "JwtSettings",
    "HookSettings",
    "ListSettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "AdminSettings",
    "Listener",
    "PortRange",
    "load_config",
    "parse_config",
    "advise",
    "Advice",
    "problems_of",
    "InvalidConfigurationError",
]
