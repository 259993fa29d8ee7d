# `make` climbs the whole ladder and writes results/report.html; `make test` installs and passes the tests;
# `make bench` measures the project beside its peers (QUICK=1: a look in minutes).
PYTHON ?= python3
BUDGET ?= quick
BIN := .venv/bin

.PHONY: all install verify draw report test lint bench clean

all: report

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

verify: install
	$(BIN)/noncollapse verify --budget $(BUDGET)

draw: verify
	$(BIN)/noncollapse draw

report: draw
	$(BIN)/noncollapse report

test: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check
	$(BIN)/pyright

bench: install
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

clean:
	rm -rf .venv results build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
