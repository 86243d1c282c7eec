#include "common/uri.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEFabcdef";

/// The characters that a name consists of: unreserved and sub-delims (RFC 3986 §2), but the comma.
constexpr std::string_view name_characters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+;=";

bool consists_of(std::string_view text, std::string_view characters) {
    return text.find_first_not_of(characters) == std::string_view::npos;
}

/// A name, with %20 and the like in it. An IPv4 address is one too (RFC 3986 §3.2.2).
bool is_name(std::string_view text) {
    while (!text.empty()) {
        const bool encoded = text[0] == '%';
        if (encoded && (text.size() < 3 || !consists_of(text.substr(1, 2), hex_digits)))
            return false;
        if (!encoded && !consists_of(text.substr(0, 1), name_characters)) return false;
        text.remove_prefix(encoded ? 3 : 1);
    }
    return true;
}

/// What may stand in brackets: an IPv6 address, or what may follow it one day, "v7.x" (IPvFuture).
bool is_address(std::string_view text) {
    in6_addr address{};
    if (inet_pton(AF_INET6, std::string{text}.c_str(), &address) == 1) return true;
    const auto dot = std::min(text.find('.'), text.size());
    const std::string_view version = text.substr(0, dot), rest = text.substr(dot);
    return version.size() > 1 && (version[0] == 'v' || version[0] == 'V') &&
           consists_of(version.substr(1), hex_digits) && rest.size() > 1 &&
           consists_of(rest.substr(1), std::string{name_characters} + ":,");
}

/// RFC 3986 §3.2.3 lets it be empty.
bool is_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return text.empty() || (error == std::errc{} && end == text.data() + text.size());
}

bool has_http_scheme(std::string_view uri) {
    std::string scheme{uri.substr(0, uri.find("://"))};
    for (char& c : scheme)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return scheme.size() < uri.size() &&
           (scheme == "http" || scheme == "https" || scheme == "ws" || scheme == "wss");
}

}  // namespace

bool is_host_and_port(std::string_view text) {
    const bool bracketed = text.starts_with('[');
    const auto end = std::min(text.find(bracketed ? ']' : ':'), text.size());
    const std::string_view host = text.substr(0, end);
    text.remove_prefix(end);
    if (bracketed) {
        if (text.empty() || !is_address(host.substr(1))) return false;
        text.remove_prefix(1);
    } else if (host.empty() || !is_name(host)) {
        return false;
    }
    return text.empty() || (text[0] == ':' && is_port(text.substr(1)));
}

bool is_request_target(std::string_view text) {
    const auto is_legal = [](char c) { return c > ' ' && c < 0x7f && c != '#'; };
    if (!std::ranges::all_of(text, is_legal)) return false;
    if (text.starts_with('/')) return true;
    if (!has_http_scheme(text)) return false;
    const std::string_view rest = text.substr(text.find("://") + 3);
    return is_host_and_port(rest.substr(0, rest.find_first_of("/?")));
}
