// Socket addresses as people write them.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

/// "127.0.0.1:8080" or "[::1]:8080": the form that fits into a URL.
std::string to_string(const sockaddr_storage& address);

/// The address that a socket is bound to; it tells which port --port 0 was given. Throws
/// std::system_error.
std::string local_address(int fd);

/// The port of that address.
std::uint16_t local_port(int fd);
