"""Where bytes meet asyncio: sockets, drivers of engines, and the awaitable clients.

Works on asyncio's own loop and on uvloop. Below this package nothing knows that a socket or a coroutine exists.
"""
