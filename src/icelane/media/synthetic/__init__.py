"""Pictures and sound that are made here, and that can be recognised where they arrive: a clock, a tone, noise."""
