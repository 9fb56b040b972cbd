# Everything runs in .venv, which `make` builds by itself. PY picks the interpreter: make test PY=python3.12
PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYVERSION := $(shell $(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
STAMP := $(VENV)/.installed-$(PYVERSION)
GEN := .venv-gen
DATA ?= var/demo

.PHONY: demo serve test check bench gen format conformance clean

$(STAMP): pyproject.toml constraints.txt clients/python/pyproject.toml
	@case "$(PYVERSION)" in 3.11|3.12) ;; *) echo "nextbest needs Python 3.11 or 3.12, $(PY) is $(PYVERSION): make $(MAKECMDGOALS) PY=python3.11" >&2; exit 1;; esac
	test -f $(STAMP) || { rm -rf $(VENV) && $(PY) -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e clients/python -e '.[dev]'
	$(BIN)/nextbest warm
	touch $@

demo: $(STAMP)  ## the main job on real data with the embedded Redis; ends by itself
	$(BIN)/nextbest demo

serve: $(STAMP)  ## the service on the demo's data, at the data's time, until Ctrl-C
	$(BIN)/nextbest demo --prepare-only --data-directory $(DATA)
	$(BIN)/nextbest serve --data-directory $(DATA) --rulebook rules/grocery --as-of data

test: $(STAMP)  ## every test
	$(BIN)/nextbest warm
	$(BIN)/python -m pytest

conformance: $(STAMP)  ## a million generated decisions by kernels and by plain Python, on every core
	$(BIN)/python -m tests.conformance.deciding 1000000

check: $(STAMP) $(GEN)/.installed  ## lint, format, types, layers, contract, stub and schema drift
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(GEN)/bin/python tools/gen_protos.py --check
	$(BIN)/nextbest rules schema --check

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(GEN)/.installed: tools/gen-requirements.txt
	$(PY) -m venv $(GEN)
	$(GEN)/bin/python -m pip install --quiet --disable-pip-version-check -r tools/gen-requirements.txt
	touch $@

gen: $(GEN)/.installed $(STAMP)  ## stubs from proto/ and JSON Schema from the rule documents
	$(GEN)/bin/python tools/gen_protos.py
	$(BIN)/nextbest rules schema
	$(BIN)/python -m nextbest.rulebook.reference
	$(BIN)/python tools/lint_index.py

bench: $(STAMP)  ## measures ours and the peers; needs Debian's nghttp2-client for rpc
	command -v h2load >/dev/null || { apt-get update -qq && apt-get install -qq -y nghttp2-client; }
	$(BIN)/python benchmarks/run.py $(BENCH)

clean:
	rm -rf $(VENV) $(GEN) var
