# Two commands: `make quickstart` does the whole job on this machine, `make test` checks the project.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles the modules that are imported, which are few of those that are installed.
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: quickstart test lint format clean

quickstart: .venv/.runtime
	$(BIN)/python scripts/quickstart.py

test: .venv/.test lint
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

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

.venv/.runtime: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) --editable .
	@touch $@

.venv/.test: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) --editable '.[test]'
	@touch .venv/.runtime $@

clean:
	rm -rf .venv runs build *.egg-info
