// A message that comes in more than one piece: fragments (RFC 6455 §5.4), or a frame in many reads.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "frame.hpp"
#include "utf8.hpp"

class Message {
public:
    /// `max_size` bounds the message, in bytes; the number of its fragments is bounded with it.
    explicit Message(std::size_t max_size) : max_size_{max_size} {}

    /// The header of a text, binary or continuation frame. Throws ProtocolError: 1002 for a frame
    /// out of order, 1008 for too many fragments, 1009 for a message that will be too long.
    void begin_frame(const FrameHeader& header);

    /// True while the frame is all of its message.
    bool is_single() const { return fragments_ == 0; }

    /// Checks a piece of the payload: in text, UTF-8 as far as it goes. Throws ProtocolError
    /// (1007).
    void check(std::span<const std::byte> piece) {
        if (opcode_ == Opcode::text && !utf8_.take(piece)) refuse_text("the text is not UTF-8");
    }

    /// Keeps a piece.
    void append(std::span<const std::byte> piece);

    /// The frame is over. Returns whether the message is; it is checked to its end then.
    bool end_frame(const FrameHeader& header) {
        if (fragments_ > 0 && !end_fragment(header)) return false;
        if (opcode_ == Opcode::text && !utf8_.complete())
            refuse_text("the text ends within a character");
        return true;
    }

    Opcode opcode() const { return opcode_; }

    /// What was kept of a message that is over; the next one may begin.
    std::vector<std::byte> take_payload();

private:
    void begin_fragment(const FrameHeader& header);
    bool end_fragment(const FrameHeader& header);
    [[noreturn]] static void refuse_text(const char* why);

    std::size_t max_size_;
    std::vector<std::byte> payload_;
    std::size_t announced_ = 0;  // the size of payload_ when this frame is over
    std::size_t fragments_ = 0;  // 0: the message is a single frame, or there is none
    Opcode opcode_ = Opcode::continuation;
    Utf8Validator utf8_;
};
