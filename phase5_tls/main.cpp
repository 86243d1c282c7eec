#include <malloc.h>

#include <algorithm>
#include <iostream>

#include "common/error.hpp"
#include "common/options.hpp"
#include "server.hpp"

namespace {

/// Returns false when the help was asked for instead. Throws UsageError.
bool parse(int argc, char** argv, Config& config) {
    Limits& limits = config.limits;
    Timeouts& timeouts = limits.timeouts;
    Options options{"phase5",
                    "A WebSocket server that sends back every message, over ws:// and wss://."};
    options.text("--host", "ADDR", "address to listen on", config.host);
    options.port("--port", "port for ws://; 0 takes a free one", config.port);
    options.port("--tls-port", "port for wss://; 0 takes a free one", config.tls_port);
    options.text("--cert", "FILE", "certificate chain in PEM; without it one is made",
                 config.certificate_file);
    options.text(
        "--key", "FILE",
        "its private key in PEM; SIGHUP reads both again (a closing terminal sends it too)",
        config.key_file);
    options.list("--origin", "ORIGIN", "a page that may connect; repeatable; none given: any",
                 limits.origins);
    options.count("--max-connections", "N", "how many at once; 0: no limit", config.max_connections,
                  0);
    options.count("--max-message", "BYTES", "the longest message that is taken",
                  limits.max_message);
    options.count("--max-buffered", "BYTES", "what may wait to be sent to one connection",
                  limits.backpressure.max_buffered);
    options.either("--when-full", "pause", "drop", "what is done when more waits",
                   limits.backpressure.drop);
    options.seconds("--handshake-timeout", "for TLS and the opening handshake", timeouts.handshake);
    options.seconds("--message-timeout", "from a message's first byte to its last",
                    timeouts.message);
    options.seconds("--ping-interval", "of quiet before a PING", timeouts.ping);
    options.seconds("--idle-timeout", "of quiet after it before the end", timeouts.idle);
    options.seconds("--close-timeout", "for the peer to end when all is said", timeouts.close);
    options.toggle("-v", "log connections to stderr", config.verbose);
    if (!options.parse(argc, argv)) return false;
    if (config.certificate_file.empty() != config.key_file.empty())
        throw UsageError{"--cert and --key go together"};
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    return run_program("phase5", [&] {
        Config config;
        if (!parse(argc, argv, config)) return;
        Server server{config};
        std::cout << "certificate SHA-256 fingerprint " << server.fingerprint() << "\n";
        for (const std::string& address : server.addresses())
            std::cout << "listening on ws://" << address << "\n";
        for (const std::string& address : server.tls_addresses())
            std::cout << "listening on wss://" << address << "\n";
        std::cout.flush();
        server.run();
    });
}
