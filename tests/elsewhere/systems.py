"""Makes this process look like one on another system, as far as a Python program can see.

What only Linux has is taken out of the standard library, /proc is not there, and a socket refuses options by numbers
for which Python has no name: elsewhere they are other options. What the other kernels and their event loops do cannot
be shown here.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import re
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

# Modules that ask at import which system it is, and are no part of what is tried. They come first.
_OTHERS: Final = (
    "cryptography.x509", "dns.asyncresolver", "ifaddr", "multiprocessing.connection", "OpenSSL.SSL", "precis_i18n",
    "prometheus_client", "pydantic.main", "rich.console", "rich.progress", "starlette.applications", "structlog",
    "subprocess", "tempfile", "typer", "uvicorn", "uvloop", "zoneinfo",
)  # fmt: skip

_LINUX_ONLY: Final = {
    "socket": r"AF_(NETLINK|PACKET|ALG|VSOCK|CAN|TIPC|QIPCRTR|RDS)|NETLINK_.*|MSG_(ERRQUEUE|MORE|CONFIRM|FASTOPEN)"
    r"|TCP_(USER_TIMEOUT|CORK|QUICKACK|DEFER_ACCEPT|INFO|LINGER2|SYNCNT|WINDOW_CLAMP|CONGESTION|ULP|REPAIR.*)"
    r"|SO_(BINDTODEVICE|MARK|PRIORITY|INCOMING_CPU|DOMAIN|PROTOCOL|PASSSEC|PEERSEC|PEERCRED|PASSCRED|MEMINFO)"
    r"|IP(V6)?_(TRANSPARENT|BIND_ADDRESS_NO_PORT|MTU|MTU_DISCOVER|RECVERR|FREEBIND|PMTUDISC_.*)|UDP_.*"
    r"|SOCK_(CLOEXEC|NONBLOCK)",
    "select": r"e?poll|E?POLL.*",
    "time": r"CLOCK_(BOOTTIME|TAI)",
    "os": r"memfd_create|MFD_.*|pidfd_open|eventfd.*|EFD_.*|sched_.*|SCHED_.*|setns|unshare|CLONE_.*|pipe2|splice"
    r"|SPLICE_.*|getrandom|GRND_.*|O_(PATH|TMPFILE|DIRECT|NOATIME)|copy_file_range|posix_fadvise",
    "signal": r"pidfd_send_signal|SIG(RTMIN|RTMAX|PWR|STKFLT|POLL)|sigtimedwait|sigwaitinfo",
}
_UNIX_ONLY: Final = {
    "socket": r"AF_UNIX|SO_REUSEPORT|CMSG_.*|SCM_.*|send_fds|recv_fds|TCP_NOTSENT_LOWAT",
    "os": r"fork.*|killpg|getpgid|setsid|set_blocking|get[er]?[ug]id|set[er]?[ug]id|O_(CLOEXEC|NOFOLLOW|DIRECTORY)"
    r"|uname|sysconf.*|l?chown|fchmod|fchown|mkfifo|openpty|posix_spawn.*|wait[34]?|W[A-Z]{2,}.*",
    "signal": r"SIG(HUP|KILL|USR1|USR2|CHLD|CONT|STOP|PIPE|ALRM|QUIT|TSTP|TTIN|TTOU|WINCH|URG|IO)|pthread_.*|sigwait"
    r"|sigpending|siginterrupt|alarm|pause|.*itimer|ITIMER_.*|SIG_(UN)?BLOCK|SIG_SETMASK",
    "time": r"CLOCK_.*|clock_(gettime|getres|settime)(_ns)?|pthread_.*",
    "asyncio": r".*unix.*|.*Unix.*",
}
_UNIX_MODULES: Final = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
_UNIX_METHODS: Final = ("sendmsg", "sendmsg_afalg", "recvmsg", "recvmsg_into")

SYSTEMS: Final = ("darwin", "win32")

_NAMES_BY_LEVEL: Final = {
    socket.SOL_SOCKET: "SO_",
    socket.IPPROTO_IP: "IP_",
    socket.IPPROTO_IPV6: "IPV6_",
    socket.IPPROTO_TCP: "TCP_",
}

strayed: list[str] = []
"""What would have been done to another kernel by a number of Linux's. The program that tries something looks at it."""


