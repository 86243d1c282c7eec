#include "poller.hpp"

#include "common/error.hpp"

Poller::Poller() : epoll_{check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {}

void Poller::watch(int fd, std::uint32_t events) {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= armed_.size()) armed_.resize(index + 1, unwatched);
    if (armed_[index] == events) return;
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    const int operation = armed_[index] == unwatched ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    check(epoll_ctl(epoll_.get(), operation, fd, &event), "epoll_ctl");
    armed_[index] = events;
}

void Poller::forget(int fd) {
    armed_[static_cast<std::size_t>(fd)] = unwatched;
}

std::span<const epoll_event> Poller::wait(int timeout_ms) {
    const int count =
        epoll_wait(epoll_.get(), ready_.data(), static_cast<int>(ready_.size()), timeout_ms);
    if (count < 0 && errno == EINTR) return {};  // a stop and continue is enough (signal(7))
    return {ready_.data(), static_cast<std::size_t>(check(count, "epoll_wait"))};
}
