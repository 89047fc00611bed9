"""What needs a cryptographic library or the system's randomness: the only package below `aio` that may ask for them."""