def become(system: str) -> None:
    """From now on this process is on `system`, one of SYSTEMS. Before icelane is imported."""
    assert not any(name.partition(".")[0] == "icelane" for name in sys.modules), "what was imported has looked already"
    for name in _OTHERS:
        importlib.import_module(name)
    # Every system has pairs, and a loop is made with one; those of this system are of a kind that may go.
    socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)
    for lost in (_LINUX_ONLY, _UNIX_ONLY if system == "win32" else {}):
        for name, pattern in lost.items():
            _take_out(name, pattern)
    if system == "win32":
        modules: dict[str, Any] = sys.modules
        modules |= dict.fromkeys(_UNIX_MODULES)  # None: an import fails
    else:
        fcntl: Any = importlib.import_module("fcntl")
        fcntl.ioctl = lambda *_: _stray("an ioctl by number")
    _hide_kernel_files()
    _Socket.lacks_messages = system == "win32"
    socket.socket = _Socket  # type: ignore[misc]
    sys.platform = system


def run(main: Callable[[], Any], system: str) -> None:
    """Run a coroutine function on the event loop that is left on `system`."""
    loop = _LoopOfWindows if system == "win32" else asyncio.SelectorEventLoop
    with asyncio.Runner(loop_factory=lambda: loop(selectors.SelectSelector())) as runner:
        runner.run(main())


class _LoopOfWindows(asyncio.SelectorEventLoop):
    """What a loop on Windows does not have; the one that watches sockets has nothing else that counts here."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> NoReturn:
        raise NotImplementedError

    def remove_signal_handler(self, sig: int) -> NoReturn:
        raise NotImplementedError


class _Socket(socket.socket):
    """Options by name only: a number for which Python has no name is Linux's."""

    lacks_messages = False

    def __getattribute__(self, name: str) -> Any:
        if name in _UNIX_METHODS and _Socket.lacks_messages:
            raise AttributeError(name)
        return super().__getattribute__(name)

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        _must_have_name(level, option)
        super().setsockopt(level, option, *value)

    def getsockopt(self, level: int, option: int, *size: Any) -> Any:
        _must_have_name(level, option)
        return super().getsockopt(level, option, *size)

    def sendmsg(self, buffers: Any, ancillary: Any = (), *rest: Any) -> int:
        if ancillary:
            _stray("a control message")
        return super().sendmsg(buffers, ancillary, *rest)

    def recvmsg(self, *arguments: Any) -> NoReturn:
        _stray("recvmsg, for what only Linux says beside a datagram")


def _must_have_name(level: int, option: int) -> None:
    prefix = _NAMES_BY_LEVEL.get(level)
    known = {value for name, value in vars(socket).items() if prefix and name.startswith(prefix)}
    if option not in known:
        _stray(f"option {option} at level {level}")


def _stray(what: str) -> NoReturn:
    strayed.append(what)
    raise AssertionError(f"elsewhere this is something else: {what}")


def _take_out(name: str, pattern: str) -> None:
    module = importlib.import_module(name)
    for lost in [one for one in vars(module) if re.fullmatch(pattern, one)]:
        delattr(module, lost)


def _hide_kernel_files() -> None:
    """/proc and /sys are Linux's; for opening them there is a hook, for looking at them there is none."""
    hidden = re.compile(r"/(proc|sys|dev/net)(/.*)?")
    look = os.stat

    def refuse(path: object) -> None:
        if isinstance(path, str | os.PathLike) and hidden.fullmatch(str(os.fspath(path))):
            raise FileNotFoundError(2, "No such file or directory", str(path))

    def stat(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        refuse(path)
        return look(path, *rest, **options)

    os.stat = stat
    sys.addaudithook(lambda event, arguments: refuse(arguments[0]) if event == "open" else None)
