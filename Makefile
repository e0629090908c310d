# Each target makes what it needs and says what it does. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
MADE := .venv/.made
MADE_DEV := .venv/.made-dev
MADE_FUZZ := .venv/.made-fuzz
NODE := .build/node
# What pytest is told besides; `make test ARGS="-k dkim"`
ARGS ?=
JOBS ?= 2

# What is fuzzed, one after the other, for so many seconds each; all of tests/fuzz if empty
FUZZ ?= $(notdir $(wildcard tests/fuzz/corpus/*))
FUZZ_SECONDS ?= 60

.PHONY: help demo test lint soak fuzz bench lock clean

help:
	@echo 'make demo    the whole journey of a message through mailweir, told as a story (no root needed)'
	@echo 'make test    lint, types and all tests, with real mail servers and clients (root, to run them)'
	@echo 'make lint    ruff and mypy alone'
	@echo 'make soak    long runs; SOAK_MINUTES, _MESSAGES, _KILLED, _GIGABYTES, _SESSIONS, _RECIPIENTS, _EXAMPLES set their length'
	@echo 'make fuzz    octets at random, guided by coverage; FUZZ_SECONDS for each target, FUZZ="smtp_relay ..."'
	@echo 'make bench   CPU per message and per octet beside HAProxy, in one run; BENCH_SECONDS, BENCH_ROUNDS'
	@echo 'make lock    pin the newest versions that setup.cfg allows in .ci/requirements*.txt'
	@echo 'make clean   remove what the other targets made'

$(MADE): .ci/requirements.txt setup.cfg pyproject.toml .ci/venv.sh
	@PYTHON='$(PYTHON)' .ci/venv.sh
	@touch $@

$(MADE_DEV): $(MADE) .ci/requirements-dev.txt
	@PYTHON='$(PYTHON)' .ci/venv.sh dev
	@touch $@

demo: $(MADE)
	@$(BIN)/mailweir demo

lint: $(MADE_DEV)
	@echo '== ruff check'
	@$(BIN)/ruff check .
	@echo '== ruff format --check'
	@$(BIN)/ruff format --check .
	@echo '== mypy'
	@$(BIN)/mypy

$(NODE)/.made: tests/end2end/nodemailer/package-lock.json tests/end2end/nodemailer/package.json
	@mkdir -p $(NODE)
	@cp $^ $(NODE)
	@npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

test: lint
	@.ci/packages.sh test
	@$(MAKE) --no-print-directory $(NODE)/.made
	@echo '== pytest'
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not soak' $(ARGS)

soak: $(MADE_DEV)
	@.ci/packages.sh test
	@$(BIN)/python -m pytest -m soak --timeout 0 -s $(ARGS)

$(MADE_FUZZ): $(MADE_DEV) .ci/requirements-fuzz.txt
	@PYTHON='$(PYTHON)' .ci/venv.sh fuzz
	@touch $@

fuzz: $(MADE_FUZZ)
	@for target in $(FUZZ); do \
	    echo "== $$target, $(FUZZ_SECONDS) seconds"; \
	    PYTHONPATH=tests:plugins $(BIN)/python -m fuzz.run $$target $(FUZZ_SECONDS) || exit 1; \
	done

bench: $(MADE_DEV)
	@.ci/packages.sh bench
	@PYTHONPATH=tests $(BIN)/python -m bench.run $(ARGS)

lock:
	@PYTHON='$(PYTHON)' .ci/lock.sh

clean:
	rm -rf .venv .build build dist mailweir.egg-info .mypy_cache .ruff_cache .hypothesis
