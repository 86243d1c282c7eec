// The request head and the opening handshake: any bytes, in any cuts.
#include "fuzz/input.hpp"
#include "fuzz/wire.hpp"
#include "phase5_tls/handshake.hpp"
#include "phase5_tls/page.hpp"

namespace {

struct Outcome {
    std::size_t taken = 0;  // of the input; 0 where it was refused
    std::string answer;     // empty: the head is not whole

    bool operator==(const Outcome&) const = default;
};

Outcome parse(std::span<const std::byte> stream, Cuts cuts,
              const std::vector<std::string>& origins) {
    RequestParser parser;
    Outcome outcome;
    try {
        cuts.feed(stream, [&](std::span<std::byte> piece) {
            const std::size_t taken = parser.take(piece);
            PROMISE(taken == piece.size() || parser.complete(), "what is not taken is not HTTP");
            outcome.taken += taken;
            return !parser.complete();
        });
        if (!parser.complete()) return {};
        const Request& request = parser.request();
        PROMISE(request.fields.size() <= RequestParser::max_fields, "a bounded number of fields");
        outcome.answer =
            wants_page(request) ? page_response(request) : answer_handshake(request, origins);
    } catch (const HttpError& error) {
        outcome = {0, refusal(error, parser.method())};
    }
    return outcome;
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
}

/// What every handshake has that may be answered with 101, seen without a parser.
void check_accepted(std::string head, const std::string& answer) {
    while (head.starts_with("\r\n")) head.erase(0, 2);
    const bool gets = head.starts_with("GET ");
    for (char& c : head) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    const std::string line = head.substr(0, head.find("\r\n"));
    PROMISE(gets && line.find(" http/1.") == line.size() - 9 && line.back() >= '1' &&
                line.back() <= '9' && line.find('#') == std::string::npos,
            "GET and HTTP/1.1 or higher");
    for (const char* once : {"\r\nhost:", "\r\nsec-websocket-key:", "\r\nsec-websocket-version:"})
        PROMISE(count(head, once) == 1, "exactly one Host, key and version");
    for (const char* never : {"\r\ntransfer-encoding:", "\r\nexpect:"})
        PROMISE(count(head, never) == 0, "nothing that is to follow the head");
    PROMISE(count(head, "\r\ncontent-length:") <= 1, "no two lengths");
    PROMISE(count(head, "\r\nupgrade:") > 0 && count(head, "\r\nconnection:") > 0, "an upgrade");
    PROMISE(count(head, "websocket") > 2 && count(head, "upgrade") > 1, "of this protocol");
    PROMISE(answer.find("\r\nSec-WebSocket-Accept: ") != std::string::npos, "the key is answered");
    PROMISE(answer.find("Extensions") == std::string::npos, "nothing that was not agreed");
}

void check_outcome(std::span<const std::byte> stream, const Outcome& outcome) {
    if (outcome.answer.empty()) {
        PROMISE(stream.size() <= RequestParser::max_head, "a head that does not end is refused");
        return;
    }
    const ServerOutput output = read_server_output(to_bytes(outcome.answer), asks_head(stream));
    PROMISE(output.whole, "a whole response");
    if (output.status != 101)
        PROMISE(output.body.empty() == asks_head(stream),
                "no content for HEAD, and for HEAD alone");
    constexpr std::array known{101, 200, 400, 403, 405, 414, 417, 426, 431, 505};
    PROMISE(std::ranges::find(known, output.status) != known.end(), "a status of ours");
    if (output.status == 405)
        PROMISE(output.head.find("\r\nAllow: GET") != std::string::npos, "405 says Allow");
    if (output.status != 101)
        PROMISE(
            output.head.find("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n") != std::string::npos,
            "a response has a date");
    if (output.status == 426)
        PROMISE(output.head.find("\r\nSec-WebSocket-Version: 13\r\n") != std::string::npos,
                "426 says which version");
    if (outcome.taken == 0) return;
    const std::string head = to_text(stream.first(outcome.taken));
    PROMISE(outcome.taken == head_size(stream), "the head ends at its first empty line");
    PROMISE(outcome.taken <= RequestParser::max_head, "a bounded head");
    for (const char c : head)
        PROMISE(static_cast<unsigned char>(c) >= 0x20 || c == '\r' || c == '\n' || c == '\t',
                "no control characters");
    PROMISE(count(head, "\n") == count(head, "\r\n") && count(head, "\r") == count(head, "\r\n"),
            "lines end with CRLF");
    if (output.status == 101) check_accepted(head, outcome.answer);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input{data, size};
    const std::vector<std::string> pages{"https://example.com", "http://a:80"};
    const auto origins = input.flag() ? pages : std::vector<std::string>{};
    const Cuts cuts{input};
    const auto stream = input.rest();
    const Outcome whole = parse(stream, Cuts::none(), origins);
    PROMISE(whole == parse(stream, cuts, origins), "the cuts change nothing");
    check_outcome(stream, whole);
    return 0;
}
