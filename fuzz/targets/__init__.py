"""What is fuzzed: one module a target, with SEEDS, `run(data)` and, where STUN's tokens do not fit, DICTIONARY."""
