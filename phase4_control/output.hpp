// What one read is answered with.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "frame.hpp"

/// Gathers the answers to all that one read brought, so that they leave in one send: what is short
/// is copied together, what is long stays where it is and is pointed at. The loop has one of these
/// and clears it for each connection's turn.
class Output {
public:
    /// The payload must stay where it is until the output is sent: it lies in the receive buffer.
    void add_frame(Opcode opcode, std::span<const std::byte> payload) {
        took(encode_header(room(max_server_header), opcode, payload.size()));
        if (payload.size() <= worth_copying)
            copy(payload);
        else
            slices_.push_back({payload.data(), payload.size()});
    }
    /// A payload that lies nowhere else: kept here until it is sent.
    void add_frame(Opcode opcode, std::vector<std::byte>&& payload) {
        add_frame(opcode, std::span<const std::byte>{payload});
        kept_.push_back(std::move(payload));
    }
    void add_text(std::string_view text) { copy(std::as_bytes(std::span{text})); }

    bool empty() const { return slices_.empty(); }

    /// All that is to be sent, in order; valid until the next call that is not const.
    std::span<const iovec> slices() {
        iovecs_.clear();
        const std::byte* copied = copied_.data();
        for (const Slice& slice : slices_) {
            // iovec has no const, though sendmsg only reads (POSIX, sys/uio.h).
            iovecs_.push_back(
                {const_cast<std::byte*>(slice.data ? slice.data : copied), slice.size});
            if (!slice.data) copied += slice.size;
        }
        return iovecs_;
    }

    /// The payload that is kept here and lies at `data`, to be moved on; nullptr: there is none.
    std::vector<std::byte>* kept(const void* data) {
        const auto found = std::ranges::find(
            kept_, data, [](const auto& payload) -> const void* { return payload.data(); });
        return found == kept_.end() ? nullptr : &*found;
    }

    void clear() {
        used_ = 0;
        slices_.clear();
        kept_.clear();
    }

private:
    /// Under this, copying is cheaper than one more slice for the kernel to gather.
    static constexpr std::size_t worth_copying = 2048;

    struct Slice {
        const std::byte* data;  // nullptr: the next bytes of copied_, which may still move
        std::size_t size;
    };

    /// Where the next bytes go; at least so many.
    std::span<std::byte> room(std::size_t size) {
        if (copied_.size() - used_ < size) copied_.resize(2 * (used_ + size));
        return std::span{copied_}.subspan(used_);
    }

    /// So many of them are there now.
    void took(std::size_t size) {
        if (slices_.empty() || slices_.back().data) slices_.push_back({nullptr, 0});
        slices_.back().size += size;
        used_ += size;
    }

    void copy(std::span<const std::byte> bytes) {
        if (bytes.empty()) return;  // it may have no address, which memcpy must not be given
        std::memcpy(room(bytes.size()).data(), bytes.data(), bytes.size());
        took(bytes.size());
    }

    std::vector<std::byte> copied_;  // of which the first used_ bytes are; it only grows
    std::size_t used_ = 0;
    std::vector<Slice> slices_;
    std::vector<std::vector<std::byte>> kept_;
    std::vector<iovec> iovecs_;
};
