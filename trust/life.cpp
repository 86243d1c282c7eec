#include "life.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>

#include "common/error.hpp"
#include "peer.hpp"
#include "phase5_tls/server.hpp"

namespace {

using namespace std::chrono_literals;

struct Ports {
    std::uint16_t plain = 0;
    std::uint16_t tls = 0;
};

std::uint16_t port_of(const std::string& address) {
    return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

long count_descriptors() {
    const std::filesystem::directory_iterator all{"/proc/self/fd"};
    return std::distance(begin(all), end(all));
}

// As main() of phase 5.
int serve(const Config& config, const Fault& fault, Record& record, int out) {
    const std::function<void()> body = [&] {
        Server server{config};
        server.fingerprint();
        const Ports ports{port_of(server.addresses()[0]), port_of(server.tls_addresses()[0])};
        record.before_clients = record.counts;
        record.listening = true;
        check(write(out, &ports, sizeof ports), "write");
        server.run();
    };
    const long descriptors = count_descriptors();
    const long blocks = live_blocks();
    arm(fault, record);
    const int status = run_program("phase5", body);
    disarm();
    OPENSSL_thread_stop();
    record.blocks_kept = live_blocks() - blocks;
    record.descriptors_kept = count_descriptors() - descriptors;
    return status;
}

/// The server's process, seen from the clients'.
class Child {
public:
    Child(const Config& config, const Fault& fault, Record& record);
    ~Child() { end(); }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// Nothing, if it does not come to listen.
    std::optional<Ports> ports() const;
    void signal(int number) const { kill(process_, number); }
    /// Until this is in the log; false: it has ended, or says nothing for ten seconds.
    bool wait_for(std::string_view text);
    /// Waits for its end; false: it does not come, and the process is killed.
    bool end();

    int status() const { return status_; }
    const std::string& log() const { return log_; }

private:
    bool read_log();

    pid_t process_ = 0;
    UniqueFd out_;
    UniqueFd err_;
    std::string log_;
    int status_ = 0;
};

std::array<UniqueFd, 2> make_pipe() {
    int ends[2];
    check(pipe2(ends, O_CLOEXEC), "pipe2");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

Child::Child(const Config& config, const Fault& fault, Record& record) {
    auto out = make_pipe();
    auto err = make_pipe();
    process_ = check(fork(), "fork");
    if (process_ == 0) {
        std::signal(SIGPIPE, SIG_DFL);  // the server ignores it by itself
        dup2(err[1].get(), STDERR_FILENO);
        _exit(serve(config, fault, record, out[1].get()));
    }
    out_ = std::move(out[0]);
    err_ = std::move(err[0]);
}

std::optional<Ports> Child::ports() const {
    Ports ports;
    if (read(out_.get(), &ports, sizeof ports) != sizeof ports) return std::nullopt;
    return ports;
}

bool Child::read_log() {
    pollfd entry{err_.get(), POLLIN, 0};
    std::array<char, 4096> buffer;
    if (poll(&entry, 1, 10'000) != 1) return false;
    const ssize_t size = read(err_.get(), buffer.data(), buffer.size());
    if (size > 0) log_.append(buffer.data(), static_cast<std::size_t>(size));
    return size > 0;
}

bool Child::wait_for(std::string_view text) {
    while (log_.find(text) == std::string::npos)
        if (!read_log()) return false;
    return true;
}

bool Child::end() {
    if (process_ == 0) return true;
    while (read_log())
        ;
    pollfd entry{out_.get(), 0, 0};  // its other end is closed when the process is gone
    const bool ended = poll(&entry, 1, 10'000) == 1;
    if (!ended) kill(process_, SIGKILL);
    int result = 0;
    waitpid(std::exchange(process_, 0), &result, 0);
    status_ = WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
    return ended;
}

enum class Door { plain, tls, wrong };  // wrong: the port for TLS, without TLS

struct Guest {
    std::string name;
    std::unique_ptr<Peer> peer;  // null: it is harmed
};

/// Clients that come and go. Each is harmed or it is not, and the others go on.
class Script {
public:
    Script(const Ports& ports, Outcome& outcome) : ports_{ports}, outcome_{outcome} {}

    Guest come(const std::string& name, Door door) {
        Guest guest{name, nullptr};
        const std::uint16_t port = door == Door::plain ? ports_.plain : ports_.tls;
        attempt(guest, [&] { guest.peer = std::make_unique<Peer>(port, door == Door::tls); });
        return guest;
    }

    void then(Guest& guest, const std::function<void(Peer&)>& step) {
        if (guest.peer) attempt(guest, [&] { step(*guest.peer); });
    }

private:
    void attempt(Guest& guest, const std::function<void()>& step) {
        try {
            step();
        } catch (const Ended& error) {
            outcome_.harmed.push_back(guest.name + " (" + error.what() + ")");
            guest.peer.reset();
        } catch (const std::exception& error) {
            outcome_.wrong.push_back(guest.name + ": " + error.what());
            guest.peer.reset();
        }
    }

    Ports ports_;
    Outcome& outcome_;
};

void talk(Peer& peer) {
    peer.upgrade();
    peer.echo("hello");
}

void say_everything(Peer& peer) {
    static const std::string long_text(40'000, 'a');
    talk(peer);
    peer.echo(long_text);
    peer.send(masked_frame(0x01, "frag"));
    peer.send(masked_frame(0x89, "ping"));
    peer.send(masked_frame(0x80, "ments"));
    peer.expect(server_frame(0x8A, "ping"));
    peer.expect(server_frame(0x81, "fragments"));
}

// When the socket does not take all of it, the rest waits, and the server stops reading.
void ask_for_much(Peer& peer) {
    static const Bytes large = pattern(200'000);
    peer.upgrade();
    for (int i = 0; i < 4; ++i) peer.send(masked_frame(0x82, std::span<const std::byte>{large}));
    for (int i = 0; i < 4; ++i) peer.expect(server_frame(0x82, large));
}

void take_a_page(Peer& peer) {
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.expect_answer("HTTP/1.1 200 OK\r\n");
}

void be_refused(Peer& peer, std::string_view request) {
    peer.send(request);
    peer.expect_answer("HTTP/1.1 400 Bad Request\r\n");
}

void come_and_go(Script& script, Door door) {
    const std::string kind = door == Door::tls ? " over TLS" : "";
    Guest talker = script.come("a talker" + kind, door);
    script.then(talker, say_everything);
    Guest heavy = script.come("a heavy talker" + kind, door);
    script.then(heavy, ask_for_much);
    script.then(heavy, [](Peer& peer) { peer.reset(); });
    Guest browser = script.come("a browser" + kind, door);
    script.then(browser, take_a_page);
    Guest stranger = script.come("a stranger" + kind, door);
    script.then(stranger, [](Peer& peer) { be_refused(peer, "nonsense\r\n\r\n"); });
    script.then(talker, [](Peer& peer) { peer.close(1000); });
}

void say_much_at_once(Peer& peer) {
    const std::string text(125, 'a');
    Bytes all;
    for (std::size_t i = 0; i < greedy_messages; ++i) append(all, masked_frame(0x81, text));
    peer.upgrade();
    peer.send(all);
    for (std::size_t i = 0; i < greedy_messages; ++i) peer.expect(server_frame(0x81, text));
}

void play(Life life, Script& script, Child& child) {
    const bool whole = life == Life::whole;
    Guest bystander = script.come("the bystander", whole ? Door::plain : Door::tls);
    if (life != Life::greedy) script.then(bystander, talk);
    if (whole) {
        come_and_go(script, Door::plain);
        come_and_go(script, Door::tls);
        Guest lost = script.come("a client that speaks plainly to TLS", Door::wrong);
        script.then(lost, [](Peer& peer) { be_refused(peer, "GET / HTTP/1.1\r\n\r\n"); });
    }
    if (life == Life::whole || life == Life::tls) {
        child.signal(SIGHUP);
        child.wait_for("SIGHUP: ");
    }
    if (life == Life::greedy) script.then(bystander, say_much_at_once);
    Guest last = script.come("the last to come", Door::tls);
    script.then(last, talk);
    script.then(bystander, [](Peer& peer) { peer.echo("still here"); });
    if (whole) script.then(bystander, [](Peer& peer) { peer.expect_ping(); });
    child.signal(SIGTERM);
    for (Guest* guest : {&bystander, &last})
        script.then(*guest, [](Peer& peer) { peer.answer_close(1001); });
}

Config config_for(Life life, const PemFiles& files) {
    Config config;
    config.port = 0;
    config.tls_port = 0;
    config.limits.timeouts.ping = 60ms;
    config.limits.backpressure.max_buffered = 256 * 1024;
    if (life == Life::greedy) config.limits.backpressure.max_buffered = 2 * greedy_turn;
    if (life == Life::self_made) return config;
    config.certificate_file = files.certificate;
    config.key_file = files.key;
    return config;
}

}  // namespace

Outcome live(Life life, const Fault& fault, const PemFiles& files, Record& record) {
    Outcome outcome;
    Child child{config_for(life, files), fault, record};
    if (const auto ports = child.ports()) {
        Script script{*ports, outcome};
        play(life, script, child);
    }
    if (!child.end()) outcome.wrong.push_back("it does not end");
    outcome.status = child.status();
    outcome.log = child.log();
    return outcome;
}
