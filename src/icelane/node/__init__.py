"""One daemon out of all servers: what a configuration says, at work.

program         how signaling comes to run beside the relay
signaling       it: admission, rooms, credentials, HTTP
engine          where rooms are kept, by `[engine]`
admission       `[auth]`, `[hooks]`, `[lists]`, `[limits]`
figures         of signaling, beside those of the relay
ice             which servers are handed out
room_commands   what `icelane room` and `icelane top` ask
invitation      a link that lets one in, once: what `icelane token create --open` asks
development     a node with nothing to edit: what `icelane dev` runs
"""
