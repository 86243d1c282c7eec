# make phase3 && ./phase3        build and run a phase (make: all of them)
# make check                     every test; `make help` lists the rest

CXX      ?= g++
CXXFLAGS ?= -O2 -g
PYTHON   ?= /usr/bin/python3
PYTEST    = $(PYTHON) -m pytest
CORES    := $(shell nproc)

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Werror
# CXXFLAGS may undo a warning, but no other -std may come in by it: some shells' environment has one.
COMPILE  = $(CXX) -I. $(WARNINGS) $(CXXFLAGS) -std=c++20 -MMD -MP
# Not vptr: it opens a pipe to see whether memory can be read, and takes none for a wrong object.
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=vptr \
           -fno-sanitize-recover=all
LDLIBS   = -Wl,--as-needed -lssl -lcrypto

# Where this build's objects go; `make SANITIZED=1 …` builds the same with ASan and UBSan beside it.
ifdef SANITIZED
BUILD    = build/sanitized
CXXFLAGS = $(SANITIZE)
else
BUILD    = build/release
endif

# A copy without symbolic links has texts in their place.
ifeq ($(shell head -c 3 phase2_handshake/poller.hpp 2>/dev/null),../)
$(error This copy has no symbolic links, of which the phases are made. Clone it again, on a file system \
of Linux: git clone -c core.symlinks=true)
endif

