# `make train` and `make setup` work as the very first command on a fresh clone: they create .venv and install into it.
SHELL := bash
PYTHON ?= python3
EXTRA ?= cpu
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(EXTRA)
# Two at a time, a file by one of them: most of a test with real parts is waiting for processes to start.
PYTEST = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
JOBS ?= 2
CONFIG ?= configs/tiny-cpu.yaml
ARGS ?=
# Wheels: where pip is configured to look first (find-links), else PyTorch's own CPU index.
LINKS = $(shell $(BIN)/pip config get global.find-links 2>/dev/null || echo "$$PIP_FIND_LINKS")
TORCH_SOURCE = $(if $(filter gpu,$(EXTRA)),,$(if $(strip $(LINKS)),$(addprefix --find-links ,$(LINKS)),--index https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match))

.PHONY: train setup tools test check format bench lock clean

train: setup ## the embedded default: warm start, self-play, report
	$(BIN)/azr train $(CONFIG) $(ARGS)

setup: $(STAMP) ## install only

$(STAMP): requirements/$(EXTRA).txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; v = sys.version_info[:2]; v in ((3, 11), (3, 12)) or sys.exit(f"Python must be 3.11 or 3.12, got {v[0]}.{v[1]}; run `make setup PYTHON=python3.11`")'
	$(BIN)/pip install --quiet uv==0.13.8
	@# Compiled once here: else each of a run's processes compiles all that it imports where bytecode may not be written.
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode $(TORCH_SOURCE) --no-deps -r requirements/$(EXTRA).txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --editable .
	touch $@

tools: setup ## Chromium and Prometheus, which tests look at the report and the metrics with (Debian); without one its tests are skipped
	command -v chromium || (apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends chromium)
	@# Unpacked, not installed: as a package it would also be a service of this machine.
	command -v prometheus || test -x $(BIN)/prometheus || (cd $(VENV) && apt-get update --quiet && apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract --to-stdout ./usr/bin/prometheus > bin/prometheus && chmod +x bin/prometheus && rm prometheus_*.deb)

test: setup ## every test, with one real end-to-end run
	$(PYTEST)

check: setup ## format, lint, types, fast tests: the gate
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -m "not slow" --hypothesis-profile=quick

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## generator, learner and verifier, as ratios
	$(BIN)/azr bench generator --json
	$(BIN)/azr bench learner --json
	$(BIN)/azr bench verifier --json

lock: ## recompile requirements/*.txt; the two extras are locked apart on purpose
	$(BIN)/uv pip compile pyproject.toml --extra cpu --extra dev --override requirements/overrides.txt $(if $(strip $(LINKS)),$(addprefix --find-links ,$(LINKS)),--index https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match) --python-version 3.11 --no-emit-find-links --no-emit-index-url --no-header --quiet -o requirements/cpu.txt
	$(BIN)/uv pip compile pyproject.toml --extra gpu --extra dev --python-version 3.11 --no-emit-find-links --no-emit-index-url --no-header --quiet -o requirements/gpu.txt

clean:
	rm -rf $(VENV) build *.egg-info
