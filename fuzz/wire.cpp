#include "fuzz/wire.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>

#include "fuzz/input.hpp"

/// Every Date is the same: the answers to the same bytes are compared (ld(1), --wrap).
// NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's name
extern "C" std::time_t __wrap_time(std::time_t*) {
    return 784111777;
}

namespace {

unsigned value(std::byte byte) {
    return std::to_integer<unsigned>(byte);
}

/// The well-formed sequences of the Unicode Standard, table 3-7: the range of the first byte, that
/// of the second, and how many there are.
struct Row {
    unsigned first_low, first_high, second_low, second_high;
    std::size_t size;
};
constexpr std::array<Row, 9> well_formed{{
    {0x00, 0x7F, 0x00, 0x00, 1},
    {0xC2, 0xDF, 0x80, 0xBF, 2},
    {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3},
    {0xED, 0xED, 0x80, 0x9F, 3},
    {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4},
    {0xF1, 0xF3, 0x80, 0xBF, 4},
    {0xF4, 0xF4, 0x80, 0x8F, 4},
}};

enum class Text { valid, cut_off, wrong };

Text judge(std::span<const std::byte> text) {
    while (!text.empty()) {
        const unsigned first = value(text[0]);
        const auto row = std::ranges::find_if(well_formed, [first](const Row& candidate) {
            return first >= candidate.first_low && first <= candidate.first_high;
        });
        if (row == well_formed.end()) return Text::wrong;
        for (std::size_t i = 1; i < row->size; ++i) {
            if (i == text.size()) return Text::cut_off;
            const unsigned low = i == 1 ? row->second_low : 0x80;
            const unsigned high = i == 1 ? row->second_high : 0xBF;
            if (value(text[i]) < low || value(text[i]) > high) return Text::wrong;
        }
        text = text.subspan(row->size);
    }
    return Text::valid;
}

/// RFC 6455 §7.4 and the registry of §11.7.
bool is_close_code(unsigned code) {
    constexpr std::array named{1000U, 1001U, 1002U, 1003U, 1007U, 1008U,
                               1009U, 1010U, 1011U, 1012U, 1013U, 1014U};
    return std::ranges::find(named, code) != named.end() || (code >= 3000 && code < 5000);
}

/// What is wrong with the payload of a CLOSE, as a code; 0: nothing.
unsigned fault_of_close(std::span<const std::byte> payload) {
    if (payload.empty()) return 0;
    if (payload.size() == 1) return 1002;
    if (!is_close_code(value(payload[0]) * 256 + value(payload[1]))) return 1002;
    return judge(payload.subspan(2)) == Text::valid ? 0 : 1007;
}

struct Header {
    bool fin = false, masked = false, minimal = true, whole = false;
    unsigned reserved = 0, opcode = 0;
    std::uint64_t length = 0;
    std::size_t size = 0;
    std::array<unsigned, 4> key{};

