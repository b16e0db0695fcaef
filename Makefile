# make run    install ponder and train R1-Zero on the embedded world
# make test   install ponder and run its tests
# make check  format, lint and types
PYTHON ?= python3.11
RECIPE ?= zero-micro
VENV := .venv
INSTALLED := $(VENV)/.installed

PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup run test check docs

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "ponder needs Python 3.11 or newer; $(PYTHON) is missing or older: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $@

run: setup
	$(VENV)/bin/ponder run $(RECIPE)

# One process per core with one thread each: threads of several processes on the same cores slow each other down.
test: setup
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

docs: setup
	$(VENV)/bin/python -m ponder.recipe.docs > docs/recipe.md
