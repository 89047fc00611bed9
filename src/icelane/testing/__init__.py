"""Virtual time, seeded randomness and networks without sockets, for the tests of icelane and of those who build on it."""
