# The one door for developers: `make help`.
#
# The Python extension itself is built by setup.py (pip); this file builds the Python-free
# core as a library for the C tests, the sanitizer build and the fuzz targets.
CC ?= gcc
PKGS := libunwind-generic libprotobuf-c zlib liblzma
BUILD ?= build/c
SAN ?=
CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -fvisibility=hidden -Icsrc/core -Icsrc/proto \
	$(shell pkg-config --cflags $(PKGS)) $(SAN)
LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread -ldl -lm
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup

CORE := $(patsubst %.c,$(BUILD)/%.o,$(wildcard csrc/core/*.c csrc/proto/*.c))
TESTS := $(patsubst tests/c/%.c,$(BUILD)/%,$(wildcard tests/c/test_*.c))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

lib: $(BUILD)/libcprof_core.a ## the core as a static library
$(BUILD)/libcprof_core.a: $(CORE)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/%.o: %.c
	@mkdir -p $(dir $@)
	$(CC) $(CFLAGS) -MMD -c $< -o $@
$(BUILD)/test_%: tests/c/test_%.c tests/c/alloc.c tests/c/test.h $(BUILD)/libcprof_core.a
	$(CC) $(CFLAGS) $(WRAP) $< tests/c/alloc.c $(BUILD)/libcprof_core.a $(LIBS) -o $@

ctest: $(TESTS) ## build and run the C tests
	@failed=0; for t in $(TESTS); do $$t || failed=1; done; exit $$failed

asan: ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) ctest BUILD=build/asan SAN="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

clean: ## remove what was built
	rm -rf build

-include $(CORE:.o=.d)
.PHONY: help lib ctest asan clean
.SECONDARY:
