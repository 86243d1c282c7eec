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
    CHECK(Flags{}.complaint({"--limit", "0"}) ==
          "--limit takes a whole number from 1 to 9223372036854775807, not '0'");
    CHECK(Flags{}.complaint({"--limit", "-1"}) ==
          "--limit takes a whole number from 1 to 9223372036854775807, not '-1'");
    CHECK(Flags{}.complaint({"--timeout", "-1"}) ==
          "--timeout takes seconds up to 1e9, decimals allowed (0: no limit), not '-1'");
    CHECK(Flags{}.complaint({"--when-full", "stop"}) ==
          "--when-full takes pause or drop, not 'stop'");
    CHECK(Flags{}.complaint({"--host="}) == "--host takes a text that is not empty, not ''");
    CHECK(Flags{}.complaint({"-v=1"}) == "-v takes no value");
    CHECK(Flags{}.complaint({"--bogus"}) == "unknown flag --bogus (server --help lists them)");
    CHECK(Flags{}.complaint({"stray"}) == "unknown flag stray (server --help lists them)");
}

TEST_CASE("what is no number, or none that a flag takes, is refused") {
    const std::vector<const char*> no_numbers{
        "",    " ",    " 5",    "5 ",     "5\n",  "\t5",    "+5",     "-1",     "--5",     "0x10",
        "0b1", "5s",   "5,0",   "1_0",    "1e",   "e1",     ".",      "-",      "nan",     "inf",
        "NaN", "-inf", "1e400", "1e-400", "1e99", "banana", "\u0663", "\u00bd", "infinity"};
    std::vector<const char*> no_counts{"0",
                                       "-0",
                                       "1.0",
                                       "1e3",
                                       "9223372036854775808",
                                       "18446744073709551615",
                                       "18446744073709551616",
                                       "99999999999999999999999999"};
    std::vector<const char*> no_ports{"65536", "-0", "8080.0", "1e3", "4294967296", "4294975376"};
    std::vector<const char*> no_times{"1e10", "1000000001", "2147483647", "1000000000.1", "-0.001"};
    for (auto* more : {&no_counts, &no_ports, &no_times})
        more->insert(more->end(), no_numbers.begin(), no_numbers.end());
    for (const char* text : no_counts)
        CHECK_MESSAGE(Flags{}.complaint({"--limit", text}).starts_with("--limit takes"), text);
    for (const char* text : no_ports)
        CHECK_MESSAGE(Flags{}.complaint({"--port", text}).starts_with("--port takes"), text);
    for (const char* text : no_times)
        CHECK_MESSAGE(Flags{}.complaint({"--timeout", text}).starts_with("--timeout takes"), text);
}

TEST_CASE("what a number is at its ends is what was meant") {
    struct Row {
        const char* text;
        std::int64_t milliseconds;
    };
    for (const auto& [text, milliseconds] :
         {Row{"0", 0}, Row{"-0", 0}, Row{"0.0", 0}, Row{"0e5", 0}, Row{"1e-9", 1}, Row{"1e-300", 1},
          Row{"0.0011", 2}, Row{"00001", 1000}, Row{"1.", 1000}, Row{".5", 500},
          Row{"2147483.647", 2147483647}, Row{"2147483.648", 2147483648},
          Row{"1e9", 1000000000000}}) {
        Flags flags;
        CHECK_MESSAGE(flags.parse({"--timeout", text}), text);
        CHECK_MESSAGE(flags.timeout.count() == milliseconds, text);
    }
    Flags flags;
    CHECK(flags.parse({"--limit", "9223372036854775807", "--port", "65535"}));
    CHECK(flags.limit == 9223372036854775807U);
    CHECK(flags.port == 65535);
    CHECK(flags.parse({"--limit", "1", "--port", "0"}));
    CHECK(flags.limit == 1);
    CHECK(flags.port == 0);
}

TEST_CASE("of a flag that is given twice the last one counts; both must be right") {
    Flags flags;
    CHECK(flags.parse({"--limit", "5", "--timeout=1", "--limit=7", "--timeout", "2", "-v", "-v"}));
    CHECK(flags.limit == 7);
    CHECK(flags.timeout == std::chrono::seconds{2});
    CHECK(flags.verbose);
    CHECK(flags.complaint({"--limit", "banana", "--limit", "7"}).starts_with("--limit takes"));
    CHECK(flags.complaint({"--limit="}).starts_with("--limit takes"));
    CHECK(flags.complaint({"--timeout="}).starts_with("--timeout takes"));
    CHECK(flags.complaint({"--port="}).starts_with("--port takes"));
    CHECK(flags.complaint({"--origin="}).starts_with("--origin takes"));
    CHECK(flags.complaint({"--when-full="}).starts_with("--when-full takes"));
    CHECK(flags.complaint({"-v="}) == "-v takes no value");
}
