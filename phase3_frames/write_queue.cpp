#include "write_queue.hpp"

// Task 3.2: what was sent is cut off when it is more than what waits, so that a byte is moved once
// on average, however long the queue lives.
void WriteQueue::append(std::span<const std::byte> bytes) {
    if (sent_ > bytes_.size() / 2) {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(sent_));
        sent_ = 0;
    }
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

// Task 3.2: an empty queue gives its memory back; most connections are idle, and all have one.
void WriteQueue::consume(std::size_t count) {
    sent_ += count;
    if (sent_ < bytes_.size()) return;
    bytes_ = std::vector<std::byte>{};  // {} alone is an empty list, whose assignment keeps memory
    sent_ = 0;
}
