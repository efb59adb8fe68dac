# Every target a person or CI needs. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo serve bento test test-all test-faults check bench-point-in-time bench-online bench-ingest bench-training bench-serving figures requirements clean

OUT ?= artifacts/demo
CONFIG ?= intent.toml
# What ranks items beside the main question; the demo has one, a shop of your own if you name its settings.
RANKING ?= $(if $(filter intent.toml,$(CONFIG)),examples/ta_feng_item.toml)
PORT ?= 3000
WORKERS ?= 1
PYTHON ?= python3.11

ifdef PROFILE
export INTENT_PROFILE = $(PROFILE)
endif
ifdef KEYS
export INTENT_KEYS_FILE = $(abspath $(KEYS))
endif
export BENTOML_HOME ?= $(CURDIR)/artifacts/bentoml
export BENTOML_DO_NOT_TRACK = True
export TZ = UTC
export TF_CPP_MIN_LOG_LEVEL ?= 3
BIN := .venv/bin
INSTALLED := .venv/.installed
RUN := --out $(OUT)
# Tests of one file stay together; what kills and freezes servers runs by itself afterwards.
SIDE_BY_SIDE := --numprocesses 2 --dist loadgroup

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## install everything into .venv (uv if present, else pip)

$(INSTALLED): requirements/dev.txt requirements/data.txt pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
		if command -v uv >/dev/null; then uv venv --quiet --python $(PYTHON) .venv; else $(PYTHON) -m venv .venv; fi; fi
	@echo "installing into .venv (two to fifteen minutes)"
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt && \
		uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/data.txt && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt && \
		$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/data.txt && \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

demo: setup ## the main job on the whole real data set, from raw lines to a served probability (PROFILE=production: on servers)
	@$(BIN)/intent ingest --config $(CONFIG) $(RUN)
	@$(BIN)/intent apply $(RUN)
	@$(BIN)/intent dataset --config $(CONFIG) $(RUN)
	@$(BIN)/intent train --config $(CONFIG) $(RUN)
	@$(BIN)/intent evaluate --config $(CONFIG) $(RUN)
	$(if $(RANKING),@$(BIN)/intent dataset --config $(RANKING) --log $(OUT) --out $(OUT)/ranking)
	$(if $(RANKING),@$(BIN)/intent train --config $(RANKING) --out $(OUT)/ranking --member boosted_trees)
	$(if $(RANKING),@$(BIN)/intent evaluate --config $(RANKING) --out $(OUT)/ranking)
	@$(BIN)/intent publish --config $(CONFIG) $(RUN) $(if $(RANKING),--ranking $(RANKING))
	@$(BIN)/intent materialize --config $(CONFIG) $(RUN)
	@$(BIN)/intent serve --config $(CONFIG) $(RUN) --check
	@$(BIN)/intent parity --config $(CONFIG) $(RUN)

serve: setup ## serve the built bento (PORT=3000 WORKERS=1; KEYS=artifacts/keys.json: with API keys)
	@$(BIN)/intent serve --config $(CONFIG) $(RUN) --port $(PORT) --workers $(WORKERS)

bento: setup ## publish the trained bundle and build the bento
	@$(BIN)/intent publish --config $(CONFIG) $(RUN) $(if $(RANKING),--ranking $(RANKING))

test: setup ## the tests, with the commands of README and docs on a 5 % sample
	@$(BIN)/python -m pytest -m "not slow and not faults" $(SIDE_BY_SIDE)
	@$(BIN)/python -m pytest -m "not slow and faults"

test-all: export INTENT_SOAK_SECONDS ?= 1800
test-all: setup ## the same, with the slow and the exhaustive, half an hour at half load among them
	@$(BIN)/python -m pytest -m "not faults" $(SIDE_BY_SIDE)
	@$(BIN)/python -m pytest -m "faults"

test-faults: setup ## servers and processes killed, frozen, filled: what is survived, counted and printed
	@$(BIN)/python -m pytest -m faults

check: setup ## ruff, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench-point-in-time: setup ## joins, sequences and activity beside their floor and peers, in one run (about eight minutes)
	@$(BIN)/python -m benchmarks.point_in_time --large
	@$(BIN)/python -m benchmarks.activity

bench-online: setup ## the packed online stores beside raw reads and Feast's own, in one run
	@$(BIN)/python -m benchmarks.online_read
	@$(BIN)/python -m benchmarks.materialize
	@$(BIN)/python -m benchmarks.push

bench-training: setup ## an LSTM epoch beside Keras, trees beside XGBoost, memory of training from disk, an evaluation with 1,000 draws, in one run (about twenty-five minutes); fails if a bound is missed
	@$(BIN)/python -m benchmarks.training; missed=$$?; $(BIN)/python -m benchmarks.evaluation && exit $$missed

bench-ingest: setup ## events per second and memory of each adapter beside DuckDB's own copy, of the simulator beside writing its rows, in one run (DATA=folder of the real sets; half an hour)
	@$(BIN)/python -m benchmarks.ingest $(if $(DATA),--data $(DATA))
	@$(BIN)/python -m benchmarks.simulate

bench-serving: setup ## the served bento beside a service that echoes and one of Feast and keras.predict, in one run (about eight minutes); fails if a bound is missed
	@$(BIN)/python -m benchmarks.serving --out $(OUT)

figures: setup ## every task on every data set that fits it, beside published figures (DATA=folder of the real sets; about 40 minutes)
	@$(BIN)/python -m benchmarks.protocols $(if $(DATA),--data $(DATA))

requirements: ## compile requirements/*.in into pinned, hashed *.txt without index addresses (needs uv)
	@for name in platform dev serving mlflow; do \
		uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
			--custom-compile-command "make requirements" requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove what a run made; .venv stays
	@rm -rf artifacts build *.egg-info
