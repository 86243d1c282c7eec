#include "http.hpp"

#include <algorithm>

#include "common/http_date.hpp"
#include "common/uri.hpp"

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string to_lower(std::string_view text) {
    std::string lower{text};
    for (char& c : lower) c = to_lower(c);
    return lower;
}

bool equal_without_case(std::string_view left, std::string_view right) {
    return std::ranges::equal(
        left, right, {}, [](char c) { return to_lower(c); }, [](char c) { return to_lower(c); });
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// RFC 9110 §5.6.2.
bool is_token(std::string_view text) {
    constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
    const auto is_tchar = [&](char c) {
        const char lower = to_lower(c);
        return (lower >= 'a' && lower <= 'z') || is_digit(c) ||
               marks.find(c) != std::string_view::npos;
    };
    return !text.empty() && std::ranges::all_of(text, is_tchar);
}

/// RFC 9112 §2.3.
bool is_version(std::string_view text) {
    return text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' &&
           is_digit(text[7]);
}

/// How many bytes at the front are none of the control characters: those have no place in a line,
/// and are how smuggled requests begin (RFC 9110 §5.5).
std::size_t plain_front(std::string_view text) {
    const auto is_control = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t') || byte == 0x7f;
    };
    return static_cast<std::size_t>(std::ranges::find_if(text, is_control) - text.begin());
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 101:
            return "Switching Protocols";
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 403:
            return "Forbidden";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 414:
            return "URI Too Long";
        case 417:
            return "Expectation Failed";
        case 426:
            return "Upgrade Required";
        case 431:
            return "Request Header Fields Too Large";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Error";
    }
}

}  // namespace

std::string response_head(int status, std::string_view fields) {
    std::string head;
    head.reserve(96 + fields.size());
    head.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    head.append(reason_phrase(status)).append("\r\n");
    if (status != 101) head.append("Date: ").append(http_date(std::time(nullptr))).append("\r\n");
    return head.append(fields).append("\r\n");
}

// Task 2.2: the body says why, and its length where it ends: the client need not wait for more.
std::string refusal(const HttpError& error, std::string_view method) {
    const std::string body = std::string{error.what()} + "\n";
    const std::string head = response_head(
        error.status(), error.fields() +
                            "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Length: " +
                            std::to_string(body.size()) + "\r\nConnection: close\r\n");
    return method == "HEAD" ? head : head + body;
}

std::vector<std::string_view> Request::values(std::string_view name) const {
    std::vector<std::string_view> found;
    for (const Field& field : fields)
        if (field.name == name) found.push_back(field.value);
    return found;
}

bool Request::has_token(std::string_view name, std::string_view token) const {
    for (std::string_view list : values(name)) {
        while (!list.empty()) {
            const auto comma = std::min(list.find(','), list.size());
            if (equal_without_case(trim(list.substr(0, comma)), token)) return true;
            list.remove_prefix(std::min(comma + 1, list.size()));
        }
    }
    return false;
}

void Request::require_no_content() const {
    for (const std::string_view length : values("content-length"))
        if (length.find_first_not_of('0') != std::string_view::npos)
            throw HttpError{400, "the request has content: Content-Length must be 0 or left out"};
    if (!values("transfer-encoding").empty())
        throw HttpError{400, "the request has content: Transfer-Encoding must be left out"};
    // With an upgrade, a 100 would have to come before the 101 (RFC 9110 §7.8); what is older than
    // HTTP/1.1 expects nothing (§10.1.1).
    if (!values("expect").empty() && version != "HTTP/1.0")
        throw HttpError{417, "the Expect header cannot be met: it must be left out"};
}

std::string_view RequestParser::method() const {
    if (!request_.method.empty()) return request_.method;
    const auto space = line_.find(' ');
    return space == std::string::npos ? "" : std::string_view{line_}.substr(0, space);
}

std::size_t RequestParser::take(std::span<const std::byte> input) {
    const std::string_view text{reinterpret_cast<const char*>(input.data()), input.size()};
    std::size_t taken = 0;
    while (taken < text.size() && !complete_) {
        const std::string_view rest = text.substr(taken);
        const std::size_t plain = plain_front(rest.substr(0, room()));
        if (plain > 0)
            append(rest.substr(0, plain));
        else
            take_byte(rest[0]);
        taken += std::max<std::size_t>(plain, 1);
    }
    return taken;
}

