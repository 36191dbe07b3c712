# One call each; what they do is in scripts/. Variables given here reach the program: make pipeline ETL_DEBUG=1 LAKE_URI=/data/lake
.DEFAULT_GOAL := help
.PHONY: help pipeline serve test test-cluster crash-test compose-test check lint build dashboard dashboard-test dist bench bench-sessions bench-memory bench-serving bench-stages bench-instructions fuzz oulad bench-oulad node-up node-status down clean install

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

pipeline: ## Build, start what is needed, run the session events pipeline, show what came of it
	@scripts/pipeline.sh

serve: ## Answer what the session events pipeline declares as endpoints, on 127.0.0.1:8080 (ARGS="--listen ...")
	@scripts/serve.sh $(ARGS)

oulad: ## Run the Open University pipeline over OULAD_URL, compare every table with an independent computation
	@scripts/oulad.sh

test: ## Run all tests, against a real Cassandra (ARGS="--test it NAME" chooses)
	@scripts/test.sh $(ARGS)

test-cluster: ## Run the tests of several nodes: one is killed, one is paused, one is behind in its schema
	@scripts/test.sh --features tests/cluster --test it cluster

crash-test: ## Kill the program at every step and N=1000 times at random, compare what it leaves (SEED=..., ARGS="--step NAME")
	@scripts/crash-test.sh $(ARGS)

compose-test: ## Bring the compose file up, with ETL_DEBUG and without, and compare what the API answers with the lake (PROFILE=dev)
	@scripts/compose-test.sh

check: ## Check scripts, Dockerfile, compose file, documents and the borders between crates
	@scripts/check.sh

lint: ## Check the format, and clippy with warnings as errors
	@scripts/lint.sh

build: ## Build everything (the first time some 500 dependencies)
	@scripts/build.sh

dashboard: ## Build the dashboard with npm into dashboard/dist; the next build puts it into the program
	@scripts/dashboard.sh

dashboard-test: ## Use the dashboards of both pipelines in Chromium, over real data (ARGS="--screenshots FOLDER")
	@scripts/dashboard-test.sh $(ARGS)

dist: ## Pack the program, its completions, licence and pipelines into dist/ (PROFILE=dist)
	@scripts/dist.sh

bench: ## Measure Sluice beside what people would use instead, write docs/benchmarks.md (ARGS="--only merge --repeat 3")
	@scripts/bench.sh $(ARGS)

bench-sessions: ## Time the whole chain on a fresh lake and keyspace (RUNS=3)
	@scripts/bench-sessions.sh

bench-memory: ## Peak memory of the chain for some data and for ten times as much (ARGS="--by-stage")
	@scripts/bench-memory.sh $(ARGS)

bench-serving: ## Time the REST API beside the bare driver and FastAPI (PROFILE=dist, ARGS="--callers 128")
	@scripts/bench-serving.sh $(ARGS)

bench-stages: ## Measure where the time of each stage goes, write it into docs/performance.md (ARGS="--repeat 3")
	@scripts/bench-stages.sh $(ARGS)

bench-instructions: ## Hold the instructions that hot functions take against the recorded ones (ARGS=--record)
	@scripts/bench-instructions.sh $(ARGS)

fuzz: ## Bytes that nobody would write, for every decoder and the definition (SECONDS=60 for each)
	@scripts/fuzz.sh $(or $(SECONDS),60)

bench-oulad: ## Time the pipeline over OULAD_URL beside DuckDB reading the same archive (RUNS=3)
	@scripts/bench-oulad.sh

node-up: ## Start the local Cassandra, or find it running
	@scripts/node.sh up

node-status: ## Say whether the local Cassandra runs, and where
	@scripts/node.sh status

down: ## Stop what `make pipeline` started; data stay
	@scripts/down.sh

clean: down ## Stop, and remove ./lake, ./lake_debug and .sluice (the node's data, the demonstration file, API keys)
	@scripts/clean.sh

install: ## Check what is missing on this machine, and install it where that can be done
	@scripts/install.sh
