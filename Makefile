# `make` climbs the whole ladder and writes results/report.html; `make test` installs and passes the tests;
# `make bench` measures the project beside its peers (QUICK=1: a look in minutes).
PYTHON ?= python3
BUDGET ?= quick
BIN := .venv/bin

.PHONY: all install test lint bench clean

# pictures and page also where a verdict differs from the ledger (1): then one wants to see them; make still fails
all: install
	$(BIN)/noncollapse verify --budget $(BUDGET); found=$$?; \
	test $$found -le 1 || exit $$found; \
	$(BIN)/noncollapse draw && $(BIN)/noncollapse report && exit $$found

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

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
