// The listening sockets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/unique_fd.hpp"

/// Non-blocking TCP sockets that listen on a numeric address or on every address of a host name
/// (IPv4 and IPv6), all on one port; port 0 takes a free one. Throws std::runtime_error that reads
/// "cannot listen on 127.0.0.1:80: …".
std::vector<UniqueFd> open_listeners(const std::string& host, std::uint16_t port);
