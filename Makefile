# Everything sets itself up in .venv: make run, make test, make check, make bench.
PYTHON ?= python3
BIN := .venv/bin
MODEL ?= nmnist
SOURCE ?=

.PHONY: run test check bench screenshots clean

.venv/installed: pyproject.toml packaging/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint packaging/constraints.txt --editable '.[all]'
	touch $@

run: .venv/installed
	$(BIN)/livesnn gui $(SOURCE) --model $(MODEL)

test: .venv/installed
	$(BIN)/pytest

check: .venv/installed
	$(BIN)/ruff format --check livesnn tests packaging
	$(BIN)/ruff check livesnn tests packaging
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

bench: .venv/installed
	$(BIN)/livesnn bench

screenshots: .venv/installed
	$(BIN)/python packaging/screenshots.py

clean:
	rm -rf .venv dist build
