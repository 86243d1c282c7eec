// What the load generator sends and what it expects back, made once before the clock starts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// Messages 0, 1, … count-1 and again from 0: each has its own payload and masking key. All
/// connections send the same bytes, so a run's memory does not grow with them.
class Script {
public:
    enum class Kind { text, binary, raw };

    /// `size` is that of a message's payload; `count` is at least 1. With Kind::raw a message is a
    /// client's frame as opaque bytes, and what comes back must be the same.
    Script(Kind kind, std::size_t size, std::size_t count);

    /// The bytes of `count` messages in a row, at most as many as the script has.
    std::span<const std::byte> messages(std::uint64_t first, std::size_t count) const;

    /// Takes bytes that came back as the continuation, from `offset`, of the echo of message
    /// `index`; `every_byte` compares its payload too. Returns how many bytes belong to this echo.
    /// Throws std::runtime_error when they differ.
    std::size_t match(std::uint64_t index, std::size_t offset, std::span<const std::byte> bytes,
                      bool every_byte) const;

    /// The length of an echo, its header included.
    std::size_t echo_size() const { return header_.size() + payload_size_; }

private:
    std::span<const std::byte> payload(std::uint64_t index) const;

    std::size_t count_;
    std::size_t payload_size_;
    std::size_t message_size_ = 0;
    std::vector<std::byte> header_;    // of an echo; empty with Kind::raw
    std::vector<std::byte> payloads_;  // what echoes carry
    std::vector<std::byte> messages_;  // twice in a row: any `count` of them are contiguous
};
