"""Virtual time, seeded randomness, networks without sockets: for our tests, and those of who builds on icelane."""
