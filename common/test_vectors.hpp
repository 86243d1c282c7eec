// Reads vectors/phaseN.txt, whose head explains the format, and plays its vectors to a peer: whole,
// byte by byte, cut at every place, and as they are written; each piece lies right before a page
// that may not be read.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "common/test_bytes.hpp"
#include "common/test_pages.hpp"

struct Vector {
    struct Step {
        std::vector<Bytes> lines;  // what the client sends
        std::string answer;        // what it is answered with, as the file has it
    };

    std::string name;      // its file, its line and its title
    unsigned only = 0;     // the one phase that it holds in; 0: in later ones too
    bool refused = false;  // the connection is over afterwards
    std::vector<Step> steps{};
};

/// "61 62*3" as four bytes: 61 and three times 62.
inline Bytes bytes_of_line(const std::string& line) {
    Bytes bytes;
    std::istringstream words{line};
    for (std::string word; words >> word;) {
        const auto star = std::min(word.find('*'), word.size());
        const std::string hex = word.substr(0, star);
        const bool is_hex = hex.find_first_not_of("0123456789abcdef") == std::string::npos;
        REQUIRE_MESSAGE((is_hex && hex.size() % 2 == 0), "not hexadecimal: " << word);
        const unsigned long count = star == word.size() ? 1 : std::stoul(word.substr(star + 1));
        for (unsigned long i = 0; i < count; ++i) append(bytes, from_hex(hex));
    }
    return bytes;
}

/// A line of a request, with its CRLF: \r, \n, \t and \0 stand for these, {x*3} for xxx.
inline Bytes request_line(const std::string& line) {
    constexpr std::string_view letters = "rnt0";
    constexpr std::string_view meant{"\r\n\t\0", 4};
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\') {
            text += meant.at(letters.find(line.at(++i)));
        } else if (line[i] == '{') {
            text.append(std::stoul(line.substr(i + 3)), line[i + 1]);
            i = line.find('}', i);
        } else {
            text += line[i];
        }
    }
    return to_bytes(text + "\r\n");
}

inline void add_answer(Vector& vector, const std::string& line, bool is_http) {
    std::string& answer = vector.steps.back().answer;
    const bool closes = line.starts_with("close ");
    if (is_http && answer.empty()) vector.refused = line != "101";
    if (closes || line == "end") vector.refused = true;
    if (line == "end" || line == "nothing") return;
    if (!answer.empty()) answer += is_http ? '\n' : ' ';
    answer += is_http || closes ? line : to_hex(bytes_of_line(line));
}

/// The vectors of a phase; the tests run at the repository's top.
inline std::vector<Vector> read_vectors(unsigned phase) {
    const std::string path = "vectors/phase" + std::to_string(phase) + ".txt";
    std::ifstream file{path};
    REQUIRE_MESSAGE(file.good(), path << " is not here");
    std::vector<Vector> vectors;
    std::string line;
    bool answered = true;  // the step before has its answer: the next line that is sent begins one
    for (unsigned number = 1; std::getline(file, line); ++number) {
        const std::string rest = line.substr(std::min<std::size_t>(line.size(), 2));
        if (line.starts_with("== ")) {
            vectors.push_back({.name = path + ":" + std::to_string(number) + " " + line.substr(3)});
            answered = true;
        } else if (line.starts_with("task ")) {
            if (line.ends_with(" only")) vectors.back().only = phase;
        } else if (line.starts_with('>')) {
            if (answered) vectors.back().steps.emplace_back();
            vectors.back().steps.back().lines.push_back(phase == 2 ? request_line(rest)
                                                                   : bytes_of_line(rest));
            answered = false;
        } else if (line.starts_with("< ")) {
            add_answer(vectors.back(), rest, phase == 2);
            answered = true;
        } else {
            REQUIRE_MESSAGE((line.empty() || line.starts_with('#')), path << ":" << number);
        }
    }
    return vectors;
}

/// The answer as the file would have it: the very words of `expected` where it is as good as that.
/// The reason of a CLOSE, and what a response says besides, are free.
inline std::string answer_as(const std::string& expected, const Bytes& answer) {
    const std::string text = to_text(answer);
    if (text.starts_with("HTTP/1.1 ")) {
        std::istringstream lines{expected};
        std::string line;
        std::getline(lines, line);
        bool good = line.find(text.substr(9, 3)) != std::string::npos;
        while (std::getline(lines, line))
            good = good && text.find("\r\n" + line + "\r\n") != std::string::npos;
        return good ? expected : text;
    }
    const auto close = expected.find("close ");
    const std::size_t before = close / 3;  // "81 05 " are two bytes
    if (close == std::string::npos || answer.size() < before + 4) return to_hex(answer);
    const auto frame = std::span{answer}.subspan(before);
    const auto value = [&](std::size_t i) { return std::to_integer<std::size_t>(frame[i]); };
    if (value(0) != 0x88 || value(1) != frame.size() - 2) return to_hex(answer);
    const std::string hex = to_hex(std::span{answer}.first(before));
    return hex + (hex.empty() ? "" : " ") + "close " + std::to_string(value(2) << 8 | value(3));
}

/// Plays one vector. `make_peer` gives a fresh server's side, with `Bytes send(span)`, which may
/// change what it takes and returns the answer, and `bool is_over()`.
inline void play(const Vector& vector, const auto& make_peer) {
    INFO(vector.name);
    Bytes all;
    for (const Vector::Step& step : vector.steps)
        for (const Bytes& line : step.lines) append(all, line);
    GuardedPages pages{all.size()};
    std::string answer;
    auto written = make_peer();
    for (const Vector::Step& step : vector.steps) {
        Bytes answered;
        for (const Bytes& line : step.lines) append(answered, written.send(pages.at_end(line)));
        CHECK_MESSAGE(answer_as(step.answer, answered) == step.answer, "line by line");
        answer += (answer.empty() || step.answer.empty() ? "" : " ") + step.answer;
    }
    CHECK(written.is_over() == vector.refused);

    auto slow = make_peer();
    Bytes answered;
    for (const std::byte& byte : all) append(answered, slow.send(pages.at_end({&byte, 1})));
    CHECK_MESSAGE(answer_as(answer, answered) == answer, "byte by byte");
    CHECK(slow.is_over() == vector.refused);

    // A cut at 0 leaves it whole. In a long payload, one place is like the next.
    for (std::size_t cut = 0; cut < all.size(); ++cut) {
        if (cut == 150 && all.size() > 300) cut = all.size() - 150;
        auto peer = make_peer();
        const Bytes first = peer.send(pages.at_end(std::span{all}.first(cut)));
        const Bytes second = peer.send(pages.at_end(std::span{all}.subspan(cut)));
        const std::string got = answer_as(answer, join({first, second}));
        if (got == answer && peer.is_over() == vector.refused) continue;
        CHECK_MESSAGE(got == answer, "cut at " << cut);
        CHECK_MESSAGE(peer.is_over() == vector.refused, "cut at " << cut);
        break;  // one is enough to look into
    }
}

/// Plays all vectors of `phase` that hold in phase `here`.
inline void play_vectors(unsigned phase, unsigned here, const auto& make_peer) {
    const auto vectors = read_vectors(phase);
    CHECK(vectors.size() >= 15);
    for (const Vector& vector : vectors)
        if (vector.only == 0 || vector.only == here) play(vector, make_peer);
}
