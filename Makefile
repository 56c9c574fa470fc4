# make demo: train, measure, compare, draw and report SDT and TET on digits.
# make test: some of every kind of check.   make test-all: every check there is.
# make docs: the documentation, in docs/_build/html.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := models landscape tables analysis figures
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --doctest-modules $(PACKAGES) tests

.PHONY: demo test test-all lint docs bench clean

demo: .venv/installed
	$(BIN)/python -m analysis.study --out runs/demo

test: lint
	$(PYTEST) --nbmake notebooks/own_model.ipynb -m 'not zoo and not slow'

test-all: lint
	$(PYTEST) --nbmake notebooks

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES) tests
	$(BIN)/lint-imports

docs: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,bench]'
	$(BIN)/python -m benchmarks.curvature
	$(BIN)/python -m benchmarks.surface
	$(BIN)/python -m benchmarks.training

.venv/installed: pyproject.toml constraints.txt
	@echo "installing into .venv (PyTorch's wheels bring CUDA libraries: about 6 GB, a few minutes)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,docs]'
	@touch $@

clean:
	rm -rf .venv runs docs/_build docs/reference docs/gallery docs/project
