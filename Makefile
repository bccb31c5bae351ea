# The one door for developers: `make help`.
#
# The Python extension itself is built by setup.py (pip); this file builds the Python-free
# core as a library for the C tests, the sanitizer build and the fuzz targets.
CC ?= gcc
PKGS := libunwind-generic libdw libelf libprotobuf-c zlib liblzma
BUILD ?= build/c
SAN ?=
FUZZ_SECONDS ?= 60
CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -fvisibility=hidden -iquote csrc/core -iquote csrc/proto \
	$(shell pkg-config --cflags $(PKGS)) $(SAN)
LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread -ldl -lm
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup

CORE := $(patsubst %.c,$(BUILD)/%.o,$(wildcard csrc/core/*.c csrc/proto/*.c))
TESTS := $(patsubst tests/c/%.c,$(BUILD)/%,$(wildcard tests/c/test_*.c))
FUZZERS := $(patsubst tests/c/%.c,$(BUILD)/%,$(wildcard tests/c/fuzz_*.c))
SANITIZED := -fno-sanitize-recover=all -fno-omit-frame-pointer

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## the virtual environment .venv with cprof and all its tools in it
	script/bootstrap --test

test: ## everything (script/test; its arguments go to pytest)
	script/test

lint: ## layers, formats, types
	script/lint

format: ## let clang-format and ruff rewrite the sources
	script/lint --fix

lib: $(BUILD)/libcprof_core.a ## the core as a static library
$(BUILD)/libcprof_core.a: $(CORE)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/%.o: %.c
	@mkdir -p $(dir $@)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/test_%: tests/c/test_%.c tests/c/alloc.c tests/c/test.h $(BUILD)/libcprof_core.a
	$(CC) $(CFLAGS) $(WRAP) $< tests/c/alloc.c $(BUILD)/libcprof_core.a $(LIBS) -o $@
$(BUILD)/bench_%: bench/%.c $(BUILD)/libcprof_core.a
	$(CC) $(CFLAGS) $< $(BUILD)/libcprof_core.a $(LIBS) -o $@
$(BUILD)/fuzz_%: tests/c/fuzz_%.c $(BUILD)/libcprof_core.a
	$(CC) $(CFLAGS) -fsanitize=fuzzer $< $(BUILD)/libcprof_core.a $(LIBS) -o $@

ctest: $(TESTS) ## build and run the C tests
	@failed=0; for t in $(TESTS); do $$t || failed=1; done; exit $$failed

asan: ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) ctest BUILD=build/asan SAN="-fsanitize=address,undefined $(SANITIZED) -O1"

asan-py: ## the Python unit tests on an extension built with both sanitizers
	script/asan-py

fuzzers: $(FUZZERS)
fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	script/fuzz $(FUZZ_SECONDS)

bench: ## side-by-side benchmarks against other profilers; prints ratios
	script/bootstrap --test
	.venv/bin/python bench/run.py

proto: ## generate csrc/proto/*.pb-c.[ch] again
	protoc-c --proto_path=csrc/proto --c_out=csrc/proto csrc/proto/*.proto

sdist: ## dist/cprof-*.tar.gz
	script/bootstrap --test
	.venv/bin/python setup.py --quiet sdist

clean: ## remove what was built
	rm -rf build dist demo-out *.egg-info cprof/_core*.so

-include $(CORE:.o=.d)
.PHONY: help build test lint format lib ctest asan asan-py fuzzers fuzz bench proto sdist clean
.SECONDARY:
