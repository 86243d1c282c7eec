#include "connection.hpp"

#include <sys/epoll.h>

#include <algorithm>

namespace {

TimePoint after(TimePoint start, std::chrono::milliseconds timeout) {
    const bool never = timeout.count() == 0 || start == TimePoint::max();
    return never ? TimePoint::max() : start + timeout;
}

}  // namespace

Connection::Connection(std::unique_ptr<Transport> transport, const Limits& limits, TimePoint now)
    : transport_{std::move(transport)},
      limits_{limits},
      protocol_{limits.max_message, limits.origins},
      since_{now},
      last_heard_{now},
      read_needs_{EPOLLIN},
      write_needs_{EPOLLOUT} {}

// Each direction waits for what it needs, whichever way that is.
std::uint32_t Connection::interest() const {
    return (is_reading() ? read_needs_ : 0U) | (is_writing() ? write_needs_ : 0U);
}

void Connection::on_ready(std::uint32_t events, TimePoint now, std::span<std::byte> buffer,
                          Output& output) {
    if (ended_) return;
    const std::uint64_t in = bytes_in_;
    const std::uint64_t out = bytes_out_;
    const bool waits = is_writing();
    if (waits && events & write_needs_) flush();
    if (is_reading() && (events & read_needs_ || has_more_)) receive(buffer, output);
    if (bytes_in_ != in || (waits && bytes_out_ != out)) {
        last_heard_ = now;
        pinged_ = TimePoint::max();
    }
    if (closed_ && bytes_out_ != out) since_ = now;  // it is slow to fetch the rest, but it does
    update(now);
}

void Connection::close(CloseCode code, std::string_view reason, TimePoint now, Output& output) {
    if (ended_) return;
    if (protocol_.state() == Protocol::State::connecting) ended_ = true;  // there is nobody to tell
    protocol_.close(code, reason, output);
    send(output);
    update(now);
}

void Connection::receive(std::span<std::byte> buffer, Output& output) {
    const auto [size, status] =
        transport_->receive(buffer.first(std::min(buffer.size(), read_limit())));
    bytes_in_ += size;
    protocol_.receive(buffer.first(size), output);
    send(output);
    has_more_ = status == IoResult::Status::done;
    read_needs_ = status == IoResult::Status::want_write ? EPOLLOUT : EPOLLIN;
    note(status);
}

// Half the cap: with a queue below half of it before, that keeps it within the cap, unless the read
// completes a message that is longer itself.
std::size_t Connection::read_limit() const {
    return std::max<std::size_t>(limits_.backpressure.max_buffered / 2, 1);
}

// What the socket takes leaves at once, from where it lies; the rest waits, copied if it lies in
// the receive buffer. Nothing may overtake what waits already.
void Connection::send(Output& output) {
    const auto slices = output.slices();
    std::size_t sent = queue_.empty() ? write(slices) : 0;
    for (const iovec& slice : slices) {
        const std::size_t skipped = std::min(sent, slice.iov_len);
        sent -= skipped;
        if (skipped == slice.iov_len) continue;
        if (auto* payload = output.kept(slice.iov_base))
            queue_.adopt(std::move(*payload), skipped);
        else
            queue_.append(
                {static_cast<const std::byte*>(slice.iov_base) + skipped, slice.iov_len - skipped});
    }
}

void Connection::flush() {
    const auto front = queue_.front();
    // iovec has no const, though sending only reads.
    const iovec slice{const_cast<std::byte*>(front.data()), front.size()};
    queue_.consume(write({&slice, front.empty() ? 0U : 1U}));
}

// How many bytes the transport took: perhaps fewer than offered, perhaps none.
std::size_t Connection::write(std::span<const iovec> slices) {
    const auto [size, status] = transport_->send(slices);
    bytes_out_ += size;
    write_needs_ = status == IoResult::Status::want_read ? EPOLLIN : EPOLLOUT;
    note(status);
    return size;
}

void Connection::note(IoResult::Status status) {
    if (status == IoResult::Status::ended) peer_ended_ = true;
    if (status == IoResult::Status::gone) ended_ = true;
    if (status != IoResult::Status::broken) return;
    broken_ = true;
    protocol_.abandon();
}

