// doctest's main(), for the unit tests of common/ and of each phase.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
