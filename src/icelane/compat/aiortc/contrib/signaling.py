"""Signaling for programs of two: descriptions carried by hand, by a TCP connection or by a Unix socket.

The messages are those of aiortc, one line of JSON each: one end may run icelane and the other aiortc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Final, TypeAlias

from icelane.compat.aiortc.rtcicetransport import RTCIceCandidate
from icelane.compat.aiortc.rtcsessiondescription import RTCSessionDescription
from icelane.compat.aiortc.sdp import candidate_from_sdp, candidate_to_sdp

logger = logging.getLogger(__name__)

# A line that is longer is an error: a description of many sections with many candidates has 50 kB.
MAX_LINE: Final = 1_000_000


class SignalingBye:
    """The other end is done."""


BYE: Final = SignalingBye()

SignalingObject: TypeAlias = RTCSessionDescription | RTCIceCandidate | SignalingBye


def object_from_string(message_str: str) -> SignalingObject:
    """What a line says. Raises ValueError."""
    try:
        message = json.loads(message_str)
        kind = message["type"]
        if kind in ("offer", "answer"):
            return RTCSessionDescription(sdp=str(message["sdp"]), type=kind)
        if kind == "candidate":
            candidate = candidate_from_sdp(str(message["candidate"]))
            candidate.sdpMid, candidate.sdpMLineIndex = message["id"], message["label"]
            return candidate
    except (KeyError, TypeError) as error:
        raise ValueError(f"no message of signaling: {error!r}") from None
    if kind == "bye":
        return BYE
    raise ValueError(f"no message of signaling has the type {kind!r}")


def object_to_string(obj: SignalingObject) -> str:
    """A line, without its end."""
    message: dict[str, str | int | None]
    if isinstance(obj, RTCSessionDescription):
        message = {"sdp": obj.sdp, "type": obj.type}
    elif isinstance(obj, RTCIceCandidate):
        line = f"candidate:{candidate_to_sdp(obj)}"
        message = {"candidate": line, "id": obj.sdpMid, "label": obj.sdpMLineIndex, "type": "candidate"}
    else:
        message = {"type": "bye"}
    return json.dumps(message, sort_keys=True)


class BaseSignaling(ABC):
    """A way for messages to go and come."""

    @abstractmethod
    async def connect(self) -> None:
        """Begin."""

    @abstractmethod
    async def close(self) -> None:
        """Say goodbye, and end."""

    @abstractmethod
    async def send(self, descr: SignalingObject) -> None:
        """Send a message."""

    @abstractmethod
    async def receive(self) -> SignalingObject | None:
        """The next message, None when there is none to come."""


class CopyAndPasteSignaling(BaseSignaling):
    """A person carries each line."""

    def __init__(self) -> None:
        self._read_pipe = sys.stdin
        self._read_transport: asyncio.ReadTransport | None = None
        self._reader: asyncio.StreamReader | None = None
        self._write_pipe = sys.stdout

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_LINE)
        self._read_transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._read_pipe
        )
        self._reader = reader

    async def close(self) -> None:
        if self._reader is not None and self._read_transport is not None:
            await self.send(BYE)
            self._read_transport.close()
            self._reader = None

    async def receive(self) -> SignalingObject | None:
        print("-- Please enter a message from remote party --")
        if self._reader is None:
            raise ValueError("connect comes first")
        line = await self._reader.readline()
        print()
        return object_from_string(line.decode(self._read_pipe.encoding)) if line else None

    async def send(self, descr: SignalingObject) -> None:
        print("-- Please send this message to the remote party --")
        self._write_pipe.write(object_to_string(descr) + "\n")
        self._write_pipe.flush()
        print()


class _SocketSignaling(BaseSignaling):
    """Who sends first listens, who receives first connects."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._accepted = asyncio.Event()

    @abstractmethod
    async def _listen(self) -> asyncio.Server:
        """Begin to listen."""

    @abstractmethod
    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""

    async def connect(self) -> None:
        """Nothing yet: who sends or receives first decides which end this is."""

    async def close(self) -> None:
        if self._writer is not None:
            await self.send(BYE)
            self._writer.close()
            self._reader = self._writer = None
        if self._server is not None:
            self._server.close()
            self._server = None

    async def receive(self) -> SignalingObject | None:
        reader, _ = await self._connect(listens=False)
        try:
            line = await reader.readuntil()
        except asyncio.IncompleteReadError:
            return None
        return object_from_string(line.decode())

    async def send(self, descr: SignalingObject) -> None:
        _, writer = await self._connect(listens=True)
        writer.write(object_to_string(descr).encode() + b"\n")

    async def _connect(self, *, listens: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            if listens:
                self._server = await self._listen()
                await self._accepted.wait()
            else:
                self._reader, self._writer = await self._open()
        if self._reader is None or self._writer is None:
            raise ValueError("the other end has not connected")
        return self._reader, self._writer

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            writer.close()  # there are two ends
            return
        self._reader, self._writer = reader, writer
        self._accepted.set()


class TcpSocketSignaling(_SocketSignaling):
    """A TCP connection."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._host = host
        self._port = port

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, self._host, self._port, limit=MAX_LINE)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=MAX_LINE)


class UnixSocketSignaling(_SocketSignaling):
    """A Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    async def close(self) -> None:
        listened = self._server is not None
        await super().close()
        if listened:  # before Python 3.13 asyncio leaves it there
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._accept, self._path, limit=MAX_LINE)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._path, limit=MAX_LINE)


def add_signaling_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `create_signaling` looks at."""
    methods = ["copy-and-paste", "tcp-socket", "unix-socket"]
    parser.add_argument("--signaling", "-s", choices=methods)
    parser.add_argument("--signaling-host", default="127.0.0.1", help="host of tcp-socket")
    parser.add_argument("--signaling-port", default=1234, type=int, help="port of tcp-socket")
    parser.add_argument("--signaling-path", default="aiortc.socket", help="path of unix-socket")


def create_signaling(args: argparse.Namespace) -> BaseSignaling:
    """What the command line asks for, copy-and-paste when it does not say."""
    if args.signaling == "tcp-socket":
        return TcpSocketSignaling(args.signaling_host, args.signaling_port)
    if args.signaling == "unix-socket":
        return UnixSocketSignaling(args.signaling_path)
    return CopyAndPasteSignaling()
