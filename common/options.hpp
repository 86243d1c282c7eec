// Command-line flags: "--port 8080" or "--port=8080", each declared with its help in one line.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

/// A flag that is unknown, lacks its value or has a wrong one. what() names the flag and what it
/// takes.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class Options {
public:
    /// `program` and `purpose` head the help text.
    Options(std::string program, std::string purpose);

    /// Each declares a flag, the name of its value in the help, and the variable that it sets; what
    /// the variable holds when the flag is declared is shown as the default.
    void text(const std::string& flag, const std::string& value, const std::string& help,
              std::string& target);
    void port(const std::string& flag, const std::string& help, std::uint16_t& target);
    void count(const std::string& flag, const std::string& value, const std::string& help,
               std::size_t& target, std::size_t least = 1);
    /// Seconds, decimals allowed, a part of a millisecond counts as a whole one; 0 turns the limit
    /// off.
    void seconds(const std::string& flag, const std::string& help,
                 std::chrono::milliseconds& target);
    /// One of two words; `target` is true for the second.
    void either(const std::string& flag, const std::string& first, const std::string& second,
                const std::string& help, bool& target);
    /// May be given several times.
    void list(const std::string& flag, const std::string& value, const std::string& help,
              std::vector<std::string>& target);
    /// Takes no value.
    void toggle(const std::string& flag, const std::string& help, bool& target);

    /// Sets the variables. Returns false when the help was asked for, and printed, instead.
    /// Throws UsageError.
    bool parse(int argc, const char* const* argv) const;

private:
    struct Flag {
        std::string name;
        std::string value;  // empty: takes none
        std::string help;
        std::string standard;  // the default, as text
        /// Throws std::invalid_argument when the text is not what the flag takes.
        std::function<void(const std::string&)> set;
        std::string takes;
    };

    const Flag& find(const std::string& name) const;
    void print_help() const;

    std::string program_;
    std::string purpose_;
    std::vector<Flag> flags_;
};
