# make fuzz                      each target for a minute, or for SECONDS=…
# make fuzz QUICK=1              for ten seconds
# make fuzz TARGETS='http server'
CLANG    ?= clang++
FUZZED    = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
SECONDS   = $(if $(QUICK),10,60)
TARGETS   = http frame protocol server

# The system calls of the server, which fuzz/wrap.cpp answers.
WRAPPED   = socket setsockopt bind listen accept4 recv send sendmsg shutdown read close epoll_create1 \
            epoll_ctl epoll_wait timerfd_create timerfd_settime signalfd sigprocmask \
            _ZNSt6chrono3_V212steady_clock3nowEv \
            _Z10write_lineSt17basic_string_viewIcSt11char_traitsIcEE
fuzz_objects = $(patsubst %.cpp,build/fuzz/%.o,$(filter-out %/main.cpp,$(call sources,phase5_tls)) \
               $(helpers) fuzz/wire.cpp fuzz/$(1)_target.cpp \
               $(if $(filter server,$(1)),$(patsubst %,fuzz/%.cpp,kernel kernel_epoll wrap peer world)))

.PHONY: fuzz fuzz-corpus
fuzz: $(patsubst %,build/fuzz/%,$(TARGETS))
	$(PYTHON) -m fuzz.run --seconds $(SECONDS) $(TARGETS)

# Keeps in fuzz/corpus what reaches most, of all that was found here.
fuzz-corpus: $(patsubst %,build/fuzz/%,$(TARGETS))
	$(PYTHON) -m fuzz.run --merge $(TARGETS)

define fuzz_rule
build/fuzz/$(1): $$(call fuzz_objects,$(1))
	$$(CLANG) $$(FUZZED) -fsanitize=fuzzer -Wl,--wrap=time $$(if $$(filter server,$(1)),$$(patsubst %,-Wl$$(comma)--wrap=%,$$(WRAPPED))) \
	    -o $$@ $$^ $$(LDLIBS)
endef
comma = ,
$(foreach target,http frame protocol server,$(eval $(call fuzz_rule,$(target))))

# What the fuzzer is to explore: the server, and not the simulated kernel.
EXPLORED  = $(if $(filter phase5_tls/% %_target.cpp,$<),-fsanitize=fuzzer-no-link)
build/fuzz/%.o: %.cpp
	@command -v $(CLANG) >/dev/null || { echo 'make fuzz needs clang: tools/setup installs it' >&2; exit 1; }
	@mkdir -p $(@D)
	$(CLANG) -std=c++20 -I. $(WARNINGS) $(FUZZED) $(EXPLORED) -MMD -MP -c -o $@ $<
