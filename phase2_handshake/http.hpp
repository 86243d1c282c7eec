// The head of an HTTP/1.1 request (RFC 9112 §2–§5), parsed as its bytes come in.
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// A request that is refused: caught in one place, and answered by refusal().
class HttpError : public std::runtime_error {
public:
    /// `fields` are header lines for the answer, each ended by CRLF.
    HttpError(int status, const std::string& why, std::string fields = "")
        : std::runtime_error{why}, status_{status}, fields_{std::move(fields)} {}

    int status() const { return status_; }
    const std::string& fields() const { return fields_; }

private:
    int status_;
    std::string fields_;
};

/// The whole response that tells the client why, and that the connection ends. What answers a HEAD
/// is the head alone, as it would be with content (RFC 9110 §9.3.2).
std::string refusal(const HttpError& error, std::string_view method);

/// A status line and header fields; `fields` are whole lines, each ended by CRLF. But for 101,
/// which need not have it, the Date is added (RFC 9110 §6.6.1).
std::string response_head(int status, std::string_view fields);

struct Request {
    struct Field {
        std::string name;  // in lower case
        std::string value;
    };

    std::string method;
    std::string target;
    std::string version;  // "HTTP/1.1"
    std::vector<Field> fields;

    /// The values of every field of that name (in lower case), in their order.
    std::vector<std::string_view> values(std::string_view name) const;

    /// Whether a field that is a comma-separated list has this member (in lower case); case does
    /// not matter, and a list may be spread over several fields (RFC 9110 §5.3, §5.6.1).
    bool has_token(std::string_view name, std::string_view token) const;

    /// Throws HttpError where content follows the head (400), or waits for a 100 (417): that is for
    /// requests that bring something, and would be taken for the first frame.
    void require_no_content() const;
};

class RequestParser {
public:
    static constexpr std::size_t max_head = 8192;
    static constexpr std::size_t max_request_line = 4096;
    static constexpr std::size_t max_fields = 100;

    /// Takes bytes up to the end of the head and returns how many; what follows is not HTTP any
    /// more. Each byte is looked at once, however it is cut. Throws HttpError (400, 414, 431, 505).
    std::size_t take(std::span<const std::byte> input);

    bool complete() const { return complete_; }
    const Request& request() const { return request_; }

    /// As soon as it is known; the refusal of a head that is not complete needs it too.
    std::string_view method() const;

private:
    std::size_t room() const;
    void append(std::string_view part);
    void take_byte(char c);
    void end_line();
    void parse_request_line();
    void parse_field();
    void check_fields() const;

    Request request_;
    std::string line_;  // the one that is coming in
    std::size_t size_ = 0;
    bool complete_ = false;
};
