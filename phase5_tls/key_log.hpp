// The keys of connections, for Wireshark.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "common/unique_fd.hpp"

/// Where the environment names a file as SSLKEYLOGFILE, the keys of all connections of this context
/// are written there. It is opened by the first call, and stays open. Throws std::runtime_error.
void log_keys(SSL_CTX* context);

/// A file of the user's own that nobody else can read, and no link to one; made where there is
/// none. Throws std::runtime_error.
UniqueFd open_key_log(const std::string& path);
