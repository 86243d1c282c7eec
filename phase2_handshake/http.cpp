#include "http.hpp"

#include <algorithm>
#include <array>

namespace {

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
        return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
               marks.find(c) != std::string_view::npos;
    };
    return !text.empty() && std::ranges::all_of(text, is_tchar);
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
    head.reserve(64 + fields.size());
    head.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
    return head.append(reason_phrase(status)).append("\r\n").append(fields).append("\r\n");
}

// Task 2.2: the body says why, and its length where it ends: the client need not wait for more.
std::string refusal(const HttpError& error) {
    const std::string body = std::string{error.what()} + "\n";
    return response_head(error.status(), error.fields() +
                                             "Content-Type: text/plain; charset=utf-8\r\n"
                                             "Content-Length: " +
                                             std::to_string(body.size()) +
                                             "\r\nConnection: close\r\n") +
           body;
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
    if (line_.ends_with('\r')) throw HttpError{400, "a CR or an LF that is not part of a CRLF"};
    size_ += part.size();
    line_ += part;
    if (size_ > max_head) throw HttpError{431, "the head is over 8 KiB"};
    if (request_.method.empty() && line_.size() > max_request_line)
        throw HttpError{414, "the target is too long"};
}

// A CR and an LF come together, and nothing else is a control character.
void RequestParser::take_byte(char c) {
    if (c == '\r') return append("\r");
    if (c != '\n') throw HttpError{400, "a control character in the head"};
    if (!line_.ends_with('\r')) throw HttpError{400, "a CR or an LF that is not part of a CRLF"};
    if (++size_ > max_head) throw HttpError{431, "the head is over 8 KiB"};
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
        complete_ = true;
    } else {
        parse_field();
    }
}

// Task 2.1: method, target and version, parted by one space each (RFC 9112 §3).
void RequestParser::parse_request_line() {
    const auto first = line_.find(' ');
    const auto last = line_.rfind(' ');
    if (first == last) throw HttpError{400, "a request line has three parts"};
    request_.method = line_.substr(0, first);
    request_.target = line_.substr(first + 1, last - first - 1);
    request_.version = line_.substr(last + 1);
    const bool spaced =
        request_.target.empty() || request_.target.find_first_of(" \t") != std::string::npos;
    if (!is_token(request_.method) || spaced || !request_.version.starts_with("HTTP/"))
        throw HttpError{400, "a request line is: METHOD TARGET HTTP/1.1"};
}

// Task 2.1: a name, a colon, and a value without the white space around it (RFC 9112 §5). A name
// that is no token covers a space before the colon, a folded line (§5.2) and an empty name.
void RequestParser::parse_field() {
    const auto colon = line_.find(':');
    if (colon == std::string::npos) throw HttpError{400, "a header line without a colon"};
    const std::string_view name = std::string_view{line_}.substr(0, colon);
    if (!is_token(name)) throw HttpError{400, "a header name that is no token"};
    if (request_.fields.size() == max_fields) throw HttpError{431, "over 100 header fields"};
    request_.fields.push_back(
        {to_lower(name), std::string{trim(std::string_view{line_}.substr(colon + 1))}});
}
