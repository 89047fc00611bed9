# Nothing needs a type: what the compiled form gains is that it is not interpreted.
