// An echo server on Boost.Beast. Usage: beast PORT
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdlib>
#include <memory>

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

namespace {

class Session : public std::enable_shared_from_this<Session> {
public:
    explicit Session(tcp::socket socket) : stream_{std::move(socket)} {
        stream_.read_message_max(64 << 20);
        stream_.auto_fragment(false);
    }

    void start() {
        stream_.async_accept([self = shared_from_this()](beast::error_code error) {
            if (!error) self->read();
        });
    }

private:
    void read() {
        stream_.async_read(buffer_,
                           [self = shared_from_this()](beast::error_code error, std::size_t) {
                               if (!error) self->write();
                           });
    }
    void write() {
        stream_.text(stream_.got_text());
        stream_.async_write(buffer_.data(),
                            [self = shared_from_this()](beast::error_code error, std::size_t size) {
                                self->buffer_.consume(size);
                                if (!error) self->read();
                            });
    }

    // beast::tcp_stream adds a timer to each operation; plain sockets do without.
    beast::websocket::stream<tcp::socket> stream_;
    beast::flat_buffer buffer_;
};

void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](beast::error_code error, tcp::socket socket) {
        if (!error) {
            socket.set_option(tcp::no_delay{true});
            std::make_shared<Session>(std::move(socket))->start();
        }
        accept(acceptor);
    });
}

}  // namespace

int main(int argc, char** argv) {
    const int port = argc == 2 ? std::atoi(argv[1]) : 8080;
    asio::io_context context{1};
    tcp::acceptor acceptor{context, {tcp::v4(), static_cast<unsigned short>(port)}};
    accept(acceptor);
    context.run();
}
