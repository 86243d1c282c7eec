// The server's side of one WebSocket connection, without the socket: bytes in, bytes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "close.hpp"
#include "frame.hpp"
#include "http.hpp"
#include "message.hpp"
#include "output.hpp"

class Protocol {
public:
    enum class State : std::uint8_t {
        connecting,  // the request head is coming in
        open,        // frames go both ways
        closing,     // our CLOSE is sent, and nothing after it; the peer's is awaited
        closed,      // the last word is said: send it, half-close, discard what comes
    };

    /// `max_message` bounds what a peer may send as one message, in bytes; `origins` are the pages
    /// that may connect (none: any), and must outlive the protocol.
    Protocol(std::size_t max_message, const std::vector<std::string>& origins)
        : origins_{origins}, max_message_{max_message} {}

    /// Takes all that was read, which it changes where it lies, and adds the answers to `output`.
    void receive(std::span<std::byte> input, Output& output);

    /// Starts the closing handshake (RFC 6455 §7.1.2): sends a CLOSE and waits for the peer's. A
    /// connection that is not open yet is closed at once.
    void close(CloseCode code, std::string_view reason, Output& output);

    /// Fails the connection (RFC 6455 §7.1.7): as close(), but the peer's CLOSE is not waited for.
    void fail(CloseCode code, std::string_view reason, Output& output);

    /// Sends a PING without a payload, where the connection is open.
    void ping(Output& output);

    /// Refuses a request whose head does not come to its end (RFC 9110 §15.5.9).
    void refuse_slow_head(Output& output);

    /// Closes without a word: there is no way left to say one.
    void abandon() { state_ = State::closed; }

    State state() const { return state_; }

    /// True while a message, or a control frame outside of one, has begun and not ended.
    bool is_receiving() const { return incoming_ != nullptr; }

    /// How many of them have ended: a message that began later is another one. It may wrap.
    std::uint32_t received_count() const { return received_count_; }

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

    const std::vector<std::string>& origins_;
    State state_ = State::connecting;
    std::uint16_t close_code_ = 0;
    std::uint32_t received_count_ = 0;
    std::unique_ptr<RequestParser> parser_ = std::make_unique<RequestParser>();  // till it is open
    std::size_t max_message_;
    std::unique_ptr<Incoming> incoming_;  // between reads, while something is unfinished
};
