"""Signaling: who is in which room, and what they tell each other (`icelane.signal.v1`, JSON over WebSocket).

    messages      every frame, both ways; `parse_client_frame` and `encode_frame`
    close_code    why a connection ends, and whether to come back
    admitted      what admission grants, as the hub sees it
    limits        every bound, with its default

What is left out on purpose: long polling, which needs sticky sessions; and media, which does not pass here.
"""
