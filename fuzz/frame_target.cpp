// Frame headers, masks, text and CLOSE bodies: any bytes, in any cuts.
#include <optional>

#include "fuzz/input.hpp"
#include "fuzz/wire.hpp"
#include "phase5_tls/close.hpp"
#include "phase5_tls/frame.hpp"
#include "phase5_tls/utf8.hpp"

namespace {

struct Outcome {
    std::optional<FrameHeader> header;
    std::size_t taken = 0;
    unsigned refused = 0;  // the code; 0: none
};

Outcome read_header(std::span<const std::byte> stream, Cuts cuts) {
    Outcome outcome;
    HeaderReader reader;
    try {
        cuts.feed(stream, [&](std::span<std::byte> piece) {
            auto rest = piece;
            FrameHeader header;
            if (reader.take(rest, header)) outcome.header = header;
            PROMISE(rest.empty() || outcome.header, "what is taken is a header");
            outcome.taken += piece.size() - rest.size();
            return !outcome.header;
        });
        PROMISE(reader.has_begun() == (!outcome.header && !stream.empty()), "it knows what it has");
    } catch (const ProtocolError& error) {
        outcome = {{}, 0, static_cast<unsigned>(error.code())};
    }
    return outcome;
}

void check_same(const Outcome& whole, const Outcome& cut) {
    PROMISE(whole.refused == cut.refused && whole.taken == cut.taken, "the cuts change nothing");
    PROMISE(whole.header.has_value() == cut.header.has_value(), "the cuts change nothing");
    if (!whole.header) return;
    PROMISE(whole.header->fin == cut.header->fin && whole.header->opcode == cut.header->opcode &&
                whole.header->length == cut.header->length && whole.header->key == cut.header->key,
            "the cuts change nothing");
}

// A header that was read is written again, with a mask, as it came.
void check_round_trip(std::span<const std::byte> stream, const Outcome& outcome) {
    if (!outcome.header) return;
    const FrameHeader& header = *outcome.header;
    std::array<std::byte, max_server_header> room;
    const auto encoded = std::span{room}.first(encode_header(room, header.opcode, header.length));
    Bytes written{encoded.begin(), encoded.end()};
    if (!header.fin) written[0] &= std::byte{0x7F};
    written[1] |= std::byte{0x80};
    append(written, header.key);
    PROMISE(std::ranges::equal(written, stream.first(outcome.taken)), "a header has one spelling");
}

void check_unmask(std::span<const std::byte> stream, Cuts cuts, unsigned first) {
    const MaskingKey key{std::byte{0x37}, std::byte{0xFA}, std::byte{0x21}, std::byte{0x3D}};
    std::uint64_t offset = first;
    cuts.feed(stream, [&](std::span<std::byte> piece) {
        const Bytes masked{piece.begin(), piece.end()};
        unmask(piece, key, offset);
        for (std::size_t i = 0; i < piece.size(); ++i)
            PROMISE(piece[i] == (masked[i] ^ key[(offset + i) % 4]), "each byte meets its key");
        offset += piece.size();
        return true;
    });
}

/// How a text is judged: 0 good, 1 cut off, 2 wrong.
int judge(std::span<const std::byte> text, Cuts cuts) {
    Utf8Validator validator;
    bool good = true;
    cuts.feed(text, [&](std::span<std::byte> piece) { return good = validator.take(piece); });
    return !good ? 2 : validator.complete() ? 0 : 1;
}

// The other reader of the wire says the same of it, as a message and as a CLOSE.
void check_text(std::span<const std::byte> stream, const Cuts& cuts) {
    const int whole = judge(stream, Cuts::none());
    PROMISE(whole == judge(stream, cuts), "the cuts change nothing");
    const auto owed = expected_answers(make_frame(0x81, stream, example_key), 1 << 20);
    PROMISE((owed.frames.at(0).opcode == 1) == (whole == 0), "two decoders agree");
    const auto began = expected_answers(make_frame(0x01, stream, example_key), 1 << 20);
    PROMISE(began.frames.empty() == (whole != 2), "two decoders agree on a text that goes on");
}

void check_close(std::span<const std::byte> stream) {
    const auto payload = stream.first(std::min<std::size_t>(stream.size(), 125));
    const auto owed = expected_answers(make_frame(0x88, payload, example_key), 1000);
    unsigned code = 0;
    try {
        Cuts::none().feed(payload, [&](auto piece) { return (code = parse_close(piece)), true; });
        PROMISE(!owed.fails, "a CLOSE that is wrong is refused");
    } catch (const ProtocolError& error) {
        PROMISE(owed.fails, "a CLOSE that is right is taken");
        code = static_cast<unsigned>(error.code());
    }
    const Bytes& answer = owed.frames.at(0).payload;
    const unsigned expected = answer.empty() ? 0
                                             : std::to_integer<unsigned>(answer[0]) * 256 +
                                                   std::to_integer<unsigned>(answer[1]);
    PROMISE(code == expected, "with its own code, or the one that it earned");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input{data, size};
    const unsigned offset = input.byte();
    const Cuts cuts{input};
    const auto stream = input.rest();
    const Outcome whole = read_header(stream, Cuts::none());
    check_same(whole, read_header(stream, cuts));
    check_round_trip(stream, whole);
    check_unmask(stream, cuts, offset);
    check_text(stream, cuts);
    check_close(stream);
    return 0;
}
