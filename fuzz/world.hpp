// What happens around the server, as the input says: an operation is a byte and its arguments.
#pragma once

#include <array>
#include <vector>

#include "fuzz/input.hpp"
#include "fuzz/kernel.hpp"
#include "fuzz/peer.hpp"
#include "phase5_tls/server.hpp"

class World : public Kernel::World {
public:
    explicit World(Input input) : input_{input} {}

    /// To be set before the server runs.
    void set_kernel(Kernel& kernel) { kernel_ = &kernel; }

    /// The first bytes of the input, as the server's settings.
    Config read_config();

    void turn() override;
    bool wake() override;

    /// When the server has come to its end: was each client told what it was owed?
    void check_answers() const;

private:
    void operate(unsigned operation);
    void connect(Peer::Speech speech);
    void send_frame(Peer& peer);
    void misbehave(Peer& peer);
    void add_fault(Peer& peer);
    void raise(std::size_t which);
    Peer* peer();
    void end_all();
    void check_answers(const Peer& peer) const;

    Input input_;
    Kernel* kernel_ = nullptr;
    Config config_;
    std::vector<Peer> peers_;
    std::size_t long_bytes_ = 0;  // sent in frames that the input only names
    bool calm_ = true;            // no time has passed, and nobody has asked the server to stop
    enum class Stage { input, peers_end, timers, stop, over } stage_ = Stage::input;
    unsigned rings_ = 0;
};
