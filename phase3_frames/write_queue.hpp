// The bytes that a socket would not take yet.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

class WriteQueue {
public:
    bool empty() const { return size() == 0; }
    /// How many bytes wait.
    std::size_t size() const { return bytes_.size() - sent_; }
    /// All that waits, oldest first; valid until the next append or consume.
    std::span<const std::byte> front() const { return std::span{bytes_}.subspan(sent_); }

    void append(std::span<const std::byte> bytes);

    /// Takes off what was sent: at most size() bytes.
    void consume(std::size_t count);

private:
    std::vector<std::byte> bytes_;
    std::size_t sent_ = 0;  // of bytes_, from its front
};
