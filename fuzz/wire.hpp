// The wire, read the slow way: written from RFC 6455 and RFC 3629 without a look at the server, so
// that what it says can be held against what the server does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/test_bytes.hpp"

struct Frame {
    unsigned opcode = 0;
    Bytes payload;

    bool operator==(const Frame&) const = default;
};

/// What a server has said so far.
struct ServerOutput {
    int status = 0;             // of the HTTP response; 0: its head is not whole yet
    std::string head;           // with its empty line
    std::string body;           // of a response that is no 101
    std::vector<Frame> frames;  // the whole ones
    bool whole = true;          // it ends where a response or a frame does
    bool closed = false;        // with a CLOSE

    /// The code of its CLOSE; 0: there is none, or an empty one.
    unsigned close_code() const;
};

/// Reads all that a server sent. Breaks a promise where that is not legal: a response with a wrong
/// length, a masked frame, reserved bits, a length that is not minimal, a long or fragmented
/// control frame, fragments out of order, text that is not UTF-8, a bad CLOSE, anything behind a
/// CLOSE. A response has the content that it tells, or none if it may be the answer to a HEAD.
ServerOutput read_server_output(std::span<const std::byte> bytes, bool may_answer_head);

/// Whether a client has asked by HEAD, in what it sent.
bool asks_head(std::span<const std::byte> bytes);

/// What an echo server owes a client.
struct Expected {
    std::vector<Frame> frames;
    bool fails = false;  // the last frame is a CLOSE whose reason is free
};

/// `bytes` are what the client sent behind its handshake.
Expected expected_answers(std::span<const std::byte> bytes, std::size_t max_message);

/// Where the request head ends in what a client sent: the size of it, or 0 when it does not.
std::size_t head_size(std::span<const std::byte> bytes);

/// Holds what a server said against what it owes. It may also have sent PINGs of its own, and may
/// have ended early with a CLOSE of one of `early_codes`; where `all` is set, nothing may be
/// missing.
void check_answers(const ServerOutput& output, const Expected& expected,
                   std::span<const unsigned> early_codes, bool all);
