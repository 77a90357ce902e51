# `make lab` and `make test` do everything, set-up included. Each step says what it does and how long it took.

# Outside the clone, so that a new clone is warm.
CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/bootstrap
export CARGO_TARGET_DIR ?= $(CACHE)/target

.PHONY: help lab lab-down test check bench dist setup

help:
	@echo 'make lab       two virtual machines, enrolled at a local SSM endpoint'
	@echo 'make lab-down  stop them'
	@echo 'make test      everything: format, lints, unit, integration and QEMU tests'
	@echo 'make check     the fast part of it: format, lints, unit and integration tests'
	@echo 'make bench     bootstrap beside a tuned shell loop on 200 real sshd; N= for another number'
	@echo 'make dist      static binaries for x86_64, aarch64 and armv7 in dist/, with digests and bills of materials'

setup:
	@tools/setup.sh

lab: setup
	@tools/lab.sh

lab-down:
	@"$(CARGO_TARGET_DIR)/debug/hil" lab down

test: setup
	@tools/test.sh

check: setup
	@tools/test.sh --fast

bench: setup
	@tools/bench-fleet.sh $(if $(N),--hosts $(N))

dist:
	@BOOTSTRAP_STATIC="$(CACHE)/static" tools/dist.sh
