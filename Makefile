# make run | quick | test | test-reports | lint | bench | clean | help. All that is installed goes into .venv.

PYTHON ?= python3
CONFIG ?= config/config.yaml
# xdist: one worker a core of our machines; whole files, because fixtures may be a module's.
PYTEST_ARGS ?= -n 2 --dist loadfile
# Each test that is skipped, with its reason.
PYTEST_SKIPS := -rs
# Left out of `make test`, because they take minutes.
PYTEST_SLOW ?= store or chaos
# Minutes of Chromium and LibreOffice: `make test-reports` runs them, `make test` does not.
REPORT_PROGRAMS := tests/reports/test_page_browser.py tests/reports/test_workbook_proof.py
# `make quick`: the house, the known answers, a scenario for every rule, the book, the settings; not
# the second implementation of the rules ("oracle"), which is tried by the same tests.
QUICK := tests/test_house.py tests/test_rules_named.py tests/known tests/config \
    tests/exchange/test_exchange_scenarios.py tests/accounting/test_position_book.py
# Recorded exchange data; tests and benchmarks that need it are skipped where it is missing.
CRYPTOSIM_DATA ?= ../shared/data
export CRYPTOSIM_DATA

VENV := .venv
PY := $(VENV)/bin/python
# Stamps: a second call installs nothing, and asks the network nothing.
RUN_STAMP := $(VENV)/.installed-run
TEST_STAMP := $(VENV)/.installed-test
PROJECT := setup.cfg pyproject.toml cryptosim_bt/_version.py
# Build with the setuptools in .venv: pip would otherwise fetch one for every install.
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.PHONY: help run quick test test-reports test-store chaos test-versions lint bench backtrader-samples clean
.DEFAULT_GOAL := help

help:
	@echo "make run    backtest $(CONFIG) (make run CONFIG=... for another)"
	@echo "make quick  ruff on what changed since main, and the central tests: half a minute"
	@echo "make test   lint, then all tests (PYTEST_ARGS='-k name' for some)"
	@echo "make test-reports   tests of the reports that need Chromium and LibreOffice; fails without"
	@echo "make test-store  hundreds of killed downloads (some minutes)"
	@echo "make chaos  a thousand killed live runs at the exchange for tests (hours)"
	@echo "make test-versions  all tests on the lowest and the newest Python and pandas found here"
	@echo "make lint   ruff and mypy"
	@echo "make bench  benchmarks"
	@echo "make backtrader-samples FOLDER=...  docs/backtrader.md, from a checkout of backtrader"
	@echo "make clean  remove what was built and the caches; .venv and logs/ stay"

$(VENV)/bin/pip:
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "CryptoSim needs Python 3.11 or newer, but there is no '$(PYTHON)' here." \
	    "Install Python, or name yours: make PYTHON=/path/to/python3"; exit 1; } >&2
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "CryptoSim needs Python 3.11 or newer, but '$(PYTHON)' is" \
	    "$$("$(PYTHON)" --version 2>&1). Name a newer one: make PYTHON=python3.12"; exit 1; } >&2
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "'$(PYTHON)' cannot make virtual environments: its venv module is missing." \
	    "On Debian and Ubuntu: apt-get install python3-venv"; exit 1; } >&2
	"$(PYTHON)" -m venv $(VENV)

$(RUN_STAMP): $(PROJECT) | $(VENV)/bin/pip
	$(INSTALL) 'setuptools>=64' wheel
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(TEST_STAMP): $(PROJECT) | $(VENV)/bin/pip
	$(INSTALL) 'setuptools>=64' wheel
	$(INSTALL) --no-build-isolation --editable '.[test]'
	@touch $@ $(RUN_STAMP)

run: $(RUN_STAMP)
	$(PY) -m cryptosim_bt run $(CONFIG)

# mypy reads the tree as it is installed (see [mypy] in setup.cfg); an old one would hide deletions.
lint: $(TEST_STAMP)
	$(PY) -m ruff check .
	@rm -rf build/typecheck
	@$(PY) -c 'import setuptools; setuptools.setup()' -q build_py --build-lib build/typecheck
	$(PY) -m mypy build/typecheck/cryptosim_bt

quick: $(TEST_STAMP)
	@base=$$(git merge-base HEAD main 2>/dev/null || echo HEAD); \
	changed=$$( { git diff --name-only --diff-filter=d $$base -- '*.py'; \
	    git ls-files --others --exclude-standard -- '*.py'; } | sort -u); \
	[ -z "$$changed" ] || $(PY) -m ruff check --force-exclude $$changed
	$(PY) -m pytest -q -x -k 'not oracle' $(QUICK)

# pytest last: its closing line is what CI reads.
test: lint
	$(PY) -m pytest $(PYTEST_SKIPS) $(PYTEST_ARGS) -m 'not ($(PYTEST_SLOW))' \
	    $(REPORT_PROGRAMS:%=--ignore=%)

# Hundreds of downloads from a venue full of faults, killed at random moments.
test-store: $(TEST_STAMP)
	$(PY) -m pytest -n 2 -m store tests/venue

# Live runs killed with SIGKILL, while requests, pushes and fills go wrong.
chaos: $(TEST_STAMP)
	$(PY) -m pytest -m chaos tests/live

# In environments of their own; Pythons from 3.11 on are looked for on the path, with pyenv and uv.
test-versions: $(TEST_STAMP)
	$(PY) -m tests.versions $(PYTEST_SKIPS) $(PYTEST_ARGS) -m 'not ($(PYTEST_SLOW))'

# Programs of the system are installed where that is ours to do: on Debian, as root.
test-reports: $(TEST_STAMP)
	@if ! { command -v chromium && command -v chromedriver; } >/dev/null && \
	    command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq chromium chromium-driver; fi
	@if ! { command -v soffice || command -v libreoffice; } >/dev/null && \
	    command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends libreoffice-calc; fi
	CRYPTOSIM_REPORT_TESTS=required $(PY) -m pytest tests/reports/test_page.py \
	    tests/reports/test_reports_agree.py tests/reports/test_workbook.py $(REPORT_PROGRAMS)

# What becomes of backtrader's own samples, in a checkout of it: docs/backtrader.md.
backtrader-samples: $(TEST_STAMP)
	@test -d "$(FOLDER)/samples" || { echo "make backtrader-samples FOLDER=path/to/backtrader" \
	    "(a checkout of github.com/mementum/backtrader)"; exit 1; } >&2
	$(PY) -m tests.backtrader_samples "$(FOLDER)"

bench: $(TEST_STAMP)
	$(PY) -m benchmarks.run
	$(PY) -m benchmarks.store

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -path "./.venv*" -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
