# A handful of targets; `make` lists them.
PYTHON = .venv/bin/python

.PHONY: help install test fast check notebooks experiments lock

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install:  ## create .venv from the lock
	python3 -m venv .venv
	$(PYTHON) -m pip install --quiet --require-hashes --requirement requirements.lock
	$(PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .

test:  ## all tests
	$(PYTHON) -m pytest

fast:  ## the tests that are not slow, under two minutes
	$(PYTHON) -m pytest tests -m "not slow"

check:  ## lint and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

notebooks:  ## execute the notebooks and keep their outputs
	.venv/bin/jupyter-execute --inplace notebooks/*.ipynb

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --extra dev pyproject.toml --output-file requirements.lock

experiments:  ## run all experiments but the fault campaign, and write them into the lab book
	$(PYTHON) experiments/run.py
