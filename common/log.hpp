// The log: lines on stderr, which perhaps nobody reads.
#pragma once

#include <algorithm>
#include <array>
#include <climits>
#include <ostream>
#include <streambuf>
#include <string_view>

/// The longest line. With what write_line() adds to it, it fits into PIPE_BUF bytes, which a pipe
/// takes whole or not at all (pipe(7)).
constexpr std::size_t max_log_line = PIPE_BUF - 96;

/// The text of a line. It needs no memory but its own: a line can tell that memory has run out.
class LineBuffer : public std::streambuf {
public:
    LineBuffer() { setp(text_.data(), text_.data() + text_.size()); }

    /// Control characters become '?': what is quoted can't begin another line, or move the cursor.
    std::string_view text() {
        const auto is_control = [](char c) { return (c >= '\0' && c < ' ') || c == '\x7F'; };
        std::replace_if(pbase(), pptr(), is_control, '?');
        return {pbase(), static_cast<std::size_t>(pptr() - pbase())};
    }

private:
    std::array<char, max_log_line> text_;
};

/// Writes a line to stderr. It never waits: a line that finds no room is dropped, and the next one
/// that finds room is preceded by one that says how many were.
void write_line(std::string_view text) noexcept;

/// A line made of these parts, cut at max_log_line bytes: log_line(peer, " connected").
template <typename... Parts>
void log_line(const Parts&... parts) {
    LineBuffer line;
    std::ostream out{&line};
    (out << ... << parts);
    write_line(line.text());
}
