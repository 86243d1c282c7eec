// The server's side of the opening handshake (RFC 6455 §4.2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http.hpp"

/// The Sec-WebSocket-Accept that a Sec-WebSocket-Key earns (RFC 6455 §4.2.2 step 5.4).
std::string accept_key(std::string_view key);

/// The 101 that opens the connection. Throws HttpError for a request that is no proper handshake,
/// or that comes from a page of none of the `origins` ("https://example.org"; none given: any
/// page).
std::string answer_handshake(const Request& request, const std::vector<std::string>& origins);