// Up to the first byte that is over a limit, and no further.
std::size_t RequestParser::room() const {
    const std::size_t head = max_head + 1 - size_;
    return request_.method.empty() ? std::min(head, max_request_line + 1 - line_.size()) : head;
}

void RequestParser::append(std::string_view part) {
    if (line_.ends_with('\r')) throw HttpError{400, "a CR without an LF: lines end with CRLF"};
    size_ += part.size();
    line_ += part;
    if (size_ > max_head) throw HttpError{431, "the head is too large: 8 KiB are the limit"};
    if (request_.method.empty() && line_.size() > max_request_line)
        throw HttpError{414, "the target is too long: the request line may have 4 KiB"};
}

// A CR and an LF come together, and nothing else is a control character.
void RequestParser::take_byte(char c) {
    if (c == '\r') return append("\r");
    if (c != '\n') throw HttpError{400, "the head has a control character"};
    if (!line_.ends_with('\r')) throw HttpError{400, "an LF without a CR: lines end with CRLF"};
    if (++size_ > max_head) throw HttpError{431, "the head is too large: 8 KiB are the limit"};
    line_.pop_back();
    end_line();
    line_.clear();
}

void RequestParser::end_line() {
    if (request_.method.empty()) {
        // An empty line or two before the request is forgiven (RFC 9112 §2.2).
        if (line_.empty()) return;
        parse_request_line();
        request_.fields.reserve(16);  // mostly enough, and they need not move
    } else if (line_.empty()) {
        check_fields();
        complete_ = true;
    } else {
        parse_field();
    }
}

// Task 2.1: method, target and version, parted by one space each (RFC 9112 §3).
void RequestParser::parse_request_line() {
    const auto first = line_.find(' ');
    const auto last = line_.rfind(' ');
    if (first == last) throw HttpError{400, "the request line is not METHOD TARGET HTTP/1.1"};
    request_.method = line_.substr(0, first);
    request_.target = line_.substr(first + 1, last - first - 1);
    request_.version = line_.substr(last + 1);
    if (!is_token(request_.method)) throw HttpError{400, "the method is not a token"};
    if (!is_version(request_.version))
        throw HttpError{400, "the version is malformed: HTTP/1.1 is required"};
    if (!request_.version.starts_with("HTTP/1."))
        throw HttpError{505, request_.version + " is not supported: HTTP/1.1 is required"};
    if (!is_request_target(request_.target))
        throw HttpError{400, "the target is neither a path nor an http, https, ws or wss URL"};
}

// Task 2.1: a name, a colon, and a value without the white space around it (RFC 9112 §5). A name
// that is no token covers a space before the colon, a folded line (§5.2) and an empty name.
void RequestParser::parse_field() {
    const auto colon = line_.find(':');
    if (colon == std::string::npos) throw HttpError{400, "a header line has no colon"};
    const std::string_view name = std::string_view{line_}.substr(0, colon);
    if (!is_token(name)) throw HttpError{400, "a header name is not a token"};
    if (request_.fields.size() == max_fields)
        throw HttpError{431, "there are too many header fields: 100 are the limit"};
    request_.fields.push_back(
        {to_lower(name), std::string{trim(std::string_view{line_}.substr(colon + 1))}});
}

// What every request must have, whatever it asks for: one Host (only HTTP/1.0 may have none; RFC
// 9112 §3.2), and no doubt about where it ends (§6.3).
void RequestParser::check_fields() const {
    const auto hosts = request_.values("host");
    if (hosts.size() > 1 || (hosts.empty() && request_.version != "HTTP/1.0"))
        throw HttpError{
            400, "exactly one Host header is required (got " + std::to_string(hosts.size()) + ")"};
    if (!hosts.empty() && !hosts[0].empty() && !is_host_and_port(hosts[0]))
        throw HttpError{400, "the Host header is not valid: HOST or HOST:PORT is required"};
    const auto lengths = request_.values("content-length");
    if (lengths.empty()) return;
    if (lengths.size() > 1 || lengths[0].empty() || !std::ranges::all_of(lengths[0], is_digit))
        throw HttpError{400, "Content-Length is not valid: one number is required"};
    if (!request_.values("transfer-encoding").empty())
        throw HttpError{400, "the request has both Content-Length and Transfer-Encoding"};
}
