#include "common/options.hpp"

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <iostream>
#include <limits>
#include <sstream>

namespace {

/// 31 years. Added to the time since the machine's start, in nanoseconds, it fits into 64 bits.
constexpr double max_seconds = 1e9;

/// The whole text as a number from least to most; throws std::invalid_argument.
template <typename Number>
Number parse_number(const std::string& text, Number least, Number most) {
    Number number{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    const bool within = number >= least && number <= most;  // false for a NaN
    if (error != std::errc{} || stop != end || !within) throw std::invalid_argument{text};
    return number;
}

std::string to_text(std::chrono::milliseconds duration) {
    std::ostringstream out;
    out << std::chrono::duration<double>{duration}.count();
    return out.str();
}

}  // namespace

Options::Options(std::string program, std::string purpose)
    : program_{std::move(program)}, purpose_{std::move(purpose)} {}

void Options::text(const std::string& flag, const std::string& value, const std::string& help,
                   std::string& target) {
    const auto set = [&target](const std::string& text) {
        if (text.empty()) throw std::invalid_argument{text};
        target = text;
    };
    flags_.push_back({flag, value, help, target, set, "a text that is not empty"});
}

void Options::port(const std::string& flag, const std::string& help, std::uint16_t& target) {
    const auto set = [&target](const std::string& text) {
        target = parse_number<std::uint16_t>(text, 0, 65535);
    };
    flags_.push_back({flag, "PORT", help, std::to_string(target), set, "a number from 0 to 65535"});
}

void Options::count(const std::string& flag, const std::string& value, const std::string& help,
                    std::size_t& target, std::size_t least) {
    constexpr std::size_t most = std::numeric_limits<std::int64_t>::max();
    const auto set = [&target, least](const std::string& text) {
        target = parse_number<std::size_t>(text, least, most);
    };
    flags_.push_back(
        {flag, value, help, std::to_string(target), set,
         "a whole number from " + std::to_string(least) + " to " + std::to_string(most)});
}

void Options::seconds(const std::string& flag, const std::string& help,
                      std::chrono::milliseconds& target) {
    const auto set = [&target](const std::string& text) {
        const double number = parse_number<double>(text, 0.0, max_seconds);
        target =
            std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>{number});
    };
    flags_.push_back({flag, "SECONDS", help, to_text(target), set,
                      "seconds up to 1e9, decimals allowed (0: no limit)"});
}

void Options::either(const std::string& flag, const std::string& first, const std::string& second,
                     const std::string& help, bool& target) {
    const auto set = [&target, first, second](const std::string& text) {
        if (text != first && text != second) throw std::invalid_argument{text};
        target = text == second;
    };
    flags_.push_back(
        {flag, first + "|" + second, help, target ? second : first, set, first + " or " + second});
}

void Options::list(const std::string& flag, const std::string& value, const std::string& help,
                   std::vector<std::string>& target) {
    const auto set = [&target](const std::string& text) {
        if (text.empty()) throw std::invalid_argument{text};
        target.push_back(text);
    };
    flags_.push_back({flag, value, help, "", set, "a text that is not empty"});
}

void Options::toggle(const std::string& flag, const std::string& help, bool& target) {
    flags_.push_back({flag, "", help, "", [&target](const std::string&) { target = true; }, ""});
}

const Options::Flag& Options::find(const std::string& name) const {
    const auto flag = std::ranges::find(flags_, name, &Flag::name);
    if (flag == flags_.end())
        throw UsageError{"unknown flag " + name + " (" + program_ + " --help lists them)"};
    return *flag;
}

bool Options::parse(int argc, const char* const* argv) const {
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--help" || argument == "-h") {
            print_help();
            return false;
        }
        const auto equals = argument.find('=');
        const Flag& flag = find(argument.substr(0, equals));
        if (flag.value.empty()) {
            if (equals != std::string::npos) throw UsageError{flag.name + " takes no value"};
            flag.set("");
            continue;
        }
        const bool missing = equals == std::string::npos && i + 1 == argc;
        if (missing) throw UsageError{flag.name + " takes " + flag.takes + ", and none was given"};
        const std::string text =
            equals == std::string::npos ? argv[++i] : argument.substr(equals + 1);
        try {
            flag.set(text);
        } catch (const std::invalid_argument&) {
            throw UsageError{flag.name + " takes " + flag.takes + ", not '" + text + "'"};
        }
    }
    return true;
}

void Options::print_help() const {
    std::cout << "usage: " << program_ << " [FLAGS]\n" << purpose_ << "\n\n";
    std::size_t width = 0;
    for (const Flag& flag : flags_)
        width = std::max(width, flag.name.size() + 1 + flag.value.size());
    for (const Flag& flag : flags_) {
        std::cout << "  " << std::left << std::setw(static_cast<int>(width) + 2)
                  << flag.name + " " + flag.value << flag.help;
        if (!flag.standard.empty()) std::cout << " (default " << flag.standard << ")";
        std::cout << "\n";
    }
    std::cout << "  " << std::setw(static_cast<int>(width) + 2) << "--help"
              << "print this\n";
    std::cout.flush();
}
