#include "common/unique_fd.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

namespace {

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) != -1;
}

}  // namespace

TEST_CASE("a descriptor is closed once, by its last owner") {
    const int raw = dup(0);
    {
        UniqueFd first{raw};
        UniqueFd second{std::move(first)};
        CHECK(!first);  // NOLINT(bugprone-use-after-move)
        CHECK(second.get() == raw);
        first = std::move(second);
        CHECK(first.get() == raw);
        CHECK(is_open(raw));
    }
    CHECK(!is_open(raw));
}

TEST_CASE("assigning to an owner closes what it had") {
    const int raw = dup(0);
    UniqueFd owner{raw};
    owner = UniqueFd{};
    CHECK(!is_open(raw));
    CHECK(!owner);
}
