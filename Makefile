# SPDX-License-Identifier: MIT
# The build of libcgc. `make help` lists the targets; every mode has a directory of its own, build/MODE.

# ---- Debian packages: the only place where they are named ----------------------------------------
DEPS_build  := gcc libc6-dev liburcu-dev libjemalloc-dev
DEPS_demo   :=
DEPS_test   := libcmocka-dev pkgconf
DEPS_fuzz   := clang libclang-rt-14-dev
DEPS_model  := spin
DEPS_mutants := $(DEPS_test) python3
DEPS_soak   := $(DEPS_test) gnuplot-nox python3-minimal
DEPS_bench  := g++ libbenchmark-dev libgc-dev python3-minimal
DEPS_server := libuv1-dev libhiredis-dev
DEPS_server-test := $(DEPS_server) libgc-dev redis-tools redis-server python3
DEPS_server-soak := $(DEPS_server-test) gnuplot-nox
DEPS_server-bench := $(DEPS_server) libgc-dev redis-tools redis-server gnuplot-nox python3
DEPS_compare := g++ pkgconf libgc-dev libboost-dev libglib2.0-dev libmimalloc-dev gnuplot-nox python3 $(DEPS_server) redis-tools
DEPS_lint   := clang clang-format clang-tidy shellcheck $(DEPS_test) $(DEPS_bench) $(DEPS_compare) $(DEPS_server)
DEPS_GROUPS := build demo test fuzz model mutants soak bench server server-test server-soak server-bench compare lint

# ---- What may be overridden on the command line ---------------------------------------------------
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
AR ?= ar
MODE ?= release
DURATION ?= 10
# How long fuzz and fuzz-bytes run, and how many of each program at once: they wait for grace periods most of the time.
FUZZ_SECONDS ?= 60
FUZZ_PAIRS ?= 8
# Of each run of server-tsan.
SECONDS ?= 10
# Of server-flushall.
KEYS ?= 10000000
# Random commands of each comparison in server-test.
COMMANDS ?= 20000
prefix ?= /usr/local
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
# Something to put in front of every program that is run, as `make test RUN='nice -n 19'`.
RUN ?=
# V=1 shows the commands.
V ?=
# -Werror belongs to those who look after the code, not to those who build it: .ci/run sets it.
WERROR ?=

# ---- Modes ----------------------------------------------------------------------------------------
# The sanitizers are gcc's: they need no further package and name functions and lines by themselves. Those of
# clang 14 agree (make tsan CC=clang, with libclang-rt-14-dev and llvm). In either, malloc is the sanitizer's;
# the library's own memory comes from jemalloc by mallocx(), which they do not see.
B := build/$(MODE)
ifeq ($(MODE),release)
MODE_FLAGS := -O2 -g
else ifeq ($(MODE),debug)
MODE_FLAGS := -Og -g3 -fno-omit-frame-pointer
else ifeq ($(MODE),tsan)
MODE_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
else ifeq ($(MODE),asan)
MODE_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(MODE),pause)
# With every pause point (src/pause.h), for the interleaving tests.
MODE_FLAGS := -O1 -g -DCGC__PAUSES=1
else ifeq ($(MODE),pause-tsan)
MODE_FLAGS := -O1 -g -DCGC__PAUSES=1 -fno-omit-frame-pointer -fsanitize=thread
else ifeq ($(MODE),fuzz)
# For libFuzzer, which comes with clang.
CC := clang
MODE_FLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
else
$(error MODE is release, debug, tsan, asan, pause, pause-tsan or fuzz, not '$(MODE)')
endif

VERSION := $(shell awk '/define CGC_VERSION_/ { v = v s $$3; s = "." } END { print v }' include/cgc.h)
SONAME := libcgc.so.0

WARN := -Wall -Wextra -Wshadow -Wundef -Wwrite-strings -Wpointer-arith $(WERROR)
WARN_C := $(WARN) -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition
COMPILE_C = $(CC) -std=gnu11 $(WARN_C) $(MODE_FLAGS) -pthread -fPIC $(CPPFLAGS) $(CFLAGS) -MMD -MP
COMPILE_CXX = $(CXX) -std=gnu++20 $(WARN) $(MODE_FLAGS) -pthread -fPIC $(CPPFLAGS) $(CXXFLAGS) -MMD -MP
# The library is stricter: no conversion that loses bits, and only what cgc.h marks is visible.
$(B)/obj/src/%.o: WARN_C += -Wconversion -fvisibility=hidden
INCLUDE := -Iinclude -Isrc
LINK = $(CC) $(MODE_FLAGS) -pthread $(CFLAGS) $(LDFLAGS)
LIBS := -lurcu-memb -lurcu-common -ljemalloc

