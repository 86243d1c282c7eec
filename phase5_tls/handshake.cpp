#include "handshake.hpp"

#include <algorithm>

#include "common/base64.hpp"
#include "common/sha1.hpp"

namespace {

/// What a client must know to come back with the right request (RFC 6455 §4.4, RFC 9110 §15.5.22).
const std::string how_to_upgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";

bool asks_for_upgrade(const Request& request) {
    return request.has_token("upgrade", "websocket") && request.has_token("connection", "upgrade");
}

bool has_version_13(const Request& request) {
    const auto versions = request.values("sec-websocket-version");
    return versions.size() == 1 && versions[0] == "13";
}

// Task 2.1: all that RFC 6455 §4.2.1 asks for: a GET, HTTP/1.1 or higher, the upgrade and its
// version, and one key of 16 bytes.
bool is_handshake(const Request& request) {
    const auto keys = request.values("sec-websocket-key");
    return request.method == "GET" && request.version != "HTTP/1.0" && asks_for_upgrade(request) &&
           has_version_13(request) && keys.size() == 1 && base64_decoded_size(keys[0]) == 16;
}

// Task 2.2: the first thing that is wrong with it, in the order in which a client would mend them.
[[noreturn]] void refuse(const Request& request) {
    if (request.method != "GET")
        throw HttpError{405, "a handshake must be a GET request (got " + request.method + ")",
                        "Allow: GET\r\n"};
    if (request.version == "HTTP/1.0")
        throw HttpError{400, "a handshake must be HTTP/1.1 or higher (got HTTP/1.0)"};
    if (!asks_for_upgrade(request))
        throw HttpError{426,
                        "the request does not ask for a WebSocket: Upgrade: websocket and "
                        "Connection: Upgrade are required",
                        how_to_upgrade};
    if (!has_version_13(request))
        throw HttpError{426, "Sec-WebSocket-Version is not 13", how_to_upgrade};
    if (const auto count = request.values("sec-websocket-key").size(); count != 1)
        throw HttpError{
            400, "exactly one Sec-WebSocket-Key is required (got " + std::to_string(count) + ")"};
    throw HttpError{400, "the Sec-WebSocket-Key is not 16 bytes in base64"};
}

// Task 5.3: an origin in one spelling: lower case, without the port that its scheme implies (RFC
// 6454 §4).
std::string normalized(std::string_view origin) {
    std::string text;
    for (const char c : origin) text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const std::string_view port = text.starts_with("http://") ? ":80" : ":443";
    if (text.ends_with(port)) text.erase(text.size() - port.size());
    return text;
}

// Task 5.3: a browser sends along which page is asking, and its cookies; a page from elsewhere must
// not use them (RFC 6455 §10.2). What sends no Origin is no browser, and can write what it likes.
void check_origin(const Request& request, const std::vector<std::string>& origins) {
    const auto given = request.values("origin");
    if (given.empty()) return;
    const auto matches = [&](const std::string& allowed) {
        return normalized(allowed) == normalized(given[0]);
    };
    if (given.size() > 1 || std::ranges::none_of(origins, matches))
        throw HttpError{403, "pages of this origin may not connect"};
}

}  // namespace

// Task 2.1: base64 of SHA-1 of the key's text as it was sent, followed by the protocol's GUID.
std::string accept_key(std::string_view key) {
    constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    return base64_encode(sha1(std::string{key} + std::string{guid}));
}

// 101 names the protocol and proves that the key was read. No subprotocol and no extension is
// named: none may be that was not offered (RFC 6455 §4.2.2), and none is supported.
std::string answer_handshake(const Request& request, const std::vector<std::string>& origins) {
    if (!is_handshake(request)) refuse(request);
    request.require_no_content();
    if (!origins.empty()) check_origin(request, origins);
    return response_head(101,
                         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                             accept_key(request.values("sec-websocket-key")[0]) + "\r\n");
}
