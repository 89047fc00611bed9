"""Fuzzing without a framework: seeded, structure-aware, and the same in the compiled and the pure form.

    python -m fuzz --seconds 5              every target
    python -m fuzz --target stun_parse --seed 7
    python -m fuzz --target stun_parse --replay fuzz/findings/stun_parse-1a2b3c4d

A target is a module of `fuzz.targets` with SEEDS and `run(data)`. Its oracle (FZ-1): nothing but MalformedError
escapes, an input takes less than 10 ms, memory stays bounded; and whatever else `run` asserts. What `run` returns, or
the refusal it ends in, is the input's behaviour: an input that behaves in a new way joins the pool. A finding is
written to `fuzz/findings/`; once it is fixed its bytes belong in `fuzz/corpus/TARGET.hex`, which every run begins with.
"""
