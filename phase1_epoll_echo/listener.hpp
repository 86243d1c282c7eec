// The listening socket.
#pragma once

#include <cstdint>
#include <string>

#include "common/unique_fd.hpp"

/// A non-blocking TCP socket that listens on a numeric address or host name (IPv4 or IPv6); port 0
/// takes a free one. Throws std::runtime_error that reads "cannot listen on 127.0.0.1:80: …".
UniqueFd open_listener(const std::string& host, std::uint16_t port);
