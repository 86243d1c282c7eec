// What one read is answered with.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "frame.hpp"

/// Gathers the answers to all that one read brought, so that they leave in one send. The loop has
/// one of these and clears it for each connection's turn.
class Output {
public:
    void add_frame(Opcode opcode, std::span<const std::byte> payload) {
        std::array<std::byte, max_server_header> header;
        add(std::span{header}.first(encode_header(header, opcode, payload.size())));
        add(payload);
    }
    void add_text(std::string_view text) { add(std::as_bytes(std::span{text})); }

    std::span<const std::byte> bytes() const { return bytes_; }
    bool empty() const { return bytes_.empty(); }
    void clear() { bytes_.clear(); }

private:
    void add(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }

    std::vector<std::byte> bytes_;
};
