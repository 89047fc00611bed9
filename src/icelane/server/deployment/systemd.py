"""A unit for systemd: a user of its own that exists while the server runs, and as little of the machine as it needs."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from icelane.core.clock import Duration

FILE_NAME: Final = "icelane.service"

GROUP: Final = "icelane-config"
"""Who may read the configuration. A dynamic user owns nothing between two starts, so a group that stays has to."""

WATCHDOG: Final[Duration] = 30.0
"""Without a sign of life for so long the server is ended and started again. It gives two in this time."""

# Above turn.drain_deadline by default, 600 s. While it drains the server asks for the time that its own file says.
_STOP_TIMEOUT: Final = 660

_TEXT: Final = """\
# icelane for systemd. After a change: systemctl daemon-reload, systemd-analyze verify {file_name}
[Unit]
Description=icelane, a STUN, TURN and signaling server
After=network-online.target
Wants=network-online.target

[Service]
# It says when it serves, when it reloads and when it drains, and twice in WatchdogSec that it is alive.
Type=notify
NotifyAccess=main
WatchdogSec={watchdog}
ExecStart={program} serve -c {configuration}
ExecReload=/bin/kill -HUP $MAINPID
# Calls go on while it drains: `systemctl stop` waits for them, for turn.drain_deadline at most.
TimeoutStopSec={stop_timeout}
# The supervisor of several workers ends them itself.
KillMode=mixed
Restart=on-failure
RestartSec=1
# A wrong configuration does not become right by another start.
RestartPreventExitStatus=2 3
# Of several workers one may run out of memory; it is replaced, and the others go on.
OOMPolicy=continue

# Nobody, with nothing of its own but /var/lib/icelane and /run/icelane.
DynamicUser=yes
SupplementaryGroups={group}
ConfigurationDirectory=icelane
ConfigurationDirectoryMode=0750
StateDirectory=icelane
StateDirectoryMode=0700
RuntimeDirectory=icelane
RuntimeDirectoryMode=0700
WorkingDirectory=/var/lib/icelane
UMask=0077

# A socket for each allocation and connection.
LimitNOFILE=1048576
# Ports below 1024, such as 443, and nothing else that root may do.
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE

NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Not ProcSubset=pid: the routers around this machine are read from /proc/net, so that no client reaches them.
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# Not PrivateUsers=yes: in a user namespace CAP_NET_BIND_SERVICE says nothing about the machine's ports.

[Install]
WantedBy=multi-user.target
"""


def unit(program: PurePath, configuration: PurePath) -> str:
    """The unit that runs `program`, the `icelane` to use, with `configuration`; both are absolute.

    Raises ValueError for a path that a unit could not name.
    """
    return _TEXT.format(
        file_name=FILE_NAME,
        program=_path(program),
        configuration=_path(configuration),
        watchdog=f"{WATCHDOG:.0f}",
        stop_timeout=_STOP_TIMEOUT,
        group=GROUP,
    )


def _path(path: PurePath) -> str:
    text = path.as_posix()
    if not path.is_absolute() or not text.isprintable() or set(text) & set("\"'\\; "):
        raise ValueError(f"{text!r} cannot stand in a unit: use an absolute path without blanks and quotes")
    # A % is the beginning of a specifier, and a $ of a variable.
    return text.replace("%", "%%").replace("$", "$$")