# ---- Files ----------------------------------------------------------------------------------------
comma := ,
object = $(patsubst %,$(B)/obj/%.o,$(basename $(1)))
LIB_OBJECTS := $(call object,$(wildcard src/*.c))
INTERLEAVE := $(patsubst tests/interleave/%.c,$(B)/interleave/%,$(wildcard tests/interleave/test_*.c))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
STRESS := $(patsubst stress/%.c,$(B)/stress/%,$(wildcard stress/stress_*.c))
FUZZ := $(patsubst %,$(B)/fuzz/%,fuzz_one fuzz_many)
FUZZ_OBJECTS := $(call object,$(filter-out tests/fuzz/fuzz_%.c,$(wildcard tests/fuzz/*.c)))
DEMO_OBJECTS := $(call object,$(wildcard bench/demo/*.c))
STALL_OBJECTS := $(call object,$(wildcard bench/stall.c))
BENCH_OBJECTS := $(filter-out $(STALL_OBJECTS),$(call object,$(wildcard bench/*.c bench/*.cc)))
C_FILES := $(wildcard $(foreach d,include include/cgc src tests tests/interleave tests/fuzz tests/install stress bench bench/compare bench/demo bench/server,$(d)/*.c $(d)/*.h))
CXX_FILES := $(wildcard bench/*.cc bench/compare/*.cc)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-print-directory
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2);)
# One program after the other, each built with all processors unless -j says otherwise.
SUB = +$(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
ifneq ($(filter deps demo test interleave stress soak fuzz fuzz-bytes server-test server-tsan server-soak server-flushall server-bench compare tsan asan bench lint format,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

# ---- Building -------------------------------------------------------------------------------------
.PHONY: all programs interleave-programs fuzz-programs bench-programs compare-programs
all: $(B)/libcgc.a $(B)/libcgc.so ## the libraries (MODE=release, debug, tsan, asan, pause, pause-tsan)

interleave-programs: $(INTERLEAVE)

fuzz-programs: $(FUZZ)

programs: $(TESTS) $(STRESS) $(if $(DEMO_OBJECTS),$(B)/demo)

bench-programs: $(if $(BENCH_OBJECTS),$(B)/bench) $(if $(STALL_OBJECTS),$(B)/stall)

$(B)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(COMPILE_C) $(INCLUDE) -c $< -o $@

$(B)/obj/%.o: %.cc Makefile
	@mkdir -p $(@D)
	$(call say,CXX,$@)$(COMPILE_CXX) $(INCLUDE) -c $< -o $@

$(B)/libcgc.a: $(LIB_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

# nodelete: threads that used it may end after a dlclose(), and types know the numbers it gave them.
$(B)/libcgc.so: $(LIB_OBJECTS) src/cgc.map
	$(call say,LINK,$@)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/cgc.map -Wl,-z,now \
	    -Wl,-z,nodelete $(LIB_OBJECTS) -o $(B)/$(SONAME) $(LIBS)
	@ln -sf $(SONAME) $@

# Calls that these programs let fail; functions whose names the dynamic linker is to know.
$(B)/tests/test_sites: LINK_ALSO := -rdynamic
$(B)/tests/test_faults_memory: LINK_ALSO := -Wl,--wrap=mallocx
$(B)/tests/test_faults: LINK_ALSO := $(patsubst %,-Wl$(comma)--wrap=%,pthread_create pthread_key_create \
    pthread_setspecific pthread_atfork sem_init mallocx)

$(TESTS): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libcgc.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) $(LINK_ALSO) $^ -o $@ -lcmocka $(LIBS)

$(INTERLEAVE): $(B)/interleave/%: $(B)/obj/tests/interleave/%.o $(B)/libcgc.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) $^ -o $@ -lcmocka $(LIBS) -lm

$(FUZZ): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(FUZZ_OBJECTS) $(B)/libcgc.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) $^ -o $@ $(LIBS)

$(B)/fuzz/fuzz_bytes: $(B)/obj/tests/fuzz/fuzz_bytes.o $(FUZZ_OBJECTS) $(B)/libcgc.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) -fsanitize=fuzzer $^ -o $@ $(LIBS)

$(STRESS): $(B)/stress/%: $(B)/obj/stress/%.o $(B)/libcgc.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) $^ -o $@ $(LIBS)

$(B)/demo: $(DEMO_OBJECTS) $(B)/libcgc.a
	$(call say,LINK,$@)$(LINK) $^ -o $@ $(LIBS) -lm

# All flavours of liburcu: one of the benchmarks compares them.
$(B)/bench: $(BENCH_OBJECTS) $(B)/libcgc.a
	$(call say,LINK,$@)$(CXX) $(MODE_FLAGS) -pthread $(CXXFLAGS) $(LDFLAGS) $^ -o $@ \
	    -lbenchmark -lgc -lurcu-bp -lurcu-qsbr $(LIBS) -lm

$(B)/stall: $(STALL_OBJECTS) $(B)/libcgc.a
	$(call say,LINK,$@)$(LINK) $^ -o $@ $(LIBS) -lm

# The server, over three ways to manage memory: its sources, and those that end in the name of one of them.
POLICIES := cgc manual bdwgc
server-objects = $(patsubst bench/server/%.c,$(B)/obj/$(1)-server/%.o,$(filter-out \
    $(foreach p,$(filter-out $(1),$(POLICIES)),bench/server/%_$(p).c),$(wildcard bench/server/*.c)))
MEMORY_manual := -DMEMORY_MANUAL
MEMORY_bdwgc := -DMEMORY_BDWGC
LIBS_cgc = $(B)/libcgc.a $(LIBS)
LIBS_manual = $(LIBS)
LIBS_bdwgc = -lgc -ljemalloc
define server-rules
$(B)/obj/$(1)-server/%.o: bench/server/%.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)$$(COMPILE_C) $$(MEMORY_$(1)) -DSERVER_VERSION='"$$(VERSION)"' $$(INCLUDE) -c $$< -o $$@

$(B)/$(1)-server: $(call server-objects,$(1)) $(if $(filter cgc,$(1)),$(B)/libcgc.a)
	$$(call say,LINK,$$@)$$(LINK) $(call server-objects,$(1)) -o $$@ -luv -lhiredis $$(LIBS_$(1)) -lm
endef
$(foreach p,$(POLICIES),$(eval $(call server-rules,$(p))))

# The programs that are compared: one for each peer, from the same loops. C++ allocates from jemalloc, as libcgc does.
COMPARE := $(patsubst %,$(B)/compare/%,cgc jemalloc mimalloc glibc bdwgc shared_ptr boost glib)
compare-object = $(patsubst %,$(B)/obj/bench/compare/%.o,$(1))
$(B)/compare/cgc: $(call object,$(wildcard bench/compare/cgc*.c)) $(B)/libcgc.a
$(B)/compare/cgc: LIBS_compare = $(LIBS)
$(B)/compare/jemalloc $(B)/compare/mimalloc $(B)/compare/glibc: $(call compare-object,malloc)
$(B)/compare/jemalloc: LIBS_compare = -ljemalloc
$(B)/compare/mimalloc: LIBS_compare = -lmimalloc
$(B)/compare/bdwgc: $(call compare-object,bdwgc)
$(B)/compare/bdwgc: LIBS_compare = -lgc
$(B)/compare/shared_ptr: $(call compare-object,shared_ptr)
$(B)/compare/boost: $(call compare-object,boost)
$(B)/compare/shared_ptr $(B)/compare/boost: LIBS_compare = -ljemalloc -lstdc++
$(B)/compare/glib: $(call compare-object,glib)
$(B)/compare/glib: LIBS_compare = $(shell pkg-config --libs gobject-2.0) -ljemalloc
$(call compare-object,glib): INCLUDE = -Iinclude -Isrc $(shell pkg-config --cflags gobject-2.0)

compare-programs: $(COMPARE)
$(COMPARE): $(call compare-object,harness)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) $^ -o $@ $(LIBS_compare) -lm

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- Running --------------------------------------------------------------------------------------
.PHONY: demo test interleave stress soak fuzz fuzz-bytes model model-deep mutants server server-test server-tsan server-soak server-flushall server-bench compare tsan asan bench lint format
mutants: deps-mutants ## faults of one line in src/, one at a time: each must be noticed by a test (MUTANTS=--short)
	@tests/mutants/run $(MUTANTS)

server: deps-server ## build the server: build/release/cgc-server (--port N --threads N --maxmemory BYTES)
	@$(SUB) MODE=release build/release/cgc-server

server-test: deps-server-test ## the server against redis-server and broken clients
	@$(SUB) MODE=release $(POLICIES:%=build/release/%-server)
	@COMMANDS='$(COMMANDS)' tests/server/run.sh build/release

demo: deps-demo ## build and run the demonstration (DURATION= THREADS= SEED= FILE=)
	@$(SUB) MODE=release build/release/demo
	$(RUN) build/release/demo

test: deps-test ## build and run all tests; the last line is "N passed, N failed"
	@$(SUB) MODE=$(MODE) all programs
	@RUN='$(RUN)' tests/run.sh $(B)

interleave: deps-test ## tests that hold threads between two steps of the protocol
	@$(SUB) MODE=pause interleave-programs
	@RUN='$(RUN)' tests/run.sh --interleave build/pause

stress: deps-build ## each stress program for DURATION=10 seconds
	@$(SUB) MODE=$(MODE) programs
	@RUN='$(RUN)' DURATION=$(DURATION) tests/run.sh --stress $(B)

soak: deps-soak ## all stress programs at once for DURATION=1800 seconds; memory must stay flat (build/soak.svg)
	@$(SUB) MODE=release programs
	@DURATION=$(if $(filter command line environment,$(origin DURATION)),$(DURATION),1800) stress/soak.py build/release

fuzz: deps-build ## random programs against a sequential oracle for FUZZ_SECONDS=60 (FUZZ_PAIRS= MODE=)
	@$(SUB) MODE=$(MODE) fuzz-programs
	@RUN='$(RUN)' DURATION=$(FUZZ_SECONDS) tests/fuzz/run.sh $(B) $(FUZZ_PAIRS)

fuzz-bytes: deps-fuzz ## the same, steered by libFuzzer, under AddressSanitizer, for FUZZ_SECONDS=60
	@$(SUB) MODE=fuzz build/fuzz/fuzz/fuzz_bytes
	$(RUN) build/fuzz/fuzz/fuzz_bytes -artifact_prefix=build/fuzz/ -max_len=8192 -timeout=120 \
	    -max_total_time=$(FUZZ_SECONDS)

model: deps-model ## check the models of the protocol, and that each broken twin is found
	@tests/model/run.sh

model-deep: deps-model ## the same in larger bounds
	@tests/model/run.sh --deep

server-tsan: deps-server-test ## the server under ThreadSanitizer, 8 clients with random commands for SECONDS=10, twice
	@$(SUB) MODE=tsan build/tsan/cgc-server
	tests/server/load.py --seconds $(SECONDS) --threads 4 build/tsan/cgc-server
	tests/server/load.py --seconds $(SECONDS) --threads 8 --memory eager=1,chunk=1,collect=1,yield=100 build/tsan/cgc-server

server-soak: deps-server-soak ## the server under load for DURATION=1800 seconds; memory must stay flat (build/server-soak.svg)
	@$(SUB) MODE=release build/release/cgc-server
	@DURATION=$(if $(filter command line environment,$(origin DURATION)),$(DURATION),1800) tests/server/soak.py build/release

server-flushall: deps-server-test ## a measurement: what FLUSHALL of KEYS=10000000 keys does to other clients (about 3 GB)
	@$(SUB) MODE=release build/release/cgc-server
	@KEYS=$(KEYS) tests/server/flushall.py build/release/cgc-server

server-bench: deps-server-bench ## the server over three memory policies, beside redis-server (SIZES= SERVERS= REPETITIONS= SHORT=1)
	@$(SUB) MODE=release $(POLICIES:%=build/release/%-server)
	@$(RUN) python3 bench/server_bench.py build/release

compare: deps-compare ## libcgc beside its peers, every figure a ratio (ONLY=regex REPETITIONS=7 SHORT=1; build/compare.json)
	@$(SUB) MODE=release compare-programs build/release/stall $(POLICIES:%=build/release/%-server)
	@$(RUN) python3 bench/compare/run.py build/release

tsan: deps-test ## the tests, the interleavings and 20 seconds of each stress program under ThreadSanitizer
	@$(SUB) MODE=tsan programs
	@$(SUB) MODE=pause-tsan interleave-programs
	@RUN='$(RUN)' tests/run.sh build/tsan
	@RUN='$(RUN)' tests/run.sh --interleave build/pause-tsan
	@RUN='$(RUN)' DURATION=20 tests/run.sh --stress build/tsan

asan: deps-test ## the tests and 20 seconds of each stress program under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(SUB) MODE=asan programs
	@RUN='$(RUN)' tests/run.sh build/asan
	@RUN='$(RUN)' DURATION=20 tests/run.sh --stress build/asan

bench: deps-bench ## build and run the benchmarks, print the table (raw data: build/bench.json)
	@$(SUB) MODE=release bench-programs
	$(RUN) build/release/bench --benchmark_enable_random_interleaving=true --benchmark_repetitions=7 \
	    --benchmark_report_aggregates_only=true --benchmark_out=build/bench.json --benchmark_out_format=json
	$(if $(wildcard bench/table.py),python3 bench/table.py build/bench.json)
	$(if $(STALL_OBJECTS),$(RUN) build/release/stall)

lint: deps-lint ## formatting, warnings, clang-tidy, sizes, names, words, atomic operations, scripts
	@$(SUB) MODE=release all
	@C_INCLUDE_PATH="$$(pkg-config --cflags-only-I gobject-2.0 | sed 's/-I//g; s/ *$$//; s/  */:/g')" \
	    LINT_FLAGS='$(WARN_C) $(INCLUDE)' LINT_CXX_FLAGS='$(WARN) $(INCLUDE)' tests/lint/all.sh

format: deps-lint ## reformat all C and C++ files in place
	clang-format -i $(C_FILES) $(CXX_FILES)

# ---- Packages -------------------------------------------------------------------------------------
# Quick when nothing is missing: one question to dpkg. Otherwise apt, as root or through sudo.
.PHONY: deps $(DEPS_GROUPS:%=deps-%)
deps: PACKAGES = $(foreach g,$(DEPS_GROUPS),$(DEPS_$(g)))
$(foreach g,$(DEPS_GROUPS),$(eval deps-$(g): PACKAGES = $$(DEPS_build) $$(DEPS_$(g))))

deps: ## install every Debian package that any target needs
deps $(DEPS_GROUPS:%=deps-%):
	@command -v dpkg-query >/dev/null || \
	    { echo "make: no dpkg here; needed, by their Debian names: $(sort $(PACKAGES))"; exit 0; }; \
	missing=; \
	for p in $(sort $(PACKAGES)); do \
	    dpkg-query -W -f '$${db:Status-Status}\n' $$p 2>/dev/null | grep -qx installed || \
	        missing="$$missing $$p"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	echo "make: installing$$missing"; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing

# ---- Installing -----------------------------------------------------------------------------------
.PHONY: install uninstall clean help
install: all ## install headers, libraries and the pkg-config file (DESTDIR= prefix=)
	install -d $(DESTDIR)$(includedir)/cgc $(DESTDIR)$(libdir)/pkgconfig
	install -m 644 include/cgc.h $(DESTDIR)$(includedir)
	install -m 644 include/cgc/fast.h $(DESTDIR)$(includedir)/cgc
	install -m 644 $(B)/libcgc.a $(B)/$(SONAME) $(DESTDIR)$(libdir)
	ln -sf $(SONAME) $(DESTDIR)$(libdir)/libcgc.so
	sed -e 's|@prefix@|$(prefix)|' -e 's|@libdir@|$(libdir)|' -e 's|@includedir@|$(includedir)|' \
	    -e 's|@VERSION@|$(VERSION)|' src/cgc.pc.in >$(DESTDIR)$(libdir)/pkgconfig/cgc.pc
	@# ld.so finds what is in /usr/local/lib by its cache only.
	@case '$(DESTDIR)$(libdir)' in /usr/* | /lib*) [ "$$(id -u)" != 0 ] || PATH="$$PATH:/sbin" ldconfig ;; esac

uninstall: ## remove what install has installed (DESTDIR= prefix=)
	rm -f $(DESTDIR)$(includedir)/cgc.h $(DESTDIR)$(includedir)/cgc/fast.h $(DESTDIR)$(libdir)/pkgconfig/cgc.pc \
	    $(addprefix $(DESTDIR)$(libdir)/,libcgc.a libcgc.so $(SONAME))
	-rmdir $(DESTDIR)$(includedir)/cgc

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12
