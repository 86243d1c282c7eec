#include "bench/script.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <stdexcept>

namespace {

using Bytes = std::vector<std::byte>;

/// A frame's header without its masking key (RFC 6455 §5.2).
Bytes make_header(bool text, bool masked, std::size_t size) {
    const unsigned mask_bit = masked ? 0x80 : 0;
    const unsigned more = size <= 125 ? 0 : size <= 65535 ? 2 : 8;
    const std::size_t length = more == 0 ? size : more == 2 ? 126 : 127;
    Bytes header{std::byte{text ? std::uint8_t{0x81} : std::uint8_t{0x82}}};
    header.push_back(static_cast<std::byte>(mask_bit | length));
    for (unsigned i = more; i > 0; --i)
        header.push_back(static_cast<std::byte>(size >> 8 * (i - 1)));
    return header;
}

/// Bytes that do not repeat soon; printable ASCII for a text.
Bytes make_payload(bool text, std::size_t size, std::mt19937& random) {
    Bytes payload(size);
    for (std::byte& byte : payload)
        byte = static_cast<std::byte>(text ? ' ' + random() % 95 : random());
    return payload;
}

Bytes make_client_frame(bool text, const Bytes& payload, std::mt19937& random) {
    Bytes frame = make_header(text, true, payload.size());
    std::array<std::byte, 4> key;
    std::ranges::generate(key, [&random] { return static_cast<std::byte>(1 + random() % 255); });
    frame.insert(frame.end(), key.begin(), key.end());
    for (std::size_t i = 0; i < payload.size(); ++i) frame.push_back(payload[i] ^ key[i % 4]);
    return frame;
}

void append(Bytes& to, const Bytes& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

Script::Script(Kind kind, std::size_t size, std::size_t count)
    : count_{count}, payload_size_{size} {
    const bool text = kind == Kind::text;
    std::mt19937 random{1};
    for (std::size_t i = 0; i < count; ++i) {
        const Bytes payload = make_payload(text, size, random);
        const Bytes frame = make_client_frame(text, payload, random);
        append(messages_, frame);
        message_size_ = frame.size();
        append(payloads_, kind == Kind::raw ? frame : payload);
    }
    if (kind == Kind::raw)
        payload_size_ = message_size_;
    else
        header_ = make_header(text, false, size);
    messages_.reserve(2 * messages_.size());
    append(messages_, Bytes{messages_});
}

std::span<const std::byte> Script::messages(std::uint64_t first, std::size_t count) const {
    return std::span{messages_}.subspan(first % count_ * message_size_, count * message_size_);
}

std::span<const std::byte> Script::payload(std::uint64_t index) const {
    return std::span{payloads_}.subspan(index % count_ * payload_size_, payload_size_);
}

std::size_t Script::match(std::uint64_t index, std::size_t offset, std::span<const std::byte> bytes,
                          bool every_byte) const {
    std::size_t taken = 0;
    if (offset < header_.size()) {
        taken = std::min(bytes.size(), header_.size() - offset);
        if (std::memcmp(&header_[offset], bytes.data(), taken) != 0)
            throw std::runtime_error{"wrong echo: the header of message " + std::to_string(index) +
                                     " differs"};
    }
    const std::size_t at = offset + taken - header_.size();
    if (offset + taken < header_.size()) return taken;
    const std::size_t more = std::min(bytes.size() - taken, payload_size_ - at);
    if (every_byte && more > 0 && std::memcmp(&payload(index)[at], &bytes[taken], more) != 0)
        throw std::runtime_error{"wrong echo: the payload of message " + std::to_string(index) +
                                 " differs"};
    return taken + more;
}
