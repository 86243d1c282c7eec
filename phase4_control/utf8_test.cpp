#include "utf8.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "common/test_bytes.hpp"
#include "common/test_pages.hpp"

namespace {

bool is_text(std::span<const std::byte> bytes) {
    Utf8Validator validator;
    return validator.take(bytes) && validator.complete();
}

/// The place of the first wrong byte, told byte by byte.
std::optional<std::size_t> first_wrong(std::span<const std::byte> bytes) {
    Utf8Validator validator;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        if (!validator.take(bytes.subspan(i, 1))) return i;
    return std::nullopt;
}

/// Another decoder, to compare with: it reads whole characters and then looks at their numbers
/// (RFC 3629 §3).
bool is_text_by_numbers(std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size();) {
        const auto first = std::to_integer<std::uint32_t>(bytes[i]);
        const std::size_t size = first < 0x80             ? 1
                                 : (first & 0xE0) == 0xC0 ? 2
                                 : (first & 0xF0) == 0xE0 ? 3
                                 : (first & 0xF8) == 0xF0 ? 4
                                                          : 0;
        if (size == 0 || i + size > bytes.size()) return false;
        std::uint32_t number = size == 1 ? first : first & (0x7FU >> size);
        for (std::size_t more = 1; more < size; ++more) {
            const auto next = std::to_integer<std::uint32_t>(bytes[i + more]);
            if ((next & 0xC0) != 0x80) return false;
            number = number << 6 | (next & 0x3F);
        }
        constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        const bool surrogate = number >= 0xD800 && number <= 0xDFFF;
        if (number < least[size] || surrogate || number > 0x10FFFF) return false;
        i += size;
    }
    return true;
}

Bytes encode(std::uint32_t number) {
    const auto tail = [number](unsigned shift) {
        return static_cast<std::byte>(0x80 | (number >> shift & 0x3F));
    };
    if (number < 0x80) return {static_cast<std::byte>(number)};
    if (number < 0x800) return {static_cast<std::byte>(0xC0 | number >> 6), tail(0)};
    if (number < 0x10000) return {static_cast<std::byte>(0xE0 | number >> 12), tail(6), tail(0)};
    return {static_cast<std::byte>(0xF0 | number >> 18), tail(12), tail(6), tail(0)};
}

