# `make quickstart` does the whole job on this machine. `make check` is for every edit: lint, text,
# layers, data and metrics. `make test` tests all but what is marked full, which `make full` tests.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles the modules that are imported, which are few of those that are installed.
# What it installs from the index must have the hashes that requirements/ holds; packages that come as
# source are built with the tools of requirements/build.txt, not with the newest there are.
PIP = $(BIN)/pip --quiet --disable-pip-version-check
LOCKED = $(PIP) install --no-compile --require-hashes --requirement
INSTALL = $(LOCKED) requirements/build.txt && $(LOCKED) $(1) --no-build-isolation \
	&& $(PIP) install --no-compile --no-deps --no-build-isolation --editable . && $(PIP) check
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: quickstart check test full lint format clean

quickstart: .venv/.runtime
	$(BIN)/python scripts/quickstart.py

check: .venv/.test lint
	$(PYTEST) tests/text tests/layers tests/data tests/metrics

test: .venv/.test lint
	$(PYTEST)

full: .venv/.test
	$(PYTEST) --full -m full

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: .venv/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "error: kerasbert needs Python 3.11, 3.12 or 3.13; run make PYTHON=/path/to/it" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.runtime: pyproject.toml $(wildcard requirements/*.txt) | .venv/bin/pip
	$(call INSTALL,requirements/runtime.txt)
	@touch $@

.venv/.test: pyproject.toml $(wildcard requirements/*.txt) | .venv/bin/pip
	$(call INSTALL,requirements/test.txt)
	@touch .venv/.runtime $@

clean:
	rm -rf .venv runs build *.egg-info
