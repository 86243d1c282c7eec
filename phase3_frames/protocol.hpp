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
#include "output.hpp"

class Protocol {
public:
    enum class State {
        connecting,  // the request head is coming in
        open,        // frames go both ways
        closed,      // the last word is said: send it, half-close, discard what comes
    };

    /// Takes all that was read, which it changes where it lies, and adds the answers to `output`.
    void receive(std::span<std::byte> input, Output& output);

    /// Sends a CLOSE, when the handshake is done and none was sent, and closes.
    void close(CloseCode code, std::string_view reason, Output& output);

    State state() const { return state_; }

    /// The code that was sent or answered in a CLOSE; 0: none.
    std::uint16_t close_code() const { return close_code_; }

private:
    std::size_t receive_head(std::span<const std::byte> input, Output& output);
    void receive_frame(std::span<std::byte>& input, Output& output);
    void on_frame(std::span<const std::byte> payload, Output& output);
    void on_close(std::span<const std::byte> payload, Output& output);

    State state_ = State::connecting;
    std::uint16_t close_code_ = 0;
    std::unique_ptr<RequestParser> parser_ = std::make_unique<RequestParser>();  // till it is open
    HeaderReader header_reader_;
    FrameHeader header_;
    bool in_frame_ = false;           // the header is whole, and its payload is coming in
    std::uint64_t received_ = 0;      // of the payload
    std::vector<std::byte> payload_;  // of a frame that comes in several reads
};
