#include <iostream>

#include "common/error.hpp"
#include "common/options.hpp"
#include "server.hpp"

int main(int argc, char** argv) {
    return run_program("phase4", [&] {
        Config config;
        Options options{"phase4", "A WebSocket server that sends back every message."};
        options.text("--host", "ADDR", "address to listen on", config.host);
        options.port("--port", "port to listen on; 0 takes a free one", config.port);
        options.count("--max-buffered", "BYTES", "what may wait to be sent to one connection",
                      config.backpressure.max_buffered);
        options.either("--when-full", "pause", "drop", "what is done when more waits",
                       config.backpressure.drop);
        options.count("--max-message", "BYTES", "the longest message that is taken",
                      config.max_message);
        options.toggle("-v", "log connections to stderr", config.verbose);
        if (!options.parse(argc, argv)) return;

        Server server{config};
        for (const std::string& address : server.addresses())
            std::cout << "listening on ws://" << address << std::endl;
        server.run();
    });
}
