// A stream of bytes to the peer, over TCP alone or over TLS, that never blocks.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

#include "common/unique_fd.hpp"

/// What an operation did, and why it did no more.
struct IoResult {
    enum class Status {
        done,        // all that was asked; there may be more
        want_read,   // to go on, it must be called again when the socket is readable
        want_write,  // … writable. In TLS a read may want to write, and a write to read.
        ended,       // the peer ended its stream
        broken,      // TLS has failed: nothing can be said any more, but shut_down() is due
        gone,        // the socket has failed
    };

    std::size_t size = 0;  // bytes, whatever the status
    Status status = Status::done;
};

/// Reads once from a socket.
IoResult receive_from(int socket, std::span<std::byte> buffer);

class Transport {
public:
    virtual ~Transport() = default;

    virtual IoResult receive(std::span<std::byte> buffer) = 0;

    /// After a want, the next call must begin with the same bytes and offer no fewer of them.
    virtual IoResult send(std::span<const iovec> slices) = 0;

    /// True while bytes that send() took are not with the socket yet: call it again, with nothing.
    virtual bool has_unsent() const = 0;

    /// Ends our stream: what was sent is followed by the end. Returns false while has_unsent(), to
    /// be called again. What is received afterwards is to be discarded.
    virtual bool shut_down() = 0;

    /// Whether a plain text may be sent at all: TLS has to shake hands first.
    virtual bool ready() const = 0;
};

/// TCP.
class PlainTransport : public Transport {
public:
    explicit PlainTransport(UniqueFd socket) : socket_{std::move(socket)} {}

    IoResult receive(std::span<std::byte> buffer) override;
    IoResult send(std::span<const iovec> slices) override;
    bool has_unsent() const override { return false; }
    bool shut_down() override;
    bool ready() const override { return true; }

private:
    ssize_t send_one(const iovec& slice);
    ssize_t send_all(std::span<const iovec> slices);

    UniqueFd socket_;
    bool peer_ended_ = false;  // so close() follows, which ends our stream as well
};
