# Every target works on a fresh machine that has python3 (3.11 or newer): it makes .venv first when that is missing or
# old. A C compiler and the Debian packages of .ci/packages are used where they are; no target installs them.

PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
COMPAT := .venv-compat
COMPAT_STAMP := $(COMPAT)/.installed
BUILD := .venv-build
BUILD_STAMP := $(BUILD)/.installed
PYTEST := $(PYTHON) -m pytest --durations=20

# How long each fuzz target runs in `make test` and `make test-long`, and how much of a flood `make test` sends.
FUZZ_SECONDS ?= 3
LONG_FUZZ_SECONDS ?= 300
FLOOD_SCALE ?= 0.1

# How long `make test-long` kills worker processes under load; ten minutes are 600.
LOAD_SECONDS ?= 60

# How often `make matrix` calls for each pair of networks.
MATRIX_RUNS ?= 3

# What `make test-wheel` gives to pytest.
WHEEL_TESTS ?= tests

# What the compiled form is built from: a compiled module that is older than its source would hide it.
BUILD_INPUTS := pyproject.toml setup.py build_ext.py $(wildcard src/icelane/*/*.pyx) \
	$(wildcard src/icelane/*/*.pxd) $(patsubst %.pxd,%.py,$(wildcard src/icelane/*/*.pxd)) \
	$(wildcard src/icelane/server/batched/*.pyx) $(filter-out %/core.c,$(wildcard src/icelane/server/batched/*.[ch]))

.DEFAULT_GOAL := help
.PHONY: help demo test test-pure-twins test-interop test-offline test-long lint format fuzz bench matrix broken \
	wheels test-wheel docs docs-check audit clean

help:
	@echo "make demo          start the server and relay real traffic through every path"
	@echo "make test          lint, the suite, the pure twins, $(FUZZ_SECONDS) s per fuzz target: about 14 minutes on two processors"
	@echo "make test-interop  against real programs: coturn's tools and server, Chromium, Firefox, Python peers"
	@echo "make test-offline  the suite in a network namespace without a route out (Debian package iproute2)"
	@echo "make test-long     full floods, half an hour of loss with real peers, libraries for aiortc, long fuzzing, pure Python, -O, the wheel, make broken"
	@echo "make lint          ruff, mypy --strict, the layers"
	@echo "make format        let ruff rewrite the sources"
	@echo "make fuzz          FUZZ_SECONDS=$(FUZZ_SECONDS) for each target"
	@echo "make bench         beside Debian's coturn, other data channels and other calls"
	@echo "make matrix        which path every pair of networks takes, by real calls: needs root"
	@echo "make broken        each security check, against a product that is broken on purpose"
	@echo "make wheels        an sdist, and from it a manylinux wheel with everything compiled, in dist: needs a C compiler"
	@echo "make test-wheel    the demo and WHEEL_TESTS=$(WHEEL_TESTS) from that wheel, where there is no compiler"
	@echo "make audit         known vulnerabilities of what is installed, where their list can be reached"
	@echo "make docs          the pages as a site, in build/docs; every dead link and every warning fails it"
	@echo "make docs-check    links, targets, commands and examples of the documentation"

$(STAMP): $(BUILD_INPUTS)
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "icelane needs Python 3.11 or newer; name one: make PYTHON3=python3.12" >&2; exit 1; }
	test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --upgrade "pip>=25.1"
	env -u ICELANE_PURE $(PYTHON) -m pip install --quiet --editable ".[server]" --group test --group lint
	touch $@

# Other people's peers, apart from what we install: their pins are not ours.
$(PEERS_STAMP): tests/interop/peers/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON3) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Libraries that were written for aiortc, which run on icelane in the tests: without aiortc, and without what they need
# for other things than calls. 1.2 GB.
$(COMPAT_STAMP): tests/interop/compat/requirements.txt
	test -x $(COMPAT)/bin/python || $(PYTHON3) -m venv $(COMPAT)
	$(COMPAT)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	touch $@

# What builds and repairs wheels, apart from what we install. setuptools and Cython come anew for each build.
$(BUILD_STAMP): pyproject.toml
	test -x $(BUILD)/bin/python || $(PYTHON3) -m venv $(BUILD)
	$(BUILD)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BUILD)/bin/python -m pip install --quiet --group build
	touch $@

demo: $(STAMP)
	$(PYTHON) -m demo

lint: $(STAMP)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports

format: $(STAMP)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# Twice as many processes as processors: while one test waits, another one runs. The tests against real programs run
# one by one: they have browsers and ports to themselves.
test: lint
	env -u ICELANE_PURE FLOOD_SCALE=$(FLOOD_SCALE) $(PYTEST) --numprocesses=$$(($$(nproc) * 2)) -m "not interop and not long"
	$(MAKE) test-pure-twins
	$(MAKE) fuzz

test-pure-twins: $(STAMP)
	ICELANE_PURE=1 $(PYTHON) -m pytest -m "twin and not interop and not long"

# Two at a time: a browser's start leaves a processor much to wait for. Once more in the pure form, but for what the
# form makes no difference to.
test-interop: $(STAMP) $(PEERS_STAMP)
	env -u ICELANE_PURE $(PYTEST) --numprocesses=2 -m "interop and not long"
	ICELANE_PURE=1 $(PYTEST) --numprocesses=2 -m "interop and not long and not once"

# Loopback and nothing else: the suite needs no network. Inside, tests may make namespaces of their own.
test-offline: $(STAMP)
	env -u ICELANE_PURE FLOOD_SCALE=$(FLOOD_SCALE) unshare --net $$(test "$$(id -u)" = 0 || echo --map-root-user) \
		sh -c 'ip link set lo up && exec "$$@"' sh $(PYTEST) -m "not interop and not long"

test-long: $(STAMP) $(PEERS_STAMP) $(COMPAT_STAMP)
	env -u ICELANE_PURE FLOOD_SCALE=1 LOAD_SECONDS=$(LOAD_SECONDS) $(PYTEST) -m "long and not interop"
	env -u ICELANE_PURE $(PYTEST) -m "long and interop"
	ICELANE_PURE=1 FLOOD_SCALE=1 $(PYTEST) -m "not interop"
	env -u ICELANE_PURE FLOOD_SCALE=$(FLOOD_SCALE) $(PYTHON) -O -m pytest \
		-W ignore::pytest.PytestConfigWarning -m "not interop and not long"
	$(MAKE) test-offline
	$(MAKE) test-wheel
	$(MAKE) broken
	$(MAKE) fuzz FUZZ_SECONDS=$(LONG_FUZZ_SECONDS)
	@! $(PYTHON) -c "import atheris" 2>/dev/null || $(PYTHON) -m fuzz --atheris --seconds $(LONG_FUZZ_SECONDS)

fuzz: $(STAMP)
	env -u ICELANE_PURE $(PYTHON) -m fuzz --seconds $(FUZZ_SECONDS)

bench: $(STAMP) $(PEERS_STAMP)
	$(PYTHON) -m benches.codec
	$(PYTHON) -m benches.dtls
	$(PYTHON) -m benches.srtp
	$(PYTHON) -m benches.datachannel
	$(PYTHON) -m benches.media
	$(PYTHON) -m benches.signaling
	$(PYTHON) -m benches.allocate
	$(PYTHON) -m benches.relay
	$(PYTHON) -m benches.workers

# Needs root and the Debian packages of the lab. It writes docs/explanation/networks.md.
matrix: $(STAMP)
	$(PYTHON) -m tests.lab.matrix --runs $(MATRIX_RUNS) --write

broken: $(STAMP)
	$(PYTHON) -m tests.broken

# `cc -shared` and no more: a Python that was built in a place of its own links the path to that place into everything.
# auditwheel finds patchelf by PATH, says which glibc is the oldest that will do, and takes the debug symbols out.
wheels: $(BUILD_STAMP)
	rm -rf dist build/wheel
	env -u ICELANE_PURE ICELANE_REQUIRE_COMPILED=1 LDSHARED="cc -shared" \
		$(BUILD)/bin/python -m build --outdir build/wheel .
	PATH="$(CURDIR)/$(BUILD)/bin:$$PATH" auditwheel repair --strip --wheel-dir dist build/wheel/*.whl
	mv build/wheel/*.tar.gz dist
	$(BUILD)/bin/python -m tests.wheel contents

test-wheel: wheels
	FLOOD_SCALE=$(FLOOD_SCALE) $(BUILD)/bin/python -m tests.wheel room $(WHEEL_TESTS)

# A warning is an error: a link that leads nowhere, an anchor that no heading has, a page that no contents list.
docs: $(STAMP)
	test -x $(VENV)/bin/sphinx-build || $(PYTHON) -m pip install --quiet --group docs
	$(PYTHON) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -b html -c docs . build/docs
	@echo "the site is in build/docs: open build/docs/docs/index.html"

docs-check: $(STAMP)
	$(PYTHON) -m pytest tests/audit/test_docs.py tests/audit/test_reference_logs.py tests/docs

audit: $(STAMP)
	-test -x $(VENV)/bin/pip-audit || $(PYTHON) -m pip install --quiet --group audit
	$(PYTHON) -m tests.audit.vulnerabilities

clean:
	rm -rf $(VENV) $(PEERS) $(COMPAT) $(BUILD) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src -name '*.so' -delete
