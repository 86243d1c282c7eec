#include "fuzz/world.hpp"

#include <cerrno>
#include <csignal>

#include "fuzz/wire.hpp"

namespace {

constexpr std::string_view request =
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

constexpr std::size_t most_peers = 12;
constexpr std::size_t most_long_bytes = 1 << 18;

// What stops a listener for a while, and what is one client's misfortune (accept(2)).
constexpr std::array accept_errors{EMFILE, ENFILE, ENOBUFS, ENOMEM,   ECONNABORTED,
                                   EPROTO, EINTR,  EPERM,   ENETDOWN, EHOSTUNREACH};
constexpr std::array socket_errors{ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENOBUFS, ENOMEM};
constexpr std::array<std::size_t, 6> windows{1 << 20, 1 << 20, 1, 100, 5000, 70'000};

}  // namespace

Config World::read_config() {
    constexpr std::array<std::size_t, 4> messages{1 << 20, 125, 5000, 70'000};
    constexpr std::array<std::size_t, 4> buffers{4 << 20, 64, 4096, 100'000};
    const unsigned bits = input_.byte();
    Config config;
    config.limits.backpressure.drop = bits & 1;
    config.verbose = bits & 2;
    if (bits & 4) config.limits.origins = {"https://example.com"};
    if (bits & 8) config.max_connections = 2;
    if (bits & 16) config.limits.timeouts = {{}, {}, {}, {}, {}};  // all off
    config.limits.max_message = messages.at(input_.choice(messages.size()));
    config.limits.backpressure.max_buffered = buffers.at(input_.choice(buffers.size()));
    if (const unsigned unit = input_.byte(); unit != 0 && !(bits & 16)) {
        const std::chrono::milliseconds time{unit * 10};
        config.limits.timeouts = {time, 2 * time, time, 3 * time, time};
    }
    config_ = config;
    return config;
}

void World::turn() {
    for (Peer& peer : peers_) peer.pump();
    if (stage_ != Stage::input) return;
    constexpr unsigned go = 15;
    while (!input_.empty()) {
        const unsigned operation = input_.byte() % 16;
        if (operation == go) return;
        operate(operation);
    }
}

void World::operate(unsigned operation) {
    switch (operation) {
        case 0:
            return connect(Peer::Speech::plain);
        case 1:
            return connect(Peer::Speech::tls);
        case 2:
            return connect(Peer::Speech::garbage);
        case 9: {
            constexpr std::array<std::uint64_t, 3> units{1'000'000, 100'000'000, 10'000'000'000};
            const std::uint64_t unit = units.at(input_.choice(units.size()));
            kernel_->advance(input_.byte() * unit);
            calm_ = false;
            return;
        }
        case 10:
            for (std::size_t count = 1 + input_.choice(3); count > 0; --count)
                kernel_->fail_accept(accept_errors.at(input_.choice(accept_errors.size())));
            return;
        case 11:
            return raise(input_.choice(4));
        case 14: {
            const unsigned turn = input_.byte();
            kernel_->order(turn, turn % 5 == 0 ? 1 : SIZE_MAX);
            if (turn % 7 == 0) kernel_->interrupt_wait();
            return;
        }
        default:
            break;
    }
    Peer* one = peer();
    if (!one) return;
    switch (operation) {
        case 3:
            return one->send(input_.take(input_.size()));
        case 4:
            return one->send(std::as_bytes(std::span{request}));
        case 5:
            return send_frame(*one);
        case 6:
            one->socket()->window += input_.size() * (1 + input_.choice(64));
            return one->pump();
        case 7:
            return one->end(input_.flag());
        case 8:
            return one->reset(socket_errors.at(input_.choice(socket_errors.size())));
        case 12:
            return add_fault(*one);
        default:
            return misbehave(*one);
    }
}

void World::connect(Peer::Speech speech) {
    const unsigned how = input_.byte();
    if (peers_.size() == most_peers) return;
    const int version = how & 64 ? TLS1_2_VERSION : TLS1_3_VERSION;
    peers_.emplace_back(speech, windows.at(how % windows.size()), version);
    if (how & 128) peers_.back().send(std::as_bytes(std::span{request}));
    kernel_->connect(peers_.back().socket());
}

Peer* World::peer() {
    const unsigned which = input_.byte();
    return peers_.empty() ? nullptr : &peers_[which % peers_.size()];
}

// A masked frame whose payload the input need not hold.
void World::send_frame(Peer& peer) {
    constexpr std::array<unsigned, 8> first{0x82, 0x81, 0x02, 0x01, 0x80, 0x00, 0x89, 0x88};
    constexpr std::array<std::size_t, 3> scales{1, 16, 256};
    const unsigned opcode = first.at(input_.choice(first.size()));
    const std::size_t scale = scales.at(input_.choice(scales.size()));
    const std::size_t size = input_.size() * scale;
    if (long_bytes_ + size > most_long_bytes) return;
    long_bytes_ += size;
    const Bytes payload = opcode & 1 ? Bytes(size, std::byte{'a'}) : pattern(size);
    peer.send(masked_frame(opcode, payload));
}

void World::misbehave(Peer& peer) {
    switch (input_.choice(4)) {
        case 0:
            return peer.send_raw(input_.take(input_.size()));
        case 1:
            return peer.renegotiate();
        default:
            for (std::size_t count = input_.size(); count > 0; --count) {
                if (long_bytes_ >= most_long_bytes) return;
                long_bytes_ += 256;  // of work
                peer.update_key(count % 2 == 0);
            }
    }
}

void World::add_fault(Peer& peer) {
    Socket& socket = *peer.socket();
    const std::size_t which = input_.choice(4);
    const std::size_t amount = 1 + input_.size();
    if (which == 0) socket.recv_interrupts = static_cast<unsigned>(amount % 4);
    if (which == 1) socket.send_interrupts = static_cast<unsigned>(amount % 4);
    if (which == 2) socket.recv_limit = amount;
    if (which == 3) socket.send_limit = amount;
}

void World::raise(std::size_t which) {
    constexpr std::array signals{SIGHUP, SIGHUP, SIGTERM, SIGINT};
    const int signal = signals.at(which);
    if (signal != SIGHUP) calm_ = false;
    kernel_->raise(signal);
}

// Each peer takes all that comes, and ends its stream.
void World::end_all() {
    for (Peer& peer : peers_) {
        peer.socket()->window = SIZE_MAX / 2;
        if (!peer.socket()->peer_ended) peer.end(true);
    }
}

// The server has nothing to do and sleeps: the world goes on to its next act.
bool World::wake() {
    switch (stage_) {
        case Stage::input:
            if (!input_.empty()) {
                turn();
            } else {
                end_all();
                stage_ = Stage::peers_end;
            }
            return true;
        case Stage::peers_end:
            PROMISE(kernel_->all_closed(), "when all clients have ended, none is left");
            calm_ = calm_ && kernel_->now() == Kernel::start;  // a pause of the listener takes time
            stage_ = Stage::timers;
            return true;
        case Stage::timers:  // an alarm that was set for one of them may still ring, in vain
            if (kernel_->ring()) {
                PROMISE(++rings_ < 4, "a server without clients has no deadlines");
            } else {
                stage_ = Stage::stop;
            }
            return true;
        case Stage::stop:
            kernel_->raise(SIGTERM);
            stage_ = Stage::over;
            return true;
        default:
            return false;
    }
}

void World::check_answers() const {
    for (const Peer& peer : peers_)
        if (!peer.speaks_garbage()) check_answers(peer);
}

void World::check_answers(const Peer& peer) const {
    const ServerOutput output = read_server_output(peer.heard(), asks_head(peer.said()));
    const bool served = peer.socket()->accepted && stage_ == Stage::over;
    const bool all = served && calm_ && peer.is_honest() && !config_.limits.backpressure.drop;
    const std::size_t head = head_size(peer.said());
    if (all) PROMISE(output.whole, "what is said is said to its end");
    if (all && head > 0) PROMISE(output.status != 0, "a request is answered");
    if (output.status != 101) return;
    constexpr std::array early{1001U, 1008U, 1013U};
    const auto frames = std::span{peer.said()}.subspan(head);
    ::check_answers(output, expected_answers(frames, config_.limits.max_message),
                    all ? std::span<const unsigned>{} : early, all);
}
