#include "bench/stream.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "common/error.hpp"
#include "common/options.hpp"

namespace {

void set_option(int fd, int level, int option) {
    const int on = 1;
    check(setsockopt(fd, level, option, &on, sizeof on), "setsockopt");
}

/// Spreads connections over 127.0.0.1 … 127.0.0.200, each with its own 28,000 ports: those that
/// wait in TIME_WAIT would else run out.
void bind_next_loopback(int fd) {
    static unsigned last = 0;
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + last++ % 200);
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    check(bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source), "bind");
}

UniqueFd connect_to(const Url& url) {
    UniqueFd fd{check(socket(url.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    const auto& ip4 = reinterpret_cast<const sockaddr_in&>(url.address);
    if (url.address.ss_family == AF_INET && ntohl(ip4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
        bind_next_loopback(fd.get());
    check(connect(fd.get(), reinterpret_cast<const sockaddr*>(&url.address), url.address_size),
          "connect");
    set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);
    check(fcntl(fd.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return fd;
}

/// Holds back a segment that is not full until the end of its life (tcp(7)).
class Cork {
public:
    explicit Cork(int fd) : fd_{fd} { set(1); }
    ~Cork() { set(0); }
    Cork(const Cork&) = delete;
    Cork& operator=(const Cork&) = delete;

private:
    void set(int on) const { setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

    int fd_;
};

int clipped(std::size_t size) {
    return static_cast<int>(std::min<std::size_t>(size, INT_MAX));
}

[[noreturn]] void peer_ended() {
    throw std::runtime_error{"the server ended a connection"};
}

}  // namespace

Url::Url(const std::string& text) {
    const UsageError wrong{"--url takes ws, wss, tcp or tls://HOST:PORT/, not '" + text + "'"};
    const auto scheme_end = text.find("://");
    if (scheme_end == std::string::npos) throw wrong;
    const std::string scheme = text.substr(0, scheme_end);
    tls = scheme == "wss" || scheme == "tls";
    websocket = scheme == "ws" || scheme == "wss";
    if (!tls && !websocket && scheme != "tcp") throw wrong;

    const auto begin = scheme_end + 3;
    const std::string authority = text.substr(begin, text.find('/', begin) - begin);
    const auto colon = authority.rfind(':');
    if (colon == std::string::npos) throw wrong;
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);

    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) throw wrong;
    std::memcpy(&address, found->ai_addr, found->ai_addrlen);
    address_size = found->ai_addrlen;
    freeaddrinfo(found);
}

TlsContext make_tls_context() {
    TlsContext context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
    if (!context) throw std::runtime_error{"SSL_CTX_new failed"};
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    // Else a record costs two reads of the socket, and the server waits for us.
    SSL_CTX_set_read_ahead(context.get(), 1);
    SSL_CTX_set_default_read_buffer_len(context.get(), 128 * 1024);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    return context;
}

Stream::Stream(const Url& url, SSL_CTX* context) : fd_{connect_to(url)} {
    if (!url.tls) return;
    ssl_.reset(SSL_new(context));
    if (!ssl_ || SSL_set_fd(ssl_.get(), fd_.get()) != 1) throw std::runtime_error{"SSL_new failed"};
    SSL_set_connect_state(ssl_.get());
}

std::size_t Stream::tls_result(int result, const char* call) {
    if (result > 0) return static_cast<std::size_t>(result);
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    if (error == SSL_ERROR_ZERO_RETURN) peer_ended();
    if (error == SSL_ERROR_SYSCALL) throw_errno(call);
    const char* reason = ERR_reason_error_string(ERR_get_error());
    throw std::runtime_error{std::string{call} + ": " + (reason ? reason : "TLS failed")};
}

bool Stream::open() {
    return !ssl_ || tls_result(SSL_do_handshake(ssl_.get()), "SSL_do_handshake") > 0;
}

std::size_t Stream::read(std::span<std::byte> room) {
    if (ssl_)
        return tls_result(SSL_read(ssl_.get(), room.data(), clipped(room.size())), "SSL_read");
    const ssize_t size = recv(fd_.get(), room.data(), room.size(), 0);
    if (size == 0) peer_ended();
    if (size < 0 && is_transient(errno)) return 0;
    return static_cast<std::size_t>(check(size, "recv"));
}

std::size_t Stream::write(std::span<const std::byte> bytes) {
    if (ssl_) return write_records(bytes);
    const ssize_t size = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && is_transient(errno)) return 0;
    return static_cast<std::size_t>(check(size, "send"));
}

// All records leave together, as the same bytes do without TLS; else the first of them would wake
// the server, which would read them one by one.
std::size_t Stream::write_records(std::span<const std::byte> bytes) {
    std::optional<Cork> cork;
    if (bytes.size() > SSL3_RT_MAX_PLAIN_LENGTH) cork.emplace(fd_.get());
    std::size_t total = 0;
    while (total < bytes.size()) {
        const auto rest = bytes.subspan(total);
        const int result = SSL_write(ssl_.get(), rest.data(), clipped(rest.size()));
        const std::size_t size = tls_result(result, "SSL_write");
        if (size == 0) break;
        total += size;
    }
    return total;
}
