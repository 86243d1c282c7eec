#include "common/error.hpp"

#include <exception>
#include <iostream>
#include <system_error>

#include "common/options.hpp"

void throw_errno(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

int run_program(const char* name, const std::function<void()>& body) {
    try {
        body();
        return 0;
    } catch (const UsageError& error) {
        std::cerr << name << ": " << error.what() << std::endl;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << name << ": " << error.what() << std::endl;
        return 1;
    }
}
