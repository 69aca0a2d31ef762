# make demo    the main job on the embedded engine: a measured row, without Docker, GPU or hub
# make test    all tests; those that need Docker or an engine skip, saying why, unless CI=true
# make lint    ruff, mypy, shellcheck over our own scripts
# make bench   the performance of recipegen itself, as a table
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= $(or $(TMPDIR),/tmp)/recipegen-demo

.PHONY: demo test lint bench golden generated clean

# One stamp for the environment: made anew when the project's dependencies change.
$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "recipegen needs Python 3.11 or later; name one: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,dev]'
	@touch $@

demo: $(VENV)/.stamp
	$(BIN)/recipegen demo $(DEMO)

test: $(VENV)/.stamp
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck .ci/run tests/support/*.sh
	$(BIN)/recipegen lint --severity error --root .
	$(BIN)/recipegen render --check --root .
	$(BIN)/recipegen index --check --root .

bench: $(VENV)/.stamp
	$(BIN)/python tests/bench/run.py $(ARGS)

golden: $(VENV)/.stamp
	RECIPEGEN_UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

generated: $(VENV)/.stamp
	$(BIN)/python -m recipegen.cli.generated

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
