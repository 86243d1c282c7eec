#include "message.hpp"

#include <algorithm>
#include <utility>

#include "close.hpp"

void Message::begin_frame(const FrameHeader& header) {
    const bool alone = fragments_ == 0 && header.fin && header.opcode != Opcode::continuation;
    if (alone) {
        opcode_ = header.opcode;
        utf8_ = {};
    } else {
        begin_fragment(header);
    }
    // Never as a sum: payload_.size() + length could overflow.
    if (header.length > max_size_ - payload_.size())
        throw ProtocolError{CloseCode::message_too_big, "the message is too long"};
    announced_ = payload_.size() + header.length;
}

// Task 4.2: the first fragment names the type; the others, and only they, are continuations. A
// fragment may be empty, so the size alone does not bound how many there are.
void Message::begin_fragment(const FrameHeader& header) {
    const bool continues = header.opcode == Opcode::continuation;
    if (continues != (fragments_ > 0))
        throw ProtocolError{CloseCode::protocol_error,
                            continues ? "a continuation of nothing" : "the message before is open"};
    if (!continues) {
        opcode_ = header.opcode;
        utf8_ = {};
    }
    if (++fragments_ > std::max<std::size_t>(1024, max_size_ / 16))
        throw ProtocolError{CloseCode::policy_violation, "too many fragments"};
}

void Message::append(std::span<const std::byte> piece) {
    const std::size_t size = payload_.size() + piece.size();
    if (size > payload_.capacity()) {
        // Room for what was announced, but for no more than 16 times what has come: a header alone
        // must not be worth a megabyte. If that is not all of it, then for a 16th, so that little
        // has to be copied when there is room for all. Else twice as much as before, or many small
        // fragments would be copied over and over.
        const std::size_t most = 16 * size;
        const std::size_t announced =
            announced_ <= most ? announced_ : std::min(most, announced_ / 16);
        const std::size_t doubled = std::min(max_size_, 2 * payload_.capacity());
        payload_.reserve(std::max(announced, doubled));
    }
    payload_.insert(payload_.end(), piece.begin(), piece.end());
}

// Task 4.2: FIN ends the message, and the next one starts from a clean state.
bool Message::end_fragment(const FrameHeader& header) {
    if (!header.fin) return false;
    fragments_ = 0;
    return true;
}

std::vector<std::byte> Message::take_payload() {
    return std::exchange(payload_, {});
}

void Message::refuse_text(const char* why) {
    throw ProtocolError{CloseCode::invalid_payload, why};
}
