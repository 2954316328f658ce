# Two commands for users: make demo, make test. For developers: make check, make bench.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := $(shell find csrc kernels mie_engine -path mie_engine/kernels -prune -o -type f -not -name '*.pyc' -not -name '*.so' -print) CMakeLists.txt pyproject.toml

.PHONY: demo test test-slow check bench format clean

demo: $(VENV)/.installed
	$(BIN)/mie synth mie_engine/assets/faces --out demo --clips 963 --seed 7

test: $(VENV)/.developer
	$(BIN)/pytest

test-slow: $(VENV)/.developer
	$(BIN)/pytest -m slow

bench: $(VENV)/.developer
	$(BIN)/mie bench render
	$(BIN)/mie bench synth
	$(BIN)/mie bench flow
	$(BIN)/mie bench recog

CXX_FILES := $(shell git ls-files '*.cc' '*.h' '*.hpp' '*.cu')

check: $(VENV)/.developer mie_engine/kernels
	$(BIN)/ruff check mie_engine kernels tests
	$(BIN)/ruff format --check mie_engine kernels tests
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

format: $(VENV)/.developer
	$(BIN)/ruff format mie_engine kernels tests
	$(BIN)/ruff check --fix mie_engine kernels tests
	$(BIN)/clang-format -i $(CXX_FILES)

# mypy sees the package as it is installed: kernels inside mie_engine
mie_engine/kernels:
	ln -s ../kernels $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "mie_engine needs Python 3.10 or newer; set PYTHON=..."; exit 4; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet .
	@touch $@

$(VENV)/.developer: $(SOURCES) | $(BIN)/python
	$(BIN)/python -m pip install --quiet '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build demo mie_engine/kernels
