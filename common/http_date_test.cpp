#include "common/http_date.hpp"

#include <doctest/doctest.h>

TEST_CASE("a date is in GMT and always as long (RFC 9110 §5.6.7)") {
    CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");  // the RFC's example
    CHECK(http_date(1709251199) == "Thu, 29 Feb 2024 23:59:59 GMT");
    CHECK(http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
}
