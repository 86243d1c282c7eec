// The load generator: opens connections to an echo server, keeps messages in flight, checks every
// echo, and tells how fast they came and what they cost the server.
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <iomanip>
#include <iostream>
#include <utility>

#include "bench/generator.hpp"
#include "common/error.hpp"
#include "common/options.hpp"

namespace {

void print(const Result& result, bool json) {
    struct Line {
        const char* name;
        double value;
        int digits;
    };
    const double count = static_cast<double>(result.latencies.total());
    const auto latency_us = [&](double share) {
        return count == 0 ? Result::nan
                          : static_cast<double>(result.latencies.quantile(share)) / 1000;
    };
    const Line lines[] = {
        {"messages", std::isnan(result.seconds) ? Result::nan : count, 0},
        {"seconds", result.seconds, 3},
        {"rate", count / result.seconds, 1},
        {"p50_us", latency_us(0.5), 1},
        {"p99_us", latency_us(0.99), 1},
        {"p999_us", latency_us(0.999), 1},
        {"cpu_us", result.server_cpu_us, 3},
        {"client_cpu_us", result.client_cpu_us, 3},
        {"rss_per_conn", result.rss_per_connection, 0},
    };
    const char* separator = "{";
    std::cout << std::fixed << std::left;
    for (const auto& [name, value, digits] : lines) {
        if (std::isnan(value)) continue;
        std::cout << std::setprecision(digits);
        if (json)
            std::cout << std::exchange(separator, ", ") << '"' << name << "\": " << value;
        else
            std::cout << std::setw(14) << name << value << "\n";
    }
    if (json) std::cout << "}\n";
}

void allow_many_descriptors() {
    rlimit limit{};
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

void load(int argc, char** argv) {
    Settings settings;
    bool text = false;
    bool json = false;
    Options options{"load", "Loads an echo server, checks its answers, and measures it."};
    options.text("--url", "URL", "ws, wss, or, for a server without protocol, tcp or tls",
                 settings.url);
    options.count("--connections", "N", "connections that send", settings.connections);
    options.count("--in-flight", "N", "messages in flight on each", settings.in_flight);
    options.count("--size", "BYTES", "of a message", settings.size, 0);
    options.toggle("--text", "text messages, of printable ASCII (the default)", text);
    options.toggle("--binary", "binary messages", settings.binary);
    options.count("--idle", "N", "connections beside them that have sent one message",
                  settings.idle, 0);
    options.seconds("--seconds", "how long to measure", settings.duration);
    options.seconds("--warm-up", "how long to run before that", settings.warm_up);
    options.toggle("--verify", "compare every byte of every echo, not its header and length only",
                   settings.every_byte);
    options.toggle("--handshakes", "connect, upgrade, close, and again", settings.handshakes);
    options.toggle("--memory", "open the idle connections only: what does each cost the server?",
                   settings.memory);
    options.text("--server-pid", "PID", "the server's process, to see its CPU time and memory",
                 settings.server_pid);
    options.toggle("--json", "print one line of JSON", json);
    if (!options.parse(argc, argv)) return;
    if (text && settings.binary) throw UsageError{"--text and --binary exclude each other"};
    if (settings.memory && (settings.server_pid.empty() || settings.idle == 0))
        throw UsageError{"--memory wants --server-pid and --idle"};

    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write(2)
    allow_many_descriptors();
    Generator generator{settings};
    print(settings.memory       ? generator.memory()
          : settings.handshakes ? generator.handshakes()
                                : generator.echoes(),
          json);
}

}  // namespace

int main(int argc, char** argv) {
    return run_program("load", [&] { load(argc, argv); });
}
