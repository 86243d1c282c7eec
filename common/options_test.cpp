#include "common/options.hpp"

#include <doctest/doctest.h>

namespace {

struct Flags {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080;
    std::size_t limit = 100;
    std::chrono::milliseconds timeout{1000};
    bool drop = false;
    bool verbose = false;
    std::vector<std::string> origins;
    Options options{"server", "Serves."};

    Flags() {
        options.text("--host", "ADDR", "address", host);
        options.port("--port", "port", port);
        options.count("--limit", "BYTES", "limit", limit);
        options.seconds("--timeout", "timeout", timeout);
        options.either("--when-full", "pause", "drop", "policy", drop);
        options.list("--origin", "ORIGIN", "origin", origins);
        options.toggle("-v", "log", verbose);
    }
    bool parse(std::vector<const char*> arguments) {
        arguments.insert(arguments.begin(), "server");
        return options.parse(static_cast<int>(arguments.size()), arguments.data());
    }
    std::string complaint(const std::vector<const char*>& arguments) {
        try {
            parse(arguments);
        } catch (const UsageError& error) {
            return error.what();
        }
        return "none";
    }
};

}  // namespace

TEST_CASE("flags set their variables, in both spellings") {
    Flags flags;
    CHECK(flags.parse({"--host", "::1", "--port=0", "--limit", "7", "--timeout", "0.25", "-v",
                       "--when-full", "drop", "--origin", "a", "--origin=b"}));
    CHECK(flags.host == "::1");
    CHECK(flags.port == 0);
    CHECK(flags.limit == 7);
    CHECK(flags.timeout == std::chrono::milliseconds{250});
    CHECK(flags.drop);
    CHECK(flags.verbose);
    CHECK(flags.origins == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a complaint names the flag and what it takes") {
    CHECK(Flags{}.complaint({"--port", "65536"}) ==
          "--port takes a number from 0 to 65535, not '65536'");
    CHECK(Flags{}.complaint({"--port", "80x"}) ==
          "--port takes a number from 0 to 65535, not '80x'");
    CHECK(Flags{}.complaint({"--port"}) ==
          "--port takes a number from 0 to 65535, and none was given");
    CHECK(Flags{}.complaint({"--limit", "0"}) == "--limit takes a whole number from 1, not '0'");
    CHECK(Flags{}.complaint({"--limit", "-1"}) == "--limit takes a whole number from 1, not '-1'");
    CHECK(Flags{}.complaint({"--timeout", "nan"}) != "none");
    CHECK(Flags{}.complaint({"--timeout", "-1"}) != "none");
    CHECK(Flags{}.complaint({"--when-full", "stop"}) ==
          "--when-full takes pause or drop, not 'stop'");
    CHECK(Flags{}.complaint({"--host="}) == "--host takes a text that is not empty, not ''");
    CHECK(Flags{}.complaint({"-v=1"}) == "-v takes no value");
    CHECK(Flags{}.complaint({"--bogus"}) == "unknown flag --bogus (server --help lists them)");
    CHECK(Flags{}.complaint({"stray"}) == "unknown flag stray (server --help lists them)");
}
