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
        const bool copies = payload.size() <= worth_copying;
        const auto to = room(max_server_header + (copies ? payload.size() : 0));
        used_ += encode_header(to, opcode, payload.size());
        if (copies)
            copy(payload);
        else
            lent_.push_back({used_, payload});
    }
    /// A payload that lies nowhere else: kept here until it is sent.
    void add_frame(Opcode opcode, std::vector<std::byte>&& payload) {
        add_frame(opcode, std::span<const std::byte>{payload});
        kept_.push_back(std::move(payload));
    }
    void add_text(std::string_view text) {
        room(text.size());
        copy(std::as_bytes(std::span{text}));
    }

    bool empty() const { return used_ == 0; }

    /// All that is to be sent, in order; valid until the next call that is not const.
    std::span<const iovec> slices() {
        slices_.clear();
        std::size_t from = 0;
        for (const Lent& lent : lent_) {
            add_slice(copied_.data() + from, lent.after - from);
            add_slice(lent.payload.data(), lent.payload.size());
            from = lent.after;
        }
        if (from < used_) add_slice(copied_.data() + from, used_ - from);
        return slices_;
    }

    /// The payload that is kept here and lies at `data`, to be moved on; nullptr: there is none.
    std::vector<std::byte>* kept(const void* data) {
        const auto found = std::ranges::find(
            kept_, data, [](const auto& payload) -> const void* { return payload.data(); });
        return found == kept_.end() ? nullptr : &*found;
    }

    void clear() {
        used_ = 0;
        lent_.clear();
        kept_.clear();
    }

private:
    /// Up to here, copying costs no more than one more slice for the kernel to gather.
    static constexpr std::size_t worth_copying = 8192;

    /// A payload that stays where it is; its header is the last that was copied before.
    struct Lent {
        std::size_t after;  // so many of the copied bytes
        std::span<const std::byte> payload;
    };

    /// Where the next bytes go; at least so many.
    std::span<std::byte> room(std::size_t size) {
        if (copied_.size() - used_ < size) copied_.resize(2 * (used_ + size));
        return std::span{copied_}.subspan(used_);
    }

    /// There is room() for them.
    void copy(std::span<const std::byte> bytes) {
        if (bytes.empty()) return;  // it may have no address, which memcpy must not be given
        std::memcpy(&copied_[used_], bytes.data(), bytes.size());
        used_ += bytes.size();
    }

    void add_slice(const std::byte* data, std::size_t size) {
        // iovec has no const, though sendmsg only reads (POSIX, sys/uio.h).
        slices_.push_back({const_cast<std::byte*>(data), size});
    }

    std::vector<std::byte> copied_;  // of which the first used_ bytes are; it only grows
    std::size_t used_ = 0;
    std::vector<Lent> lent_;
    std::vector<std::vector<std::byte>> kept_;
    std::vector<iovec> slices_;
};
