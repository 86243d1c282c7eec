// The whole of Protocol: any bytes, in any cuts, with the server's own words in between.
#include "phase5_tls/protocol.hpp"

#include "fuzz/input.hpp"
#include "fuzz/memory.hpp"
#include "fuzz/wire.hpp"
#include "phase5_tls/handshake.hpp"
#include "phase5_tls/page.hpp"

namespace {

constexpr std::string_view request =
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// What all connections share.
struct Settings {
    std::size_t max_message;
    std::vector<std::string> origins;
};

Settings read_settings(Input& input) {
    constexpr std::array sizes{std::size_t{1} << 20, std::size_t{125}, std::size_t{126},
                               std::size_t{1},       std::size_t{600}, std::size_t{70'000}};
    const std::size_t max_message = sizes.at(input.choice(sizes.size()));
    if (input.flag()) return {max_message, {"https://example.com"}};
    return {max_message, {}};
}

struct Conversation {
    Bytes said;
    Protocol::State state;
    unsigned close_code;
    std::uint64_t received;

    bool operator==(const Conversation&) const = default;
};

// What may be held between two reads: the head is bounded by 8 KiB, and is kept as strings; a
// message by --max-message, and by 16 times what has come of it; a vector that grows has room for
// twice what is in it.
void check_memory(const MemoryCount& memory, std::size_t fed, const Settings& settings) {
    const std::size_t message = std::min(2 * settings.max_message, 32 * fed);
    PROMISE(memory.live() <= 48 * 1024 + message, "the memory of a connection is bounded");
}

/// What the server may say of itself, between two reads: 0 is nothing.
void speak(unsigned what, Protocol& protocol, Output& output) {
    switch (what % 16) {
        case 1:
            protocol.ping(output);
            break;
        case 2:
            protocol.close(CloseCode::going_away, "the server is stopping", output);
            break;
        case 3:
            protocol.fail(CloseCode::policy_violation, std::string(200, 'a'), output);
            break;
        case 4:
            if (protocol.state() == Protocol::State::connecting) protocol.refuse_slow_head(output);
            break;
        case 5:
            protocol.abandon();
            break;
        default:
            break;
    }
}

Conversation talk(std::span<const std::byte> stream, Cuts cuts, const Settings& settings,
                  std::vector<unsigned> words = {}) {
    Conversation conversation{};
    conversation.said.reserve(2 * stream.size() + (1 << 16));
    const MemoryCount memory;
    Protocol protocol{settings.max_message, settings.origins};
    std::size_t fed = 0;
    {
        Output output;
        const auto collect = [&] {
            for (const iovec& slice : output.slices())
                append(conversation.said,
                       {static_cast<const std::byte*>(slice.iov_base), slice.iov_len});
        };
        cuts.feed(stream, [&](std::span<std::byte> piece) {
            protocol.receive(piece, output);
            fed += piece.size();
            collect();
            output = Output{};
            check_memory(memory, fed, settings);
            if (words.empty()) return true;
            speak(words.back(), protocol, output);
            words.pop_back();
            collect();
            output = Output{};
            return true;
        });
    }
    conversation.state = protocol.state();
    conversation.close_code = protocol.close_code();
    conversation.received = protocol.received_count();
    return conversation;
}

std::size_t page_size() {
    Request get;
    get.method = "GET";
    return page_response(get).size();
}

// What a client gets is what it is owed: all of it, where the server was left to itself.
void check_legal(std::span<const std::byte> stream, const Conversation& conversation,
                 const Settings& settings, bool alone) {
    const ServerOutput output = read_server_output(conversation.said, asks_head(stream));
    PROMISE(output.whole, "answers are whole");
    // A page is sent once, and a refusal; all else is an echo, which is shorter than what came.
    PROMISE(conversation.said.size() <= stream.size() + page_size() + 512,
            "an answer is no longer than what came, but for a page");
    if (output.closed && conversation.state == Protocol::State::open)
        PROMISE(false, "a CLOSE ends the connection");
    if (output.status != 101) return;
    const auto frames = stream.subspan(head_size(stream));
    constexpr std::array early{1001U, 1008U};
    check_answers(output, expected_answers(frames, settings.max_message),
                  alone ? std::span<const unsigned>{} : early, alone);
    if (alone && output.closed)
        PROMISE(conversation.state == Protocol::State::closed &&
                    conversation.close_code == output.close_code(),
                "it knows what it said");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    accept_key("");  // what libcrypto allocates once is no connection's
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input{data, size};
    const Settings settings = read_settings(input);
    const Cuts cuts{input};
    std::vector<unsigned> words;
    for (std::size_t count = input.choice(8); count > 0; --count) words.push_back(input.byte());
    Bytes stream = input.flag() ? Bytes{} : to_bytes(request);
    append(stream, input.rest());
    if (stream.size() > 1 << 18) return 0;

    const Conversation whole = talk(stream, Cuts::none(), settings);
    PROMISE(whole == talk(stream, cuts, settings), "the cuts change nothing");
    check_legal(stream, whole, settings, true);
    if (!words.empty()) check_legal(stream, talk(stream, cuts, settings, words), settings, false);
    return 0;
}
