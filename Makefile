# What a person does here, one line each. `make` alone lists it.
.PHONY: help run test test-packages bench bench-check bench-parts chaos chaos-short chaos-load security manifests image check \
	secrets deploy undeploy scenario screenshots

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/	/' | expand -t 16

run:  ## everything on this machine, on http://localhost:8000
	cargo run --release

test: test-packages  ## all tests, on SQLite and on a PostgreSQL of their own
	infra/image/root dev
	PATH="$(CURDIR)/target/test-tools/bin:$$PATH" IMAGE_ROOT=target/image/dev \
		functions/tests/with-services cargo test --workspace --locked

test-packages:  ## Debian packages that the tests need (skips what is there)
	@infra/test-packages

chaos: chaos-built  ## breaks everything, in rounds: ARGS='--seed N --rounds N --only broker,disk'
	target/debug/chaos $(ARGS)

chaos-short: chaos-built  ## each kind of fault once, of one seed: three minutes
	target/debug/chaos --seed 1 --once $(ARGS)

chaos-load:  ## twice the rated load: ARGS='--minutes 10 --rate 10000'
	cargo build --release --locked -p functions -p chaos --bin chaos --example engine_with_clock
	target/release/chaos load $(ARGS)

.PHONY: chaos-built
chaos-built:
	@infra/test-packages iproute2 iptables
	cargo build --locked --workspace --bins --examples

bench: bench-built  ## how fast it is, into docs/benchmarks.md (ARGS=--help; ARGS="prober --rounds 3")
	DURABLE=yes functions/tests/with-services target/release/bench $(ARGS)

bench-check: bench-built  ## fails when a ratio is more than 20 percent worse than in tools/bench/ratios.json
	DURABLE=yes functions/tests/with-services target/release/bench check $(ARGS)

bench-parts:  ## what is measured within one function, by Criterion, beside its last run
	cargo bench --locked -p functions $(ARGS)

.PHONY: bench-built
bench-built:
	tools/bench/packages
	cargo build --release --locked --workspace --bins
	infra/image/root dist

SECONDS ?= 90
SEED ?= 1
security: test-packages  ## attacks: dependencies, accounts, events, gateway, APIs, parsers; SECONDS=90 of APIs, a ninth of it for each parser; SEED=1
	infra/security/tools
	infra/security/dependencies
	cargo build --locked --workspace --examples
	functions/tests/with-services cargo test --workspace --locked -q --test it -- \
		security:: users:: notifications::addresses notifications::queue lists:: open_events:: half_open:: \
		endpoints::crud endpoints::claim gateway:: strangers:: owners:: stale::
	infra/security/api $(SECONDS) $(SEED)
	SEED=$(SEED) tools/fuzz/run $$(( $(SECONDS) / 9 ))

URL ?= http://localhost:8000
scenario:  ## the whole story, told to a deployment: URL=... (ARGS=--help)
	cargo run --locked -q -p scenario -- --url $(URL) $(ARGS)

screenshots:  ## the pictures in docs/images, by a real Chromium
	@infra/test-packages fonts-noto-cjk
	cargo build --locked -p functions --examples
	cargo test --locked -p functions --test it browser::pictures -- --ignored

manifests:  ## what derives from the function table
	cargo run --locked -p xtask -- manifests

image:  ## the image, by buildah or docker, and its SBOM
	infra/image/build

check:  ## format, lints, generated files
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo run --locked -p xtask -- manifests --check

secrets:  ## what OVERLAY=dev (or prod) keeps secret, where there is nothing yet
	infra/secrets $(OVERLAY)

deploy:  ## rolls OVERLAY=dev (or prod) out to kubectl's cluster
	infra/deploy $(OVERLAY)

undeploy:  ## takes OVERLAY=dev (or prod) off kubectl's cluster, its data in it too, and waits until it is gone
	infra/undeploy $(OVERLAY)
