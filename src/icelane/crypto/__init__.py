"""What needs a cryptographic library or the system's randomness. The only package below `aio` that may ask for either."""
