"""One daemon out of all servers: what a configuration says, at work."""
