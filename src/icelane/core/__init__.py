"""Ground floor: time, addresses, bytes and the engine contract. Imports nothing but `errors`."""