home    = $(firstword $(wildcard $(1)_*))
# A test that is a link has run where it was taught. Here it would say the same, but for where what
# it tests is another one now: X_test.cpp and X_more_test.cpp test X.cpp.
tests   = $(filter $(foreach file,$(call real,$(1),*.[ch]pp),$(basename $(file))%),\
          $(wildcard $(1)/*_test.cpp))
real    = $(shell find $(1) -maxdepth 1 -name '$(2)' -type f 2>/dev/null)
sources = $(filter-out %_test.cpp,$(wildcard $(1)/*.cpp))
objects = $(patsubst %.cpp,$(BUILD)/%.o,$(1))
helpers = $(filter-out common/unit_tests_main.cpp,$(call sources,common))

# Those that are here: an exported phase is alone.
PHASES  = $(sort $(foreach path,$(wildcard phase[0-9]_*),$(firstword $(subst _, ,$(path)))))
UNIT_TESTS = $(patsubst %,$(BUILD)/%_unit_tests,common $(wildcard bench) $(filter-out phase0,$(PHASES)))
FORMATTED  = $(shell find common phase*_* $(wildcard bench fuzz trust) -name '*.[ch]pp' -type f)

.PHONY: all $(PHASES) unit check check-stages check-python check-teaching check-flaky check-platforms memcheck setup diff export bench count trust soak format lint help clean
all: $(PHASES)

# One rule for all phases: everything in the phase's directory, and common/.
define phase_rules
$(1): $(BUILD)/$(1)
	@ln -f $(BUILD)/$(1) $(1) 2>/dev/null || cp -f $(BUILD)/$(1) $(1)
$(BUILD)/$(1): $(call objects,$(call sources,$(call home,$(1))) $(helpers))
	$$(CXX) $$(CXXFLAGS) -o $$@ $$^ $$(LDLIBS)
$(BUILD)/$(1)_unit_tests: $(call objects,$(call tests,$(call home,$(1))) \
    $(filter-out %/main.cpp,$(call sources,$(call home,$(1)))) $(helpers) common/unit_tests_main.cpp)
	$$(CXX) $$(CXXFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach phase,$(PHASES),$(eval $(call phase_rules,$(phase))))

$(BUILD)/common_unit_tests: $(call objects,$(wildcard common/*.cpp))
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.cpp
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<
-include $(shell find build -name '*.d' 2>/dev/null)

# make bench              about 10 minutes; QUICK=1: about two
# make bench FLAGS='--peer NAME="COMMAND --port {port}"'      beside a server built elsewhere
# make count              system calls a message
bench_objects = $(call objects,$(patsubst %,bench/%.cpp,$(1)) $(helpers))
bench: phase5 $(BUILD)/bench/load $(BUILD)/bench/raw_echo
	$(PYTHON) -m bench.run $(if $(QUICK),--quick) $(FLAGS)
count: phase5 $(BUILD)/bench/load $(BUILD)/bench/raw_echo
	$(PYTHON) -m bench.count
$(BUILD)/bench/load: $(call bench_objects,load client generator process script stream)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/bench/raw_echo: $(call bench_objects,raw_echo)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/bench_unit_tests: $(call bench_objects,script) \
    $(call objects,$(call tests,bench) common/unit_tests_main.cpp)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LDLIBS)
# websocketpp is no C++20.
$(BUILD)/bench/peers/%: bench/peers/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -std=c++17 -o $@ $< -pthread -Wl,--as-needed -lwebsockets

# make trust              attacks, about half an hour; QUICK=1: about two minutes
# make soak MINUTES=30    clients of every kind, and memory that stays as it was
trust: phase5 $(BUILD)/bench/load $(BUILD)/trust/faults
	$(PYTHON) -m trust $(if $(QUICK),--quick)
soak: phase5
	$(PYTHON) -m trust --only soak --minutes $(if $(filter file,$(origin MINUTES)),30,$(MINUTES))
# Each call that trust/wrapped_*.cpp wraps leads there from phase 5's objects.
$(BUILD)/trust/faults: $(call objects,$(call sources,trust) $(helpers) \
    $(filter-out %/main.cpp,$(call sources,$(call home,phase5))))
	$(CXX) $(CXXFLAGS) -o $@ $^ $$(nm $^ | sed -n 's/.* T __wrap_/-Wl,--wrap=/p') $(LDLIBS)

-include fuzz/fuzz.mk

setup:
	tools/setup

# All that must hold. The servers run with sanitizers; each suite also on the phases after its own.
check: check-stages
	$(MAKE) -j $(CORES) SANITIZED=1 unit $(patsubst %,build/sanitized/%,$(PHASES))
	$(MAKE) -j $(CORES) $(PHASES)
	$(MAKE) check-python
	$(MAKE) check-teaching QUICK=1
	$(MAKE) fuzz QUICK=1
	$(MAKE) trust QUICK=1

unit: $(UNIT_TESTS)
	@for tests in $^; do echo "$$tests" && $$tests --minimal || exit 1; done

check-python:
	$(PYTEST) $(wildcard tests_py/test_phase*.py) -q -n 2 --build build/sanitized --later
	$(PYTEST) $(filter-out tests_py/test_phase%,$(wildcard tests_py/test_*.py)) -q -n 2

# The tests are tested: each task blanked alone, each bug of the zoo, and the whole way from an empty
# work/ to the last box. QUICK=1: a sample, in two minutes.
check-teaching: $(PHASES)
	$(PYTHON) -m tools.zoo check $(if $(QUICK),--quick)
	$(PYTHON) -m tools.exercises check $(if $(QUICK),--quick)
	$(if $(QUICK),,$(PYTHON) tests_py/walkthrough.py)

# The suite of phase 5 under valgrind, in half an hour; one test at a time and on a machine that is
# quiet, or those that measure times complain. Left out: a thousand connections at once are slower
# there than --ping-interval, so that what comes first is a PING.
MEMCHECK = valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible
memcheck: phase5
	$(PYTEST) tests_py/test_phase5.py -q --deadline-scale 8 --server '$(MEMCHECK) ./phase5' \
	    --deselect tests_py/test_phase5.py::test_sigterm_with_a_thousand_connections

# The suites, again and again with both cores busy: there must be no false alarm.
MINUTES ?= 10
check-flaky: $(PHASES)
	@end=$$(($$(date +%s) + 60 * $(MINUTES))); rounds=0; \
	while [ $$(date +%s) -lt $$end ]; do \
	    $(PYTEST) $(wildcard tests_py/test_phase*.py) -q -n 4 || exit 1; rounds=$$((rounds + 1)); \
	done; echo "$$rounds rounds in $(MINUTES) minutes, no false alarm"

# The README's two commands on Debian 12, 13 and testing, made bare for each: as root and as a user with
# sudo, with IPv6 and without. Must be root; a quarter of an hour each. PLATFORMS='12 13:root testing:user:noipv6'
check-platforms:
	tools/platforms $(PLATFORMS)

check-stages:
	$(PYTHON) -m tools.stages check

# The lesson of a phase: what it adds to the one before.
diff:
	@test -n "$(PHASE)" || { echo 'usage: make diff PHASE=3' >&2; exit 2; }
	@diff -ruN -x README.md -x '*_test.cpp' \
	    $(call home,phase$(shell expr $(PHASE) - 1)) $(call home,phase$(PHASE)) || test $$? -eq 1

# A phase as plain files that build by themselves.
export:
	@test -n "$(PHASE)" -a -n "$(DIR)" || { echo 'usage: make export PHASE=4 DIR=/tmp/mine' >&2; exit 2; }
	$(PYTHON) -m tools.stages export $(PHASE) "$(DIR)"

compile_commands.json: Makefile
	bear -- $(MAKE) -j $(CORES) --always-make BUILD=build/editor all

# Real files only: clang-format would put a copy in place of a link.
format:
	clang-format -i $(FORMATTED)
	black --quiet --line-length 100 tests_py tools $(wildcard bench fuzz trust)

lint:
	clang-format --dry-run --Werror $(FORMATTED)
	@printf '%s\n' $(filter-out bench/peers/%,$(filter %.cpp,$(FORMATTED))) | \
	    xargs -P $(CORES) -I FILE clang-tidy --quiet FILE -- -std=c++20 -I.

help:
	@echo 'make phase3 && ./phase3     build and run a phase'
	@echo 'make                        build all of them'
	@echo 'make setup                  install what is missing'
	@echo 'make check                  every test'
	@echo 'make unit                   the unit tests alone'
	@echo 'make check-teaching         that the tests and exercises do what they say'
	@echo 'make check-flaky MINUTES=60 that the suites raise no false alarm'
	@echo 'make check-platforms        the two commands of README.md on bare Debians (must be root)'
	@echo 'make check-stages           that each phase builds on the one before'
	@echo 'make diff PHASE=3           what phase 3 adds'
	@echo 'make export PHASE=3 DIR=…   phase 3 as plain files that build by themselves'
	@echo 'make bench, make count      speed beside others (QUICK=1: a minute); system calls'
	@echo 'make trust                  attacks on phase 5, and what came of them (QUICK=1: two minutes)'
	@echo 'make soak MINUTES=30        clients of every kind for that long'
	@echo 'make compile_commands.json  for editors'
	@echo 'make fuzz SECONDS=600       any input; make memcheck: valgrind'
	@echo 'make format, make lint      clang-format and black; clang-tidy'

clean:
	rm -rf build $(PHASES)
