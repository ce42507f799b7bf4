# Two commands are all a new machine needs: `make demo` and `make test`. Each sets everything up by itself.

PYTHON ?= python3
VENV   ?= .venv
# torch stands outside the hash lock: pip takes one already in the environment or a local build it knows of
# (PIP_FIND_LINKS), else the index's. TORCH=path/to/torch.whl installs a file of your own.
TORCH  ?= torch>=2.10,<2.14
LOCK   := requirements/lock.txt
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check format lint types layers lock clean

help:
	@echo "make demo     train the shipped model on the shipped world and show the report (CPU, offline after set-up)"
	@echo "make test     run every test"
	@echo "make fuzz     try the laws of tests/fuzz on 100,000 random inputs each (SEED=..., EXAMPLES=...)"
	@echo "make check    format, lint, types, import layers, tests"
	@echo "make setup    only set up $(VENV)"

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Eterna needs Python 3.11 or newer; set PYTHON=python3.12 or the like"; exit 2; }
	@echo "Setting up $(VENV), once (a few minutes; the largest part is torch) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

setup: $(READY)
	@echo "ready: $(BIN)/eterna --help"

demo: $(READY)
	@$(BIN)/eterna demo

test: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Random input against the laws of tests/fuzz. A failure prints the seed; `make fuzz SEED=...` repeats it.
SEED     ?= $(shell date +%s)
EXAMPLES ?= 100000

fuzz: $(READY)
	@echo "fuzz: $(EXAMPLES) examples of each law, SEED=$(SEED)"
	@FUZZ_EXAMPLES=$(EXAMPLES) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz -n 2 --timeout 0 \
	  --hypothesis-seed=$(SEED) $(ARGS) || { echo "fuzz: repeat it with SEED=$(SEED)"; exit 1; }

check: format lint types layers test

format: $(READY)
	@$(BIN)/ruff format --check .

lint: $(READY)
	@$(BIN)/ruff check .

types: $(READY)
	@$(BIN)/mypy

layers: $(READY)
	@$(BIN)/lint-imports

# Renew the lock with releases at least a week old; needs uv.
lock:
	uv pip compile pyproject.toml requirements/torch-needs.in --extra dev --universal --python-version 3.11 \
	  --generate-hashes --overrides requirements/overrides.txt --no-emit-package torch --no-emit-index-url \
	  --no-header --no-annotate --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%d)" -o $(LOCK)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
