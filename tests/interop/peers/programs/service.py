"""The far end of `program.py`: calls come as lines of JSON on standard input, answers leave on standard output.

Standard library only: the programs run in environments of other people's making.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO


def serve(make_peer: Callable[[], Any]) -> None:
    """Answer calls of the coroutines of a peer, many at a time, until the input ends; then close it."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library that prints must not spoil an answer
    logging.basicConfig(level=os.environ.get("PEER_LOG", "WARNING"))
    asyncio.run(_serve(make_peer, answers))


async def _serve(make_peer: Callable[[], Any], answers: TextIO) -> None:
    peer = make_peer()
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: set[asyncio.Task[None]] = set()
    async for line in reader:
        task = asyncio.create_task(_answer(peer, json.loads(line), answers))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()
    await peer.close()


async def _answer(peer: Any, call: dict[str, Any], answers: TextIO) -> None:
    try:
        answer = {"result": await getattr(peer, call["method"])(**call["given"])}
    except Exception as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps({"id": call["id"], **answer}) + "\n")