// Too much waits. Stop reading until it is gone, and TCP slows the peer down; or end it.
void Connection::limit_queue(TimePoint now) {
    const Backpressure& backpressure = limits_.backpressure;
    if (backpressure.drop && queue_.size() > backpressure.max_buffered) drop();
    if (!backpressure.drop && !closed_ && queue_.size() > backpressure.max_buffered / 2)
        pause(true, now);
}

// The peer asks for more than it fetches. A last try: if it has just begun to read, it can be told
// why; else what waits is given up with the connection.
void Connection::drop() {
    flush();
    if (!queue_.empty()) {
        ended_ = true;
        return;
    }
    Output output;
    protocol_.fail(CloseCode::try_again_later, "too much waits to be sent", output);
    send(output);
}

// What follows from what has happened.
void Connection::update(TimePoint now) {
    track_message(now);
    if (broken_) queue_.consume(queue_.size());
    if (!queue_.empty()) limit_queue(now);
    if (protocol_.state() == Protocol::State::closed && !closed_) {
        closed_ = true;
        since_ = now;
    }
    if (queue_.empty() || closed_) pause(false, now);
    if (!queue_.empty()) return;
    // Half-close only, and go on reading: close() with bytes unread makes the kernel send a reset,
    // and the peer may lose the close code before it has read it.
    if ((closed_ || peer_ended_) && !half_closed_) half_closed_ = transport_->shut_down();
    if (peer_ended_ && half_closed_) ended_ = true;
}

void Connection::pause(bool paused, TimePoint now) {
    if (paused == paused_) return;
    paused_ = paused;
    // A message that could not go on because of us has not been slow.
    if (paused)
        paused_since_ = now;
    else if (message_began_ != TimePoint::max())
        message_began_ += now - paused_since_;
}

void Connection::track_message(TimePoint now) {
    if (!protocol_.is_receiving()) {
        message_began_ = TimePoint::max();
    } else if (message_began_ == TimePoint::max() || messages_seen_ != protocol_.received_count()) {
        message_began_ = now;
        messages_seen_ = protocol_.received_count();
    }
}

// Else the next thing that quiet leads to is the end.
bool Connection::pings_next() const {
    const bool gives_up = limits_.timeouts.idle.count() != 0;
    return limits_.timeouts.ping.count() != 0 && (pinged_ == TimePoint::max() || !gives_up);
}

// Task 5.1: the earliest of the deadlines that hold now. Bytes only ever put it off, so it need not
// be filed anew for each of them: the one that is filed comes due, and finds that there is time
// left.
TimePoint Connection::deadline() const {
    const Timeouts& timeouts = limits_.timeouts;
    if (closed_) return after(since_, timeouts.close);
    if (protocol_.state() == Protocol::State::connecting) return after(since_, timeouts.handshake);
    const TimePoint message = paused_ ? TimePoint::max() : after(message_began_, timeouts.message);
    const TimePoint quiet = after(pinged_ == TimePoint::max() ? last_heard_ : pinged_,
                                  pings_next() ? timeouts.ping : timeouts.idle);
    return std::min(message, quiet);
}

// Task 5.1: which of them it is.
void Connection::on_deadline(TimePoint now, Output& output) {
    if (ended_ || deadline() > now) return;
    const Timeouts& timeouts = limits_.timeouts;
    if (closed_ || (protocol_.state() == Protocol::State::connecting && !transport_->ready())) {
        ended_ = true;
    } else if (protocol_.state() == Protocol::State::connecting) {
        protocol_.refuse_slow_head(output);
    } else if (!paused_ && after(message_began_, timeouts.message) <= now) {
        protocol_.fail(CloseCode::policy_violation, "the message took too long", output);
    } else if (pings_next()) {
        protocol_.ping(output);
        pinged_ = now;
    } else {
        protocol_.fail(CloseCode::going_away, "no sign of life", output);
        ended_ = true;  // after one try: there is nobody to wait for
    }
    send(output);
    update(now);
}
