// The bytes that a socket would not take yet.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

class WriteQueue {
public:
    bool empty() const { return size() == 0; }
    /// How many bytes wait.
    std::size_t size() const { return bytes_.size() - sent_; }
    /// All that waits, oldest first; valid until the next append or consume.
    std::span<const std::byte> front() const { return std::span{bytes_}.subspan(sent_); }

    void append(std::span<const std::byte> bytes);

    /// All but the first `sent` bytes of a long payload: where nothing else waits, it is not
    /// copied.
    void adopt(std::vector<std::byte>&& payload, std::size_t sent) {
        if (!empty()) return append(std::span<const std::byte>{payload}.subspan(sent));
        bytes_ = std::move(payload);
        sent_ = sent;
    }

    /// Takes off what was sent: at most size() bytes.
    void consume(std::size_t count);

private:
    std::vector<std::byte> bytes_;
    std::size_t sent_ = 0;  // of bytes_, from its front
};
