# `make quickstart` runs the whole workflow on this machine. `make check`, for every edit, runs lint and the
# tests of text, layers, data and metrics. `make test` runs all tests except those marked `full`, which
# `make full` runs, except for benchmarks and simulated hosts, which `make weekly` runs. `make wheel-test`
# builds the wheel and uses it outside the checkout. `make docs` builds the site in build/site; `make guides`
# runs docs/guides/*.py, or GUIDES="NAME ...", and writes their pages.
PYTHON ?= python3
BIN := .venv/bin
# --no-compile: Python compiles modules on import, and most of those installed are never imported.
# Packages must have the hashes in requirements/; source packages are built with the tools pinned in
# requirements/build.txt.
PIP = $(BIN)/pip --quiet --disable-pip-version-check
LOCKED = $(PIP) install --no-compile --require-hashes --requirement
INSTALL = $(LOCKED) requirements/build.txt && $(LOCKED) $(1) --no-build-isolation \
	&& $(PIP) install --no-compile --no-deps --no-build-isolation --editable . && $(PIP) check
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: quickstart check test full weekly wheel-test docs guides lint format clean

quickstart: .venv/.runtime
	$(BIN)/python scripts/quickstart.py

check: .venv/.test lint
	$(PYTEST) tests/text tests/layers tests/data tests/metrics

test: .venv/.test lint
	$(PYTEST)

full: .venv/.test
	$(PYTEST) --full -m "full and not weekly"

weekly: .venv/.test
	$(PYTEST) --full -m weekly

wheel-test: .venv/.test
	$(BIN)/python tests/wheel.py

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mkdocs build --quiet

guides: .venv/.test
	$(PIP) install --editable '.[guides]'
	$(BIN)/python docs/_site/guides.py $(GUIDES)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

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

.venv/.docs: requirements/docs.txt | .venv/bin/pip
	$(LOCKED) requirements/docs.txt
	@touch $@

clean:
	rm -rf .venv runs build *.egg-info
