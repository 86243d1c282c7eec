#include "protocol.hpp"

#include <algorithm>

#include "handshake.hpp"

namespace {

// What a frame may be in this phase: whole in itself. Phase 4 takes fragments.
void check_header(const FrameHeader& header) {
    if (!header.fin || header.opcode == Opcode::continuation)
        throw ProtocolError{CloseCode::unsupported_data, "this server takes no fragments"};
}

}  // namespace

void Protocol::receive(std::span<std::byte> input, Output& output) {
    try {
        if (state_ == State::connecting) input = input.subspan(receive_head(input, output));
        while (state_ == State::open && !input.empty()) receive_frame(input, output);
    } catch (const HttpError& error) {
        output.add_text(refusal(error, parser_->method()));
        state_ = State::closed;
    } catch (const ProtocolError& error) {
        close(error.code(), error.what(), output);
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

void Protocol::receive_frame(std::span<std::byte>& input, Output& output) {
    if (!in_frame_) {
        in_frame_ = header_reader_.take(input, header_);
        if (!in_frame_) return;
        check_header(header_);
        received_ = 0;
    }
    const auto piece =
        input.first(std::min<std::uint64_t>(header_.length - received_, input.size()));
    input = input.subspan(piece.size());
    unmask(piece, header_.key, received_);
    received_ += piece.size();
    const bool whole = piece.size() == header_.length;
    if (!whole) payload_.insert(payload_.end(), piece.begin(), piece.end());
    if (received_ < header_.length) return;
    on_frame(whole ? piece : std::span{payload_}, output);
    payload_.clear();
    in_frame_ = false;
}

// Task 3.1: data goes back as it came; phase 4 answers PING.
void Protocol::on_frame(std::span<const std::byte> payload, Output& output) {
    switch (header_.opcode) {
        case Opcode::text:
        case Opcode::binary:
            output.add_frame(header_.opcode, payload);
            break;
        case Opcode::close:
            on_close(payload, output);
            break;
        default:
            break;
    }
}

// Task 3.3: a CLOSE is answered with its own code, an empty one with an empty one (RFC 6455
// §5.5.1).
void Protocol::on_close(std::span<const std::byte> payload, Output& output) {
    if (payload.size() == 1) throw ProtocolError{CloseCode::protocol_error, "half a close code"};
    const auto code = payload.first(std::min<std::size_t>(payload.size(), 2));
    if (!code.empty())
        close_code_ = static_cast<std::uint16_t>(std::to_integer<unsigned>(code[0]) << 8 |
                                                 std::to_integer<unsigned>(code[1]));
    output.add_frame(Opcode::close, code);
    state_ = State::closed;
}

// Task 3.3: the code goes first, in network byte order, then the reason (RFC 6455 §5.5.1).
void Protocol::close(CloseCode code, std::string_view reason, Output& output) {
    if (state_ == State::open) {
        close_code_ = static_cast<std::uint16_t>(code);
        std::vector<std::byte> payload{std::byte(close_code_ >> 8), std::byte(close_code_ & 0xFF)};
        const auto text = std::as_bytes(std::span{reason.substr(0, 123)});
        payload.insert(payload.end(), text.begin(), text.end());
        output.add_frame(Opcode::close, payload);
    }
    state_ = State::closed;
}
