#include <iostream>

#include "common/error.hpp"
#include "common/options.hpp"
#include "server.hpp"

int main(int argc, char** argv) {
    return run_program("phase2", [&] {
        Config config;
        Options options{
            "phase2", "A server that performs the WebSocket opening handshake, and then listens."};
        options.text("--host", "ADDR", "address to listen on", config.host);
        options.port("--port", "port to listen on; 0 takes a free one", config.port);
        options.toggle("-v", "log connections to stderr", config.verbose);
        if (!options.parse(argc, argv)) return;

        Server server{config};
        for (const std::string& address : server.addresses())
            std::cout << "listening on http://" << address << std::endl;
        server.run();
    });
}
