#include "bench/generator.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "bench/process.hpp"
#include "common/error.hpp"

namespace {

constexpr std::size_t buffer_size = 512 * 1024;
constexpr std::size_t max_opening = 50;  // at a time: no server's backlog is shorter
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t least_messages = 20;  // a slow server is measured for longer
constexpr std::uint64_t patience = 20 * second;

std::uint64_t nanoseconds(std::chrono::milliseconds duration) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds{duration}.count());
}

Script::Kind kind_of(const Url& url, bool binary) {
    if (!url.websocket) return Script::Kind::raw;
    return binary ? Script::Kind::binary : Script::Kind::text;
}

}  // namespace

Generator::Generator(const Settings& settings)
    : settings_{settings},
      url_{settings.url},
      context_{url_.tls ? make_tls_context() : TlsContext{nullptr, SSL_CTX_free}},
      buffer_(buffer_size),
      script_{kind_of(url_, settings.binary), settings.size, settings.in_flight},
      plan_{url_, context_.get(), script_, settings.every_byte, buffer_},
      epoll_{check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {}

std::uint64_t Generator::server_cpu() const {
    return settings_.server_pid.empty() ? 0 : cpu_time(settings_.server_pid);
}

std::unique_ptr<Client> Generator::connect() {
    auto client = std::make_unique<Client>(plan_);
    watch(*client, EPOLL_CTL_ADD);
    return client;
}

void Generator::watch(Client& client, int operation) {
    epoll_event event{};
    event.events = EPOLLIN | (client.wants_to_write() ? EPOLLOUT : 0u);
    event.data.ptr = &client;
    check(epoll_ctl(epoll_.get(), operation, client.fd(), &event), "epoll_ctl");
}

/// Serves all connections until `done(time)`, which is asked between batches of events, so that it
/// may end connections.
template <typename Done>
void Generator::run_until(Done done) {
    std::array<epoll_event, 256> events;
    std::uint64_t last_event = now();
    for (std::uint64_t time = last_event; !done(time); time = now()) {
        const int count = epoll_wait(epoll_.get(), events.data(), events.size(), 10);
        if (count < 0 && errno != EINTR) throw_errno("epoll_wait");
        for (int i = 0; i < count; ++i) {
            auto& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
            const bool wanted_to_write = client.wants_to_write();
            client.advance(now(), latencies_);
            if (client.wants_to_write() != wanted_to_write) watch(client, EPOLL_CTL_MOD);
        }
        if (count > 0) last_event = time;
        if (time > last_event + patience) throw std::runtime_error{"the server says nothing more"};
    }
}

/// Begins with each of a group of clients, waits until all of them are done, and takes the next.
template <typename Begin, typename Done>
void Generator::in_groups(Clients& clients, Begin begin, Done done) {
    for (std::span rest{clients}; !rest.empty();) {
        const auto group = rest.first(std::min(rest.size(), max_opening));
        rest = rest.subspan(group.size());
        std::ranges::for_each(group, begin);
        run_until([&](std::uint64_t) { return std::ranges::all_of(group, done); });
    }
}

Generator::Clients Generator::open(std::size_t count) {
    Clients clients(count);
    in_groups(
        clients, [this](auto& client) { client = connect(); },
        [](const auto& client) { return client->is_open(); });
    return clients;
}

/// Connections that have echoed a message: what a server keeps after that, it keeps.
Generator::Clients Generator::open_idle(std::size_t count) {
    Clients clients = open(count);
    in_groups(
        clients, [](auto& client) { client->send_one(now()); },
        [](const auto& client) { return client->is_idle(); });
    return clients;
}

template <typename Work>
Result Generator::measure(Work work) {
    const std::uint64_t warm = now() + nanoseconds(settings_.warm_up);
    run_until([&](std::uint64_t time) { return work(time), time >= warm; });

    latencies_ = {};
    const std::uint64_t server_before = server_cpu();
    const std::uint64_t client_before = cpu_time("self");
    const std::uint64_t begin = now();
    std::uint64_t end = begin;
    run_until([&](std::uint64_t time) {
        work(time);
        end = time;
        return time >= begin + nanoseconds(settings_.duration) &&
               latencies_.total() >= least_messages;
    });

    Result result;
    result.latencies = latencies_;
    result.seconds = static_cast<double>(end - begin) / second;
    const double microseconds = 1000 * static_cast<double>(latencies_.total());
    result.client_cpu_us = static_cast<double>(cpu_time("self") - client_before) / microseconds;
    if (!settings_.server_pid.empty())
        result.server_cpu_us = static_cast<double>(server_cpu() - server_before) / microseconds;
    return result;
}

Result Generator::echoes() {
    const Clients idle = open_idle(settings_.idle);
    const Clients clients = open(settings_.connections);
    for (const auto& client : clients) client->start(settings_.in_flight, now());
    for (const auto& client : clients) watch(*client, EPOLL_CTL_MOD);
    return measure([](std::uint64_t) {});
}

Result Generator::handshakes() {
    Clients clients = open(settings_.connections);
    return measure([&](std::uint64_t time) {
        for (auto& client : clients) {
            if (!client->is_open()) continue;
            latencies_.add(time - client->started());
            client.reset();  // the peer sees its end before the next begins
            client = connect();
        }
    });
}

Result Generator::memory() {
    const Clients first = open_idle(max_opening);  // what is made once is made now
    const std::uint64_t before = resident_memory(settings_.server_pid);
    const Clients idle = open_idle(settings_.idle);
    const std::uint64_t after = resident_memory(settings_.server_pid);
    Result result;
    result.rss_per_connection = (static_cast<double>(after) - static_cast<double>(before)) /
                                static_cast<double>(settings_.idle);
    return result;
}