    bool is_control() const { return opcode >= 8; }
};

Header read_header(std::span<const std::byte> bytes) {
    Header header;
    if (bytes.size() < 2) return header;
    header.fin = value(bytes[0]) >= 0x80;
    header.reserved = value(bytes[0]) / 16 % 8;
    header.opcode = value(bytes[0]) % 16;
    header.masked = value(bytes[1]) >= 0x80;
    header.length = value(bytes[1]) % 128;
    const std::size_t more = header.length == 126 ? 2 : header.length == 127 ? 8 : 0;
    header.size = 2 + more + (header.masked ? 4 : 0);
    if (bytes.size() < header.size) return header;
    header.whole = true;
    if (more > 0) header.length = 0;
    for (std::size_t i = 0; i < more; ++i)
        header.length = header.length * 256 + value(bytes[2 + i]);
    header.minimal = more == 0 || (more == 2 && header.length > 125) ||
                     (header.length > 65535 && header.length < 1ULL << 63);
    for (std::size_t i = 0; header.masked && i < 4; ++i) header.key[i] = value(bytes[2 + more + i]);
    return header;
}

bool is_known(unsigned opcode) {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

void read_frames(std::span<const std::byte> bytes, ServerOutput& output) {
    std::optional<Frame> message;
    while (!bytes.empty()) {
        PROMISE(!output.closed, "nothing is sent after a CLOSE");
        const Header header = read_header(bytes);
        output.whole = header.whole && bytes.size() - header.size >= header.length;
        PROMISE(value(bytes[0]) / 16 % 8 == 0, "no reserved bits");
        PROMISE(is_known(value(bytes[0]) % 16), "a known opcode");
        if (!header.whole) return;
        PROMISE(!header.masked, "a server does not mask");
        PROMISE(header.minimal, "the length in its shortest form");
        if (!output.whole) return;
        const auto payload = bytes.subspan(header.size, header.length);
        bytes = bytes.subspan(header.size + header.length);
        const Frame frame{header.opcode, {payload.begin(), payload.end()}};
        if (header.is_control()) {
            PROMISE(header.fin && header.length <= 125, "a control frame is whole and short");
            output.closed = header.opcode == 8;
            if (output.closed) PROMISE(fault_of_close(payload) == 0, "a proper CLOSE");
            output.frames.push_back(frame);
            continue;
        }
        PROMISE((header.opcode == 0) == message.has_value(), "fragments in order");
        if (!message) message = Frame{header.opcode, {}};
        append(message->payload, payload);
        if (!header.fin) continue;
        if (message->opcode == 1)
            PROMISE(judge(message->payload) == Text::valid, "a text is UTF-8");
        output.frames.push_back(*message);
        message.reset();
    }
}

std::size_t content_length(const std::string& head) {
    const auto at = head.find("\r\nContent-Length: ");
    PROMISE(at != std::string::npos, "a response tells its length");
    return std::stoul(head.substr(at + 18));
}

/// The client's messages and how they are answered, one frame after the other.
class Client {
public:
    Client(std::size_t max_message, Expected& expected)
        : max_message_{max_message}, expected_{expected} {}

    /// One frame, of which `payload` has come. Returns false when nothing behind it counts.
    bool take(const Header& header, Bytes payload) {
        if (header.reserved != 0 || !is_known(header.opcode) || !header.masked || !header.minimal ||
            (header.is_control() && (!header.fin || header.length > 125)))
            return fail(1002);
        for (std::size_t i = 0; i < payload.size(); ++i)
            payload[i] ^= static_cast<std::byte>(header.key[i % 4]);
        const bool whole = payload.size() == header.length;
        return header.is_control() ? !whole || take_control(header.opcode, payload)
                                   : take_data(header, payload, whole);
    }

private:
    bool fail(unsigned code) {
        expected_.frames.push_back({8, {std::byte(code / 256), std::byte(code % 256)}});
        expected_.fails = true;
        return false;
    }

    bool take_control(unsigned opcode, const Bytes& payload) {
        if (opcode == 9) expected_.frames.push_back({10, payload});
        if (opcode != 8) return true;
        if (const unsigned fault = fault_of_close(payload)) return fail(fault);
        const auto size = static_cast<std::ptrdiff_t>(std::min<std::size_t>(payload.size(), 2));
        expected_.frames.push_back({8, {payload.begin(), payload.begin() + size}});
        return false;
    }

    bool take_data(const Header& header, const Bytes& payload, bool whole) {
        if ((header.opcode == 0) != message_.has_value()) return fail(1002);
        if (!message_) message_ = Frame{header.opcode, {}};
        // A message of one frame has no fragments to count.
        if (!header.fin || fragments_ > 0) ++fragments_;
        if (fragments_ > std::max<std::size_t>(1024, max_message_ / 16)) return fail(1008);
        if (header.length > max_message_ - message_->payload.size()) return fail(1009);
        append(message_->payload, payload);
        if (message_->opcode == 1 && judge(message_->payload) == Text::wrong) return fail(1007);
        if (!whole || !header.fin) return true;
        if (message_->opcode == 1 && judge(message_->payload) != Text::valid) return fail(1007);
        expected_.frames.push_back(*message_);
        message_.reset();
        fragments_ = 0;
        return true;
    }

    std::size_t max_message_;
    Expected& expected_;
    std::optional<Frame> message_;
    std::size_t fragments_ = 0;
};

}  // namespace

unsigned ServerOutput::close_code() const {
    if (!closed || frames.back().payload.size() < 2) return 0;
    return value(frames.back().payload[0]) * 256 + value(frames.back().payload[1]);
}

ServerOutput read_server_output(std::span<const std::byte> bytes, bool may_answer_head) {
    ServerOutput output;
    const std::string text = to_text(bytes);
    const auto end = text.find("\r\n\r\n");
    const std::string_view start = "HTTP/1.1 ";
    PROMISE(std::string_view{text}.substr(0, 9) == start.substr(0, text.size()), "a response");
    output.whole = text.empty();
    if (end == std::string::npos) return output;
    output.head = text.substr(0, end + 4);
    output.status = std::stoi(text.substr(9, 3));
    output.whole = true;
    if (output.status == 101) {
        read_frames(bytes.subspan(end + 4), output);
        return output;
    }
    output.body = text.substr(end + 4);
    PROMISE(output.head.find("\r\nConnection: close\r\n") != std::string::npos, "a last response");
    PROMISE(output.body.size() <= content_length(output.head), "nothing behind a response");
    output.whole = output.body.size() == content_length(output.head) ||
                   (may_answer_head && output.body.empty());
    return output;
}

bool asks_head(std::span<const std::byte> bytes) {
    while (to_text(bytes.first(std::min<std::size_t>(bytes.size(), 2))) == "\r\n")
        bytes = bytes.subspan(2);
    return to_text(bytes.first(std::min<std::size_t>(bytes.size(), 5))) == "HEAD ";
}

Expected expected_answers(std::span<const std::byte> bytes, std::size_t max_message) {
    Expected expected;
    Client client{max_message, expected};
    while (!bytes.empty()) {
        const Header header = read_header(bytes);
        if (!header.whole) break;
        bytes = bytes.subspan(header.size);
        const auto payload = bytes.first(std::min<std::uint64_t>(header.length, bytes.size()));
        if (!client.take(header, {payload.begin(), payload.end()})) break;
        bytes = bytes.subspan(payload.size());
    }
    return expected;
}

std::size_t head_size(std::span<const std::byte> bytes) {
    const std::string text = to_text(bytes);
    std::size_t begin = 0;
    while (text.substr(begin, 2) == "\r\n") begin += 2;
    const auto end = text.find("\r\n\r\n", begin);
    return end == std::string::npos ? 0 : end + 4;
}

void check_answers(const ServerOutput& output, const Expected& expected,
                   std::span<const unsigned> early_codes, bool all) {
    std::size_t place = 0;
    const unsigned code = output.close_code();
    for (std::size_t i = 0; i < output.frames.size(); ++i) {
        const Frame& frame = output.frames[i];
        if (frame.opcode == 9 && frame.payload.empty()) continue;
        const bool last = i + 1 == output.frames.size();
        const bool as_expected = place < expected.frames.size();
        if (last && output.closed && as_expected && expected.frames[place].opcode == 8 &&
            expected.fails) {
            const Frame& owed = expected.frames[place];
            if (std::ranges::equal(std::span{frame.payload}.first(2), owed.payload)) return;
        }
        if (as_expected && frame == expected.frames[place]) {
            ++place;
            continue;
        }
        const bool early = last && std::ranges::find(early_codes, code) != early_codes.end();
        PROMISE(early, "each answer is what the client is owed, in order");
        return;
    }
    if (all) PROMISE(place == expected.frames.size(), "no answer is missing");
}
