"""Compiles the hot modules where a C compiler is there, and leaves the Python source to run where it is not.

A compiled module is its ordinary `.py`, typed by the `.pxd` beside it, and behaves the same in both forms; or, where
Python cannot say it, a `.pyx` without a Python form, whose importer has something else to fall back to. In the
environment of a build:

    ICELANE_PURE=1               compile nothing
    ICELANE_REQUIRE_COMPILED=1   a module that does not compile is an error, not a warning
"""

from __future__ import annotations

import os
import pathlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read the list, and need no setuptools for that
    from setuptools import Extension

ROOT = pathlib.Path(__file__).resolve().parent

COMPILED_MODULES = (
    "icelane.aio.icmp",
    "icelane.aio.readiness",
    "icelane.aio.sockets",
    "icelane.aio.system",
    "icelane.aio.udp",
    "icelane.aio.udp_offload",
    "icelane.aio.udp_runs",
    "icelane.aio.wakeup",
    "icelane.core.clock",
    "icelane.core.engine",
    "icelane.core.net",
    "icelane.core.reader",
    "icelane.core.tracking",
    "icelane.crypto.libcrypto",
    "icelane.crypto.provider",
    "icelane.dtls.libssl",
    "icelane.media.arrival_delay",
    "icelane.media.frame_buffer",
    "icelane.media.inbound_format",
    "icelane.media.inbound_source",
    "icelane.media.inbound_stream",
    "icelane.media.inbound_video",
    "icelane.media.jitter",
    "icelane.media.key_frame_request",
    "icelane.media.missing_packets",
    "icelane.media.outbound_extension",
    "icelane.media.outbound_stream",
    "icelane.media.packet_history",
    "icelane.media.payload.packetizer",
    "icelane.media.payload.vp8",
    "icelane.media.reception",
    "icelane.media.reporter",
    "icelane.media.sender_clock",
    "icelane.media.transport_feedback",
    "icelane.media.transport_sequence",
    "icelane.peer.media_plane",
    "icelane.peer.media_transport",
    "icelane.peer.rtp_router",
    "icelane.peer.secure_transport",
    "icelane.rtp.packet",
    "icelane.rtp.sequence",
    "icelane.sctp.checksum",
    "icelane.sctp.chunks",
    "icelane.sctp.inbound",
    "icelane.sctp.outbound",
    "icelane.sctp.pacer",
    "icelane.sctp.recovery",
    "icelane.sctp.send_queue",
    "icelane.sctp.transfer",
    "icelane.sctp.tsn_ranges",
    "icelane.server.bandwidth",
    "icelane.server.batched.core",
    "icelane.server.batched.plane",
    "icelane.server.batched.reader",
    "icelane.server.listeners",
    "icelane.server.log_line",
    "icelane.server.logs",
    "icelane.server.metrics",
    "icelane.server.observation",
    "icelane.server.relay_plane",
    "icelane.server.traffic",
    "icelane.server.turn_log",
    "icelane.server.turn_server",
    "icelane.srtp.libcrypto",
    "icelane.stun.attributes",
    "icelane.stun.integrity",
    "icelane.stun.message",
    "icelane.stun.nonce",
    "icelane.turn.allocate",
    "icelane.turn.allocation",
    "icelane.turn.allocation_alarms",
    "icelane.turn.allocation_table",
    "icelane.turn.attributes",
    "icelane.turn.authentication",
    "icelane.turn.channel_data",
    "icelane.turn.credential_lookup",
    "icelane.turn.credentials",
    "icelane.turn.limiter",
    "icelane.turn.peer_policy",
    "icelane.turn.port_pool",
    "icelane.turn.quota",
    "icelane.turn.refusal",
    "icelane.turn.relay_acquisition",
    "icelane.turn.relay_ports",
    "icelane.turn.request",
    "icelane.turn.response",
    "icelane.turn.revocation",
    "icelane.turn.routes",
    "icelane.turn.server",
    "icelane.turn.tcp_relay",
    "icelane.turn.throttle",
)
"""The one list of modules with a compiled form. `benches/codec.py` shows what each gains; of those that are a `.pyx`,
`benches/dtls.py`, `benches/relay.py` and `benches/srtp.py` do; of those that an allocation goes through,
`benches/allocate.py`."""

C_SOURCES = {"icelane.server.batched.core": ("relay_core.c", "relay_routes.c", "relay_send.c", "route_table.c")}
"""What is compiled with a module, beside its source. It calls Linux, and is left out elsewhere."""

# annotation_typing is off because a parameter annotated `bytes` would refuse a bytearray in the compiled form alone;
# bounds checks and negative indices stay, because bytes from the network index these buffers.
DIRECTIVES = {
    "annotation_typing": False,
    "binding": True,
    "boundscheck": True,
    "language_level": 3,
    "wraparound": True,
}


def source_of(module: str) -> pathlib.Path:
    """The `.py` of a module, or the `.pyx` where it has no Python form, relative to the project."""
    source = pathlib.Path("src", *module.split(".")).with_suffix(".py")
    return source if (ROOT / source).exists() else source.with_suffix(".pyx")


def compiled_forms_of(module: str) -> list[pathlib.Path]:
    """What was built in place for a module, by this interpreter or another."""
    source = ROOT / source_of(module)
    return [path for suffix in ("so", "pyd") for path in source.parent.glob(f"{source.stem}.*.{suffix}")]


def remove_compiled_forms_of(module: str) -> None:
    """Take away what an earlier build left in place: it wins the import, and would hide every change since."""
    for path in compiled_forms_of(module):
        path.unlink()


def _extension(module: str) -> Extension:
    from setuptools import Extension

    source = source_of(module)
    beside = [(source.parent / name).as_posix() for name in C_SOURCES.get(module, ())]
    headers = [path.relative_to(ROOT).as_posix() for path in (ROOT / source.parent).glob("*.h")] if beside else []
    return Extension(
        module, [source.as_posix(), *beside], include_dirs=[source.parent.as_posix()] if beside else [], depends=headers
    )


def extension_modules() -> list[Extension]:
    """What setuptools is to compile: nothing when that is switched off or Cython is not here."""
    required = os.environ.get("ICELANE_REQUIRE_COMPILED") == "1"
    if os.environ.get("ICELANE_PURE") == "1":
        for module in COMPILED_MODULES:
            remove_compiled_forms_of(module)
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if required:
            raise
        print("icelane: Cython is not here, so the modules stay pure Python", file=sys.stderr)
        return []
    modules = [module for module in COMPILED_MODULES if sys.platform == "linux" or module not in C_SOURCES]
    extensions: list[Extension] = cythonize(  # type: ignore[no-untyped-call, unused-ignore]  # Cython, where it is, has no types
        [_extension(module) for module in modules],
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        quiet=True,
        nthreads=(os.cpu_count() or 1) if sys.platform == "linux" else 0,  # elsewhere processes do not begin by fork
    )
    for extension in extensions:  # cythonize makes new ones and drops this
        extension.optional = not required
    return extensions
