# make phase3 && ./phase3        build and run a phase (make: all of them)
# make check                     every test; `make help` lists the rest

CXX      ?= g++
CXXFLAGS ?= -O2 -g
PYTHON   ?= /usr/bin/python3
PYTEST    = $(PYTHON) -m pytest

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Werror
COMPILE  = $(CXX) -std=c++20 -I. $(WARNINGS) $(CXXFLAGS) -MMD -MP
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDLIBS   = -Wl,--as-needed -lssl -lcrypto

# Where this build's objects go; `make SANITIZED=1 …` builds the same with ASan and UBSan beside it.
ifdef SANITIZED
BUILD    = build/sanitized
CXXFLAGS = $(SANITIZE)
else
BUILD    = build/release
endif

PHASES  = phase0 phase1 phase2 phase3 phase4 phase5
home    = $(firstword $(wildcard $(1)_*))
tests   = $(wildcard $(1)/*_test.cpp)
sources = $(filter-out $(call tests,$(1)),$(wildcard $(1)/*.cpp))
objects = $(patsubst %.cpp,$(BUILD)/%.o,$(1))
helpers = $(filter-out common/unit_tests_main.cpp,$(call sources,common))

.PHONY: all $(PHASES) unit unit-sources setup check check-stages check-python diff export format lint help clean
all: $(PHASES)

# One rule for all phases: everything in the phase's directory, and common/.
define phase_rules
$(1): $(BUILD)/$(1)
	@ln -f $(BUILD)/$(1) $(1)
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
