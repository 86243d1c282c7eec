#include "bench/client.hpp"

#include <chrono>
#include <stdexcept>

namespace {

// The key and its answer are those of RFC 6455 §1.3.
constexpr std::string_view request =
    "GET / HTTP/1.1\r\n"
    "Host: localhost\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "\r\n";
constexpr std::string_view accept_value = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::size_t max_response = 16 * 1024;

}  // namespace

std::uint64_t now() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

Client::Client(const Plan& plan) : plan_{plan}, stream_{plan.url, plan.tls}, started_{now()} {
    if (stream_.open()) request_upgrade();
}

void Client::request_upgrade() {
    state_ = State::upgrading;
    const auto bytes = std::as_bytes(std::span{request});
    if (stream_.write(bytes) != bytes.size())
        throw std::runtime_error{"the request does not fit into the socket"};
}

void Client::start(std::size_t in_flight, std::uint64_t time) {
    keep_going_ = true;
    sent_at_.assign(in_flight, 0);
    due_ = in_flight;
    flush(time);
}

void Client::send_one(std::uint64_t time) {
    sent_at_.assign(1, 0);
    due_ = 1;
    flush(time);
}

void Client::advance(std::uint64_t time, Histogram& latencies) {
    if (state_ == State::securing) {
        if (!stream_.open()) return;
        request_upgrade();
    }
    while (const std::size_t size = stream_.read(plan_.buffer)) {
        const auto bytes = plan_.buffer.first(size);
        if (state_ == State::upgrading)
            read_response(bytes);
        else
            read_echoes(bytes, time, latencies);
        if (!stream_.holds_bytes()) break;
    }
    if (is_open()) flush(time);
}

// A server without a protocol sends the request back.
void Client::read_response(std::span<const std::byte> bytes) {
    response_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const bool whole = response_.find("\r\n\r\n") != std::string::npos;
    if (!whole && response_.size() < max_response) return;
    const bool upgraded =
        response_.starts_with("HTTP/1.1 101 ") && response_.find(accept_value) != std::string::npos;
    const bool right = plan_.url.websocket ? upgraded : response_ == request;
    if (!response_.ends_with("\r\n\r\n") || !right)
        throw std::runtime_error{"the server does not upgrade; it says:\n" + response_};
    response_ = {};
    state_ = State::open;
}

void Client::read_echoes(std::span<const std::byte> bytes, std::uint64_t time,
                         Histogram& latencies) {
    while (!bytes.empty()) {
        if (echoed_ == sent_) throw std::runtime_error{"an echo came that nobody asked for"};
        const std::size_t size = plan_.script.match(echoed_, offset_, bytes, plan_.every_byte);
        offset_ += size;
        bytes = bytes.subspan(size);
        if (offset_ < plan_.script.echo_size()) return;
        offset_ = 0;
        latencies.add(time - sent_at_[echoed_ % sent_at_.size()]);
        ++echoed_;
        if (keep_going_) ++due_;
    }
}

// All messages that are due leave in one call.
void Client::flush(std::uint64_t time) {
    while (due_ > 0 || !outgoing_.empty()) {
        if (outgoing_.empty()) {
            outgoing_ = plan_.script.messages(sent_, due_);
            for (; due_ > 0; --due_) sent_at_[sent_++ % sent_at_.size()] = time;
        }
        const std::size_t size = stream_.write(outgoing_);
        if (size == 0) return;
        outgoing_ = outgoing_.subspan(size);
    }
}
