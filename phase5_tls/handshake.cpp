#include "handshake.hpp"

#include <algorithm>

#include "common/base64.hpp"
#include "common/sha1.hpp"

namespace {

/// What a client must know to come back with the right request (RFC 6455 §4.4, RFC 9110 §15.5.22).
const std::string how_to_upgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";

// Task 2.2: that it asks for this protocol, in a version that we speak (items 3, 4 and 6).
void check_upgrade(const Request& request) {
    const bool upgrade =
        request.has_token("upgrade", "websocket") && request.has_token("connection", "upgrade");
    if (!upgrade) throw HttpError{426, "this is a WebSocket server", how_to_upgrade};
    const auto versions = request.values("sec-websocket-version");
    if (versions.size() != 1 || versions[0] != "13")
        throw HttpError{426, "this server speaks WebSocket version 13", how_to_upgrade};
}

// Task 2.2: the key: one, of 16 bytes (item 5).
std::string_view check_key(const Request& request) {
    const auto keys = request.values("sec-websocket-key");
    if (keys.size() != 1 || base64_decoded_size(keys[0]) != 16)
        throw HttpError{400, "a handshake has one Sec-WebSocket-Key, 16 bytes in base64"};
    return keys[0];
}

/// An origin in one spelling: lower case, without the port that its scheme implies (RFC 6454 §4).
std::string normalized(std::string_view origin) {
    std::string text;
    for (const char c : origin) text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const std::string_view port = text.starts_with("http://") ? ":80" : ":443";
    if (text.ends_with(port)) text.resize(text.size() - port.size());
    return text;
}

// Task 5.3: a browser sends along which page is asking, and its cookies; a page from elsewhere must
// not use them (RFC 6455 §10.2). What sends no Origin is no browser, and can write what it likes.
void check_origin(const Request& request, const std::vector<std::string>& origins) {
    const auto given = request.values("origin");
    if (origins.empty() || given.empty()) return;
    const auto matches = [&](const std::string& allowed) {
        return normalized(allowed) == normalized(given[0]);
    };
    if (given.size() > 1 || std::ranges::none_of(origins, matches))
        throw HttpError{403, "pages of this origin may not connect"};
}

}  // namespace

void check_request(const Request& request) {
    if (!request.version.starts_with("HTTP/1."))
        throw HttpError{505, "this server speaks HTTP/1.1"};
    if (request.version != "HTTP/1.1") throw HttpError{400, "a handshake is an HTTP/1.1 request"};
    if (request.method != "GET")
        throw HttpError{405, "a handshake is a GET request", "Allow: GET\r\n"};
    if (request.values("host").size() != 1) throw HttpError{400, "a request has exactly one Host"};
}

// Task 2.1: base64 of SHA-1 of the key's text as it was sent, followed by the protocol's GUID.
std::string accept_key(std::string_view key) {
    constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    return base64_encode(sha1(std::string{key} + std::string{guid}));
}

// Task 2.1: 101 names the protocol and proves that the key was read. No subprotocol and no
// extension is named: none may be that was not offered (RFC 6455 §4.2.2), and none is supported.
std::string answer_handshake(const Request& request, const std::vector<std::string>& origins) {
    check_request(request);
    check_upgrade(request);
    check_origin(request, origins);
    const std::string_view key = check_key(request);
    return response_head(101,
                         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                             accept_key(key) + "\r\n");
}
