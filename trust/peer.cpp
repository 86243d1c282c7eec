#include "peer.hpp"

#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "common/error.hpp"

namespace {

constexpr timeval patience{10, 0};  // then it counts as a server that hangs

constexpr std::string_view handshake =
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
constexpr std::string_view accepted =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

SSL_CTX* context() {
    static SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    return made;
}

[[noreturn]] void tell(const char* call) {
    if (is_transient(errno)) throw Lied{std::string{call} + ": nothing came for ten seconds"};
    throw Ended{call};
}

UniqueFd connect_to(std::uint16_t port) {
    UniqueFd fd{check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        tell("connect");
    return fd;
}

}  // namespace

Peer::Peer(std::uint16_t port, bool tls) : socket_{connect_to(port)} {
    if (!tls) return;
    ssl_.reset(SSL_new(context()));
    SSL_set_fd(ssl_.get(), socket_.get());
    ERR_clear_error();
    errno = 0;
    if (SSL_connect(ssl_.get()) != 1) tell("SSL_connect");
}

Peer::~Peer() {
    ERR_clear_error();
}

void Peer::upgrade() {
    send(handshake);
    const std::string answer = to_text(receive_all(accepted.size()));
    if (answer != accepted) throw Lied{"the handshake was answered with " + answer};
}

void Peer::send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        std::size_t size = 0;
        if (ssl_) {
            ERR_clear_error();
            errno = 0;
            if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &size) != 1) tell("SSL_write");
        } else {
            const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent < 0) tell("send");
            size = static_cast<std::size_t>(sent);
        }
        bytes = bytes.subspan(size);
    }
}

void Peer::echo(std::string_view text) {
    send(masked_frame(0x81, text));
    expect(server_frame(0x81, text));
}

void Peer::expect(std::span<const std::byte> frame) {
    Bytes came = receive_frame();
    while (came == server_frame(0x89)) came = receive_frame();
    if (!std::equal(came.begin(), came.end(), frame.begin(), frame.end()))
        throw Lied{"instead of a frame of " + std::to_string(frame.size()) + " bytes came " +
                   to_hex(std::span{came}.first(std::min<std::size_t>(came.size(), 16)))};
}

void Peer::expect_ping() {
    const Bytes came = receive_frame();
    if (came != server_frame(0x89)) throw Lied{"instead of a PING came " + to_hex(came)};
    send(masked_frame(0x8A));
}

void Peer::expect_answer(std::string_view start) {
    std::string text;
    std::array<std::byte, 4096> buffer;
    while (const std::size_t size = receive(buffer.data(), buffer.size()))
        text += to_text(std::span{buffer}.first(size));
    if (text.empty()) throw Ended{"no answer"};
    if (!text.starts_with(start)) throw Lied{"the answer begins with " + text.substr(0, 20)};
}

void Peer::close(std::uint16_t code) {
    const Bytes payload{std::byte(code >> 8), std::byte(code & 0xFF)};
    send(masked_frame(0x88, std::span<const std::byte>{payload}));
    expect(server_frame(0x88, std::span<const std::byte>{payload}));
    std::byte byte{};
    if (receive(&byte, 1) != 0) throw Lied{"something came after CLOSE"};
}

void Peer::answer_close(std::uint16_t code) {
    Bytes frame = receive_frame();
    while (frame == server_frame(0x89)) frame = receive_frame();
    if (frame.size() < 4 || frame[0] != std::byte{0x88} || frame[2] != std::byte(code >> 8) ||
        frame[3] != std::byte(code & 0xFF))
        throw Lied{"instead of a CLOSE came " + to_hex(frame)};
    send(masked_frame(0x88, std::span{frame}.subspan(2, 2)));
}

void Peer::reset() {
    const linger now{1, 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    socket_.reset();
}

// 0: the end of the stream.
std::size_t Peer::receive(std::byte* buffer, std::size_t size) {
    if (!ssl_) {
        const ssize_t count = recv(socket_.get(), buffer, size, 0);
        if (count < 0) tell("recv");
        return static_cast<std::size_t>(count);
    }
    std::size_t count = 0;
    ERR_clear_error();
    errno = 0;
    if (SSL_read_ex(ssl_.get(), buffer, size, &count) == 1) return count;
    if (SSL_get_error(ssl_.get(), 0) == SSL_ERROR_ZERO_RETURN) return 0;
    tell("SSL_read");
}

Bytes Peer::receive_all(std::size_t size) {
    Bytes bytes(size);
    std::size_t filled = 0;
    while (filled < size) {
        const std::size_t count = receive(&bytes[filled], size - filled);
        if (count == 0) throw Ended{"the end of the stream"};
        filled += count;
    }
    return bytes;
}

Bytes Peer::receive_frame() {
    Bytes frame = receive_all(2);
    const auto told = std::to_integer<std::size_t>(frame[1]);
    if (told > 127) throw Lied{"a masked frame, or no frame at all"};
    std::size_t size = told;
    if (told > 125) {
        const Bytes length = receive_all(told == 126 ? 2 : 8);
        size = 0;
        for (const std::byte byte : length) size = size << 8 | std::to_integer<std::size_t>(byte);
        append(frame, length);
    }
    append(frame, receive_all(size));
    return frame;
}
