#include "key_log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "common/error.hpp"

namespace {

struct Directory {
    std::string path = (std::filesystem::temp_directory_path() / "key_log_test.XXXXXX").string();

    Directory() { REQUIRE(mkdtemp(path.data()) != nullptr); }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string operator/(const char* name) const { return path + "/" + name; }
};

mode_t mode_of(const std::string& path) {
    struct stat info {};
    check(stat(path.c_str(), &info), "stat");
    return info.st_mode & 07777;
}

void make(const std::string& path, mode_t mode) {
    const UniqueFd file{check(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "open")};
    check(fchmod(file.get(), mode), "fchmod");
}

std::string complaint(const std::string& path) {
    try {
        open_key_log(path);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "none";
}

}  // namespace

TEST_CASE("a key log is made for its user alone, whatever the umask") {
    const Directory directory;
    const mode_t before = umask(0);
    CHECK(complaint(directory / "keys") == "none");
    umask(before);
    CHECK(mode_of(directory / "keys") == 0600);
}

TEST_CASE("what is in it already is kept") {
    const Directory directory;
    for (int i = 0; i < 2; ++i) {
        const UniqueFd file = open_key_log(directory / "keys");
        CHECK(write(file.get(), "a line\n", 7) == 7);
    }
    CHECK(std::filesystem::file_size(directory / "keys") == 14);
}

TEST_CASE("a file that others can read or write is refused, and left as it is") {
    const Directory directory;
    for (const mode_t mode : {0644U, 0640U, 0602U}) {
        make(directory / "keys", mode);
        CHECK(complaint(directory / "keys") == "cannot use SSLKEYLOGFILE " + (directory / "keys") +
                                                   ": others can read it (chmod 600)");
        CHECK(mode_of(directory / "keys") == mode);
    }
}

TEST_CASE("what is no file of one's own is refused, and not waited for") {
    const Directory directory;
    CHECK(complaint(directory / "none/keys") ==
          "cannot open SSLKEYLOGFILE " + (directory / "none/keys") + ": No such file or directory");
    CHECK(complaint(directory.path) ==
          "cannot open SSLKEYLOGFILE " + directory.path + ": Is a directory");

    make(directory / "target", 0600);
    check(symlink("target", (directory / "link").c_str()), "symlink");
    CHECK(complaint(directory / "link") == "cannot open SSLKEYLOGFILE " + (directory / "link") +
                                               ": Too many levels of symbolic links");

    check(mkfifo((directory / "fifo").c_str(), 0600), "mkfifo");
    CHECK(complaint(directory / "fifo") ==
          "cannot open SSLKEYLOGFILE " + (directory / "fifo") + ": No such device or address");
    const UniqueFd reader{check(open((directory / "fifo").c_str(), O_RDONLY | O_NONBLOCK), "open")};
    CHECK(complaint(directory / "fifo") ==
          "cannot use SSLKEYLOGFILE " + (directory / "fifo") + ": not a regular file");
    CHECK(complaint("/dev/null") == "cannot use SSLKEYLOGFILE /dev/null: not a regular file");
}
