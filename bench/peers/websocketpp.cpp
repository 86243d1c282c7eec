// An echo server on websocketpp, over Boost.Asio. Usage: websocketpp PORT
#include <cstdlib>
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/server.hpp>

namespace {

struct Config : websocketpp::config::asio {
    static const bool enable_multithreading = false;
    struct transport_config : websocketpp::config::asio::transport_config {
        static const bool enable_multithreading = false;
    };
    using transport_type = websocketpp::transport::asio::endpoint<transport_config>;
    static const size_t max_message_size = 64 << 20;
};
using Server = websocketpp::server<Config>;

}  // namespace

int main(int argc, char** argv) {
    const int port = argc == 2 ? std::atoi(argv[1]) : 8080;
    Server server;
    server.clear_access_channels(websocketpp::log::alevel::all);
    server.clear_error_channels(websocketpp::log::elevel::all);
    server.init_asio();
    server.set_reuse_addr(true);
    server.set_tcp_post_init_handler([&server](websocketpp::connection_hdl handle) {
        websocketpp::lib::asio::error_code ignored;
        server.get_con_from_hdl(handle)->get_raw_socket().set_option(
            websocketpp::lib::asio::ip::tcp::no_delay{true}, ignored);
    });
    server.set_message_handler(
        [&server](websocketpp::connection_hdl handle, Server::message_ptr message) {
            websocketpp::lib::error_code ignored;
            server.send(handle, message->get_payload(), message->get_opcode(), ignored);
        });
    server.set_listen_backlog(1024);
    server.listen(static_cast<unsigned short>(port));
    server.start_accept();
    server.run();
}
