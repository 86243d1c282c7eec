#include "protocol.hpp"

#include <algorithm>
#include <utility>

#include "handshake.hpp"

void Protocol::receive(std::span<std::byte> input, Output& output) {
    try {
        if (state_ == State::connecting) input = input.subspan(receive_head(input, output));
        if (!input.empty()) receive_frames(input, output);
    } catch (const HttpError& error) {
        output.add_text(refusal(error, parser_->method()));
        state_ = State::closed;
    } catch (const ProtocolError& error) {
        fail(error.code(), error.what(), output);
    }
}

std::size_t Protocol::receive_head(std::span<const std::byte> input, Output& output) {
    const std::size_t taken = parser_->take(input);
    if (parser_->complete()) {
        output.add_text(answer_handshake(parser_->request()));
        state_ = State::open;
        parser_.reset();
    }
    return taken;
}

void Protocol::receive_frames(std::span<std::byte> input, Output& output) {
    Incoming incoming = incoming_ ? std::move(*incoming_) : Incoming{max_message_};
    incoming_.reset();
    while ((state_ == State::open || state_ == State::closing) && !input.empty())
        receive_frame(incoming, input, output);
    if (!incoming.is_finished()) incoming_ = std::make_unique<Incoming>(std::move(incoming));
}

void Protocol::receive_frame(Incoming& incoming, std::span<std::byte>& input, Output& output) {
    auto& [header_reader, header, in_frame, received, control, message] = incoming;
    if (!in_frame) {
        in_frame = header_reader.take(input, header);
        if (!in_frame) return;
        received = 0;
        if (!is_control(header.opcode)) message.begin_frame(header);
    }
    const auto piece = input.first(std::min<std::uint64_t>(header.length - received, input.size()));
    input = input.subspan(piece.size());
    unmask(piece, header.key, received);
    received += piece.size();
    if (is_control(header.opcode))
        on_control(incoming, piece, output);
    else
        on_data(incoming, piece, output);
    if (received == header.length) in_frame = false;
}

// A frame that is its whole message, and came whole, is answered from where it lies.
void Protocol::on_data(Incoming& incoming, std::span<const std::byte> piece, Output& output) {
    const FrameHeader& header = incoming.header;
    Message& message = incoming.message;
    message.check(piece);
    const bool whole = message.is_single() && piece.size() == header.length;
    if (!whole) message.append(piece);
    if (incoming.received < header.length || !message.end_frame(header)) return;
    if (state_ != State::open) {
        message.take_payload();  // after our CLOSE nothing is sent
    } else if (whole) {
        output.add_frame(message.opcode(), piece);
    } else {
        output.add_frame(message.opcode(), message.take_payload());
    }
}

void Protocol::on_control(Incoming& incoming, std::span<const std::byte> piece, Output& output) {
    incoming.control.insert(incoming.control.end(), piece.begin(), piece.end());
    if (incoming.received < incoming.header.length) return;
    const std::vector<std::byte> payload = std::exchange(incoming.control, {});
    switch (incoming.header.opcode) {
        case Opcode::close:
            on_close(payload, output);
            break;
        case Opcode::ping:
            on_ping(payload, output);
            break;
        default:
            break;  // a PONG that nobody asked for is fine (RFC 6455 §5.5.3)
    }
}

// Task 4.1: a PING's payload comes back in a PONG, at once (RFC 6455 §5.5.2).
void Protocol::on_ping(std::span<const std::byte> payload, Output& output) {
    if (state_ == State::open) output.add_frame(Opcode::pong, payload);
}

// Task 4.1: the peer's CLOSE is answered with its own code, an empty one with an empty one, unless
// it answers ours; either way all is said (RFC 6455 §5.5.1).
void Protocol::on_close(std::span<const std::byte> payload, Output& output) {
    const std::uint16_t code = parse_close(payload);
    if (state_ == State::open) {
        close_code_ = code;
        output.add_frame(Opcode::close, payload.first(code == 0 ? 0 : 2));
    }
    state_ = State::closed;
}

// One CLOSE at most: the code in network byte order, then the reason (RFC 6455 §5.5.1).
void Protocol::close(CloseCode code, std::string_view reason, Output& output) {
    if (state_ != State::open) {
        if (state_ == State::connecting) state_ = State::closed;
        return;
    }
    close_code_ = static_cast<std::uint16_t>(code);
    std::vector<std::byte> payload{std::byte(close_code_ >> 8), std::byte(close_code_ & 0xFF)};
    const auto text = std::as_bytes(std::span{reason.substr(0, 123)});
    payload.insert(payload.end(), text.begin(), text.end());
    output.add_frame(Opcode::close, std::span<const std::byte>{payload});
    state_ = State::closing;
}

void Protocol::fail(CloseCode code, std::string_view reason, Output& output) {
    close(code, reason, output);
    state_ = State::closed;
}
