// What a request says of a URI (RFC 3986): checked, and not taken apart.
#pragma once

#include <string_view>

/// A host that is not empty, and perhaps ":" and a port, as a Host header has them (RFC 9110 §7.2).
/// A comma is not let in: two Host lines that a proxy has joined look like this (RFC 9110 §5.3).
bool is_host_and_port(std::string_view text);

/// A request target in origin form, "/chat?room=1", or in absolute form with a scheme that leads to
/// HTTP, "http://example.org/chat" (RFC 9112 §3.2). A fragment is no part of it.
bool is_request_target(std::string_view text);
