# What ./learn builds of a learner's work, by hand: make -f tools/work.mk work/build/phase3
CXX     ?= g++
WARNINGS = -Wall -Wextra -Wpedantic -Werror -Wno-unused-parameter -Wno-unused-function
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
COMPILE  = $(CXX) -std=c++20 -I. $(WARNINGS) $(SANITIZE) -MMD -MP -fmax-errors=5
LDLIBS   = -Wl,--as-needed -lssl -lcrypto
BUILD    = work/build

objects = $(patsubst %.cpp,$(BUILD)/objects/%.o,$(1))
tests   = $(wildcard $(1)/*_test.cpp)
sources = $(filter-out $(call tests,$(1)),$(wildcard $(1)/*.cpp))
helpers = $(filter-out common/unit_tests_main.cpp,$(call sources,common))
needed  = $(if $(filter phase0,$(1)),,$(helpers))
PHASES  = $(notdir $(wildcard work/phase[0-9]))

define phase_rules
$(BUILD)/$(1): $(call objects,$(call sources,work/$(1)) $(call needed,$(1)))
	$$(CXX) $(SANITIZE) -o $$@ $$^ $(LDLIBS)
$(BUILD)/$(1)_unit_tests: $(call objects,$(call tests,work/$(1)) \
    $(filter-out %/main.cpp,$(call sources,work/$(1))) $(helpers) common/unit_tests_main.cpp)
	$$(CXX) $(SANITIZE) -o $$@ $$^ $(LDLIBS)
endef
$(foreach phase,$(PHASES),$(eval $(call phase_rules,$(phase))))

# Unit tests are large and run once: a quick compilation is worth more than a quick test.
$(BUILD)/objects/%.o: %.cpp tools/work.mk
	@mkdir -p $(@D)
	$(COMPILE) $(if $(filter %_test.cpp,$<),-O0) -c -o $@ $<
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: flags
flags:
	@echo '$(COMPILE)'
