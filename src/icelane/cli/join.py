"""`icelane join`: a program in a room, that sends a picture and sound and records what the others send."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from icelane.cli.node_access import AuthorityOption, NodeOptions, ServerOption, TokenOption
from icelane.cli.output import CommandError, ConfigFile, ExitCode, JsonFlag, Problem, speaking, usage
from icelane.cli.proxy import ProxyOption, checked_proxy

EXAMPLE = "Example: `icelane join demo --server https://call.example.org --publish testsrc --record call.mp4`"


def join(
    place: Annotated[str, typer.Argument(metavar="ROOM|URL", help="A room, or the link of a call page.")],
    publish: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="testsrc, a test card with a clock and a beep; a file; a device such as /dev/video0 or alsa:default;"
            " none.",
        ),
    ] = "none",
    loop: Annotated[bool, typer.Option("--loop", help="Begin a published file again at its end.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where what comes in goes: .mp4, .mkv, .webm, or sound alone in .wav, .ogg. Of several peers each has"
            " a file, FILE and FILE-NAME.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.1, help="Leave after so long.")
    ] = None,
    server: ServerOption = None,
    token: TokenOption = None,
    authority: AuthorityOption = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="What the others are shown.")] = None,
    relay_only: Annotated[
        bool,
        typer.Option("--relay-only", help="Talk to the TURN servers alone, and show the peers no address of ours."),
    ] = False,
    interface: Annotated[
        list[str] | None,
        typer.Option("--interface", metavar="NAME", help="A network interface to use, and no others; may be repeated."),
    ] = None,
    proxy: ProxyOption = None,
    config: ConfigFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Enter a room, call everybody who is there or comes, and stay until Ctrl-C.

    A line for each peer says by which path he is reached, which codecs go to and fro, how fast, and what is lost. Files
    that are recorded have a proper end also after Ctrl-C.

    With --json each line is an event: joined, peer, connected, statistics, left; the last one is the result.
    """
    with speaking(as_json) as output:
        if importlib.util.find_spec("av") is None and (publish != "none" or record is not None):
            problem = Problem("sound and pictures need PyAV, which is not installed", "pip install 'icelane[media]'")
            raise CommandError(ExitCode.MISSING, problem)
        import asyncio

        from icelane import RTCConfiguration
        from icelane.cli.join_call import JoinOptions, join_room
        from icelane.cli.node_access import node_access
        from icelane.crypto.provider import SystemEntropy

        if record is not None:
            from icelane.cli.join_record import check_record

            check_record(record)
        options = NodeOptions(server=server, token=token, authority=authority, file=config)
        identity = name or f"bot-{SystemEntropy().token(3).hex()}"
        access = node_access(place, options, identity=identity)
        if access.room is None:
            raise usage("the link names no room", "icelane join https://HOST/r/ROOM#TOKEN, or icelane join ROOM")
        asyncio.run(
            join_room(
                output,
                access,
                JoinOptions(publish=publish, loop=loop, record=record, seconds=seconds, name=identity),
                RTCConfiguration(
                    iceTransportPolicy="relay" if relay_only else "all",
                    interfaces=interface or None,
                    http_proxy=checked_proxy(proxy),
                ),
            )
        )
