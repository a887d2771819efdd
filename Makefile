# Two commands do everything on a machine that has Python (3.11 or later) and make:
#   make demo    installs into .venv and runs the whole pipeline on a photograph and on big data
#   make test    installs into .venv and runs the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
# Processes that run the tests side by side.
JOBS ?= 2
DEMO := demo
# Of the data that `make bench` measures on; ONLY="lloyd gmm" measures what begins so.
SIZE ?= small

.PHONY: help demo test test-long test-slow test-random test-newest test-newest-short test-clusters services release chaos keep check format lint types imports bench bench-disk ratio pins clean

help:
	@echo "make demo       the whole pipeline on real input, about a minute after the install"
	@echo "make test       the tests"
	@echo "make check      format, lint, strict types, import contracts, tests: the gate"
	@echo "make test-long  the tests that take many seconds each; CI runs them too"
	@echo "make test-slow  the long variants of the tests"
	@echo "make test-random  the laws on new random data"
	@echo "make test-clusters  SSH, SLURM, Dask Gateway, Azure, Google Cloud Storage: servers on this machine"
	@echo "make test-newest  the wheel with the newest packages, on every Python from 3.11 that is found"
	@echo "make chaos      hundreds of random faults, 100 kills in one run; half an hour; SEED=n repeats one"
	@echo "make bench      emdist beside its peers and the machine's limits; SIZE=small|medium|large"
	@echo "make bench-disk  8 GB on two workers of 1 GB each"
	@echo "make ratio      the time of this tree over that of a commit: OLD=main, ONLY=\"kmeans full\""
	@echo "make pins       renew constraints.txt: the newest version of every package"
	@echo "make keep       runs, labels and models of this version, packed for later ones to read"
	@echo "make release    the sdist and the wheel of the tag at HEAD, checked: see RELEASING.md"
	@echo "make clean      remove what these commands made"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "emdist needs Python 3.11 or later; set PYTHON=python3.11, say")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(PEERS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

demo: $(READY)
	mkdir -p $(DEMO)/prefect
	PREFECT_HOME=$(CURDIR)/$(DEMO)/prefect $(BIN)/python -m benchmarks.demo $(DEMO)

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# What takes many seconds each: kills, clusters, memory, whole flows. CI runs it after the gate.
test-long: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'long and not slow'

test-slow: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow

test-random: $(READY)
	RANDOM_LAWS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'covering or not slow' $(shell grep -rl "^from hypothesis" tests)

test-newest: $(READY)
	$(BIN)/python -m tools.newest build/newest

# What CI adds to the tests: the Pythons that they do not run on.
test-newest-short: $(READY)
	$(BIN)/python -m tools.newest build/newest --short \
		--without $$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Servers of the tests that are no part of `dev`: Azurite from npm, and packages from PyPI. sshd and
# SLURM are the system's: apt-get install openssh-server munge slurmctld slurmd.
SERVICES := build/services/.ready

$(SERVICES): $(READY)
	mkdir -p build/services
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[services]'
	-npm install --silent --no-audit --no-fund --prefix build/services azurite@3
	touch $@

services: $(SERVICES)

# A test whose service is missing is skipped, and says what is missing.
test-clusters: $(SERVICES)
	$(BIN)/python -m pytest -rs -m 'not slow' tests/store/test_azure_and_google.py tests/clusters

release: $(READY)
	$(BIN)/python -m tools.artefacts build/release --release

# What this version stores, for tests/store/test_kept.py of all later ones: see RELEASING.md.
keep: $(READY)
	$(BIN)/python -m tools.keep build/keep

chaos: $(READY)
	$(BIN)/python -m tests.chaos.storm $(if $(SEED),--seed $(SEED)) --report chaos.json

check: format lint types imports test

format: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

bench: $(PEERS)
	$(BIN)/python -m benchmarks.comparison --size $(SIZE) $(if $(ONLY),--only $(ONLY))

bench-disk: $(READY)
	$(BIN)/python -m benchmarks.out_of_core --gb 8 --workers 2 --memory 1GB

# Exit code 1 if a row is slower than at OLD, as seven rounds show.
ratio: $(READY)
	$(if $(OLD),,$(error make ratio wants OLD=<branch, tag or hash to compare with>))
	$(BIN)/python -m benchmarks.ratio --old $(OLD) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY))

# In an environment of its own: pins that do not install can be renewed all the same.
pins:
	$(PYTHON) -m tools.pins build/pins

clean:
	rm -rf $(VENV) $(DEMO) runs data bench-out build chaos.json chaos.txt *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
