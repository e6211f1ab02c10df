# Every target sets up what it needs from nothing: a virtual environment of its own, from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where Python is told to keep nothing of what it compiled, each process of ours would compile all of it again.
export PYTHONDONTWRITEBYTECODE :=
# A peer whose requirements are not ours; the bench goes on without it where it cannot be had.
LIBP2P := $(VENV)/libp2p

OTHERS ?= python3.11 python3.12 python3.13 python3.14
SLICE := tests/avm/test_graph.py tests/avm/test_loader.py tests/caps/test_codec.py tests/caps/test_light.py \
	tests/sim/test_saved.py tests/sim/test_recording.py

.PHONY: demo test test-all pythons python lint bench dht-sim sim mutants crashes lock clean

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)
	@$(BIN)/python examples/demo.py
	@$(BIN)/python -m examples.demo_hosts

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-all: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --slow

# A slice of the tests under each other Python that is here: what another one breaks most easily.
pythons:
	@for one in $(OTHERS); do \
		if $$one -c "import venv" 2>/dev/null; then \
			echo "$$one: $$($$one --version)"; \
			$(MAKE) --no-print-directory PYTHON=$$one VENV=.venv-$$one python || exit 1; \
		fi; \
	done

python: $(STAMP)
	$(BIN)/python -W error -c "import avm.testing, avm.sim, avm.run.runtime, avm.run.over_udp, avm.past.rerun, avm.cli.main"
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(SLICE)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.lock
	@test -x $(LIBP2P)/bin/python || $(PYTHON) -m venv $(LIBP2P)
	$(LIBP2P)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/libp2p.lock || rm -rf $(LIBP2P)
	$(BIN)/python -m bench

dht-sim: $(STAMP)
	$(BIN)/python -m bench.dht_sim

# Whole worlds from seeds, with all that can go wrong; SEEDS=1000 HOURS=100 MESSAGES=500 for a long campaign.
sim: SEEDS ?= 100
sim: HOURS ?= 0
sim: MESSAGES ?= 500
sim: $(STAMP)
	$(BIN)/python -m tests.sim.campaign --seeds $(SEEDS) --hours $(HOURS) --messages $(MESSAGES) \
		$(if $(LEDGER),--ledger $(LEDGER))

mutants: $(STAMP)
	$(BIN)/python -m tests.mutants

crashes: $(STAMP)
	$(BIN)/python -m tests.crashes

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q pyproject.toml --extra test --extra lint --extra build --universal --python-version 3.11 --generate-hashes --no-header -o requirements/dev.lock
	$(BIN)/uv pip compile -q requirements/bench.in -c requirements/dev.lock --universal --python-version 3.11 --generate-hashes --no-header -o requirements/bench.lock
	$(BIN)/uv pip compile -q requirements/libp2p.in --universal --python-version 3.11 --generate-hashes --no-header -o requirements/libp2p.lock

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