/// Whether some text begins with these bytes of one character: two more are tried, at the edges of
/// what they may be.
bool may_go_on(Bytes bytes, int more = 2) {
    if (is_text_by_numbers(bytes)) return true;
    if (more == 0) return false;
    bytes.push_back({});
    for (const unsigned next : {0x80U, 0x8FU, 0x90U, 0x9FU, 0xA0U, 0xBFU}) {
        bytes.back() = static_cast<std::byte>(next);
        if (may_go_on(bytes, more - 1)) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("text in many scripts is UTF-8") {
    for (const char* text :
         {"", "a", "Hello", "κόσμε", "Grüße", "日本語", "🙂", "a🙂é本", "\x7F", "\xC2\x80",
          "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
          "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "\xEF\xBB\xBF with a BOM"})
        CHECK_MESSAGE(is_text(to_bytes(text)), text);
    CHECK(is_text(from_hex("00")));
}

TEST_CASE("a wrong byte is told when it comes, and not later (RFC 3629 §4)") {
    struct Sample {
        const char* hex;
        std::size_t wrong;
    };
    for (const Sample& sample : {
             Sample{"80", 0},           // a continuation of nothing
             Sample{"bf", 0},           //
             Sample{"61 80", 1},        //
             Sample{"c0 80", 0},        // overlong: U+0000 in two bytes
             Sample{"c1 bf", 0},        //
             Sample{"e0 80 80", 1},     // overlong in three
             Sample{"e0 9f bf", 1},     //
             Sample{"f0 80 80 80", 1},  // overlong in four
             Sample{"f0 8f bf bf", 1},  //
             Sample{"ed a0 80", 1},     // U+D800: a surrogate
             Sample{"ed bf bf", 1},     // U+DFFF
             Sample{"f4 90 80 80", 1},  // U+110000
             Sample{"f5 80 80 80", 0},  //
             Sample{"f8 88 80 80", 0},  // five bytes, once
             Sample{"fe", 0},           //
             Sample{"ff", 0},           //
             Sample{"c3 28", 1},        // not a continuation
             Sample{"c3 c3", 1},        //
             Sample{"e2 28 a1", 1},     //
             Sample{"e2 82 28", 2},     //
             Sample{"f0 9f 28 82", 2},  //
             Sample{"f0 9f 99 28", 3},  //
             Sample{"ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80 65", 12},  // Autobahn 6.3.1
             Sample{"ce ba e1 bd b9 f4 90 80 80 65", 6},                  // Autobahn 6.4.1
         }) {
        CAPTURE(sample.hex);
        const Bytes bytes = from_hex(sample.hex);
        CHECK(first_wrong(bytes) == sample.wrong);
        CHECK(!is_text(bytes));
        CHECK(Utf8Validator{}.take(std::span{bytes}.first(sample.wrong)));
        CHECK(!Utf8Validator{}.take(std::span{bytes}.first(sample.wrong + 1)));
    }
}

TEST_CASE("text that ends within a character is not complete") {
    for (const char* hex : {"c3", "e2", "e2 82", "f0", "f0 9f", "f0 9f 99"}) {
        CAPTURE(hex);
        Utf8Validator validator;
        CHECK(validator.take(from_hex(hex)));
        CHECK(!validator.complete());
    }
}

TEST_CASE("text may be cut anywhere, within its characters too") {
    const Bytes text = to_bytes("aé本🙂\xF4\x8F\xBF\xBF\xED\x9F\xBF\xE0\xA0\x80z");
    for (std::size_t first = 0; first <= text.size(); ++first)
        for (std::size_t second = first; second <= text.size(); ++second) {
            Utf8Validator validator;
            const std::span whole{text};
            CHECK(validator.take(whole.first(first)));
            CHECK(validator.take(whole.subspan(first, second - first)));
            CHECK(validator.take(whole.subspan(second)));
            CHECK(validator.complete());
        }
}

TEST_CASE("wherever a wrong byte stands between long runs of ASCII, it is found") {
    for (const char filler : {'a', '0', '\x7F', '\0'})
        for (std::size_t place = 0; place < 200; ++place) {
            CAPTURE(place);
            Bytes text(600, static_cast<std::byte>(filler));
            for (const unsigned wrong : {0x80U, 0xC3U, 0xFFU}) {
                text[place] = static_cast<std::byte>(wrong);
                CHECK(!is_text(text));
            }
            text[place] = std::byte{0xC3};
            if (place + 1 == text.size()) continue;
            text[place + 1] = std::byte{0xA9};
            CHECK(is_text(text));
        }
}

TEST_CASE("a run of ASCII of any length is read to its end, and no further") {
    for (const unsigned next : {unsigned{'a'}, 0xFFU})
        for (std::size_t size = 1; size < 600; ++size) {
            CAPTURE(size);
            Bytes text(700, static_cast<std::byte>(next));
            std::fill_n(text.begin(), size, std::byte{'a'});
            CHECK(is_text(std::span{text}.first(size)));
            text[size - 1] = std::byte{0x80};
            CHECK(!is_text(std::span{text}.first(size)));
            CHECK(is_text(std::span{text}.first(size - 1)));
        }
}

TEST_CASE("no byte beside the text is looked at") {
    const Bytes text = join({Bytes(550, std::byte{'a'}), from_hex("c3 a9 e2 82 ac f0 9f 98 80")});
    GuardedPages pages{text.size()};
    for (std::size_t size = 0; size <= text.size(); ++size) {
        const auto end = std::span{text}.subspan(size);
        CHECK(is_text(pages.at_end(end)) == is_text(end));
        CHECK(is_text(pages.at_front(end)) == is_text(end));
    }
}

TEST_CASE("a character that is cut off is not forgotten over a run of ASCII") {
    for (const std::size_t size : {1U, 8U, 64U, 100U, 300U}) {
        CAPTURE(size);
        const Bytes ascii(size, std::byte{'a'});
        Utf8Validator validator;
        CHECK(validator.take(from_hex("c3")));
        CHECK(!validator.take(ascii));
        for (std::size_t before = 0; before < 300; ++before)
            CHECK(!is_text(
                join({Bytes(before, std::byte{'a'}), from_hex("c3"), ascii, from_hex("a9")})));
    }
}

TEST_CASE("every code point is text, but for the surrogates") {
    std::size_t wrong = 0;
    for (std::uint32_t number = 0; number <= 0x10FFFF; ++number) {
        const bool surrogate = number >= 0xD800 && number <= 0xDFFF;
        if (is_text(encode(number)) == surrogate) ++wrong;
    }
    for (std::uint32_t number = 0x110000; number < 0x200000; number += 0x40)
        if (is_text(encode(number))) ++wrong;
    CHECK(wrong == 0);
}

TEST_CASE("every sequence of two bytes and of three is judged as another decoder judges it") {
    std::size_t wrong = 0;
    std::array<std::byte, 3> bytes{};
    for (std::uint32_t number = 0; number < 1U << 24; ++number) {
        for (std::size_t i = 0; i < 3; ++i) bytes[i] = static_cast<std::byte>(number >> 8 * i);
        if (is_text(bytes) != is_text_by_numbers(bytes)) ++wrong;
        if (number >= 1U << 16) continue;
        const auto two = std::span{bytes}.first(2);
        if (is_text(two) != is_text_by_numbers(two)) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("the first two bytes are refused exactly when no text begins with them") {
    std::size_t wrong = 0;
    for (unsigned first = 0x80; first < 256; ++first)
        for (unsigned second = 0; second < 256; ++second) {
            const Bytes bytes{static_cast<std::byte>(first), static_cast<std::byte>(second)};
            if (Utf8Validator{}.take(bytes) != may_go_on(bytes)) ++wrong;
        }
    CHECK(wrong == 0);
}
