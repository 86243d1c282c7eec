// The server's side of one WebSocket connection, without the socket: bytes in, bytes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "close.hpp"
#include "frame.hpp"
#include "http.hpp"
#include "message.hpp"
#include "output.hpp"

class Protocol {
public:
    enum class State {
        connecting,  // the request head is coming in
        open,        // frames go both ways
        closing,     // our CLOSE is sent, and nothing after it; the peer's is awaited
        closed,      // the last word is said: send it, half-close, discard what comes
    };

    /// `max_message` bounds what a peer may send as one message, in bytes.
    explicit Protocol(std::size_t max_message) : max_message_{max_message} {}

    /// Takes all that was read, which it changes where it lies, and adds the answers to `output`.
    void receive(std::span<std::byte> input, Output& output);

    /// Starts the closing handshake (RFC 6455 §7.1.2): sends a CLOSE and waits for the peer's. A
    /// connection that is not open yet is closed at once.
    void close(CloseCode code, std::string_view reason, Output& output);

    /// Fails the connection (RFC 6455 §7.1.7): as close(), but the peer's CLOSE is not waited for.
    void fail(CloseCode code, std::string_view reason, Output& output);

    State state() const { return state_; }

    /// The code that was sent or answered in a CLOSE; 0: none.
    std::uint16_t close_code() const { return close_code_; }

private:
    std::size_t receive_head(std::span<const std::byte> input, Output& output);
    /// What an unfinished frame or message needs. Most connections are idle, and have none.
    struct Incoming {
        explicit Incoming(std::size_t max_message) : message{max_message} {}

        HeaderReader header_reader;
        FrameHeader header;
        bool in_frame = false;           // the header is whole, and its payload is coming in
        std::uint64_t received = 0;      // of the payload
        std::vector<std::byte> control;  // the payload of a control frame that comes in pieces
        Message message;

        bool is_finished() const {
            return !in_frame && !header_reader.has_begun() && message.is_single();
        }
    };

    void receive_frames(std::span<std::byte> input, Output& output);
    void receive_frame(Incoming& incoming, std::span<std::byte>& input, Output& output);
    void on_data(Incoming& incoming, std::span<const std::byte> piece, Output& output);
    void on_control(Incoming& incoming, std::span<const std::byte> piece, Output& output);
    void on_ping(std::span<const std::byte> payload, Output& output);
    void on_close(std::span<const std::byte> payload, Output& output);

    State state_ = State::connecting;
    std::uint16_t close_code_ = 0;
    std::unique_ptr<RequestParser> parser_ = std::make_unique<RequestParser>();  // till it is open
    std::size_t max_message_;
    std::unique_ptr<Incoming> incoming_;  // between reads, while something is unfinished
};
