// Memory that runs out: operator new, and what OpenSSL allocates with.
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>

#include "fault.hpp"

namespace {

const int cpp_call =
    declare_call({"operator new", "memory that runs out", For::client, {failure, for_good}});
const int openssl_call =
    declare_call({"OPENSSL_malloc", "memory that runs out", For::client, {failure, for_good}});
long blocks = 0;

void* counted(void* block) {
    if (!block) throw std::bad_alloc{};
    ++blocks;
    return block;
}

void release(void* block) {
    if (block) --blocks;
    std::free(block);
}

// In OpenSSL 3.0, an EVP_PKEY_CTX that has no memory leaks what it was to be made of. From 3.5 on,
// OpenSSL does not always say which file it is that allocates.
bool leaks(const char* file) {
    return file && std::string_view{file}.ends_with("crypto/evp/pmeth_lib.c");
}

void* openssl_allocate(std::size_t size, const char* file, int) {
    if (size == 0) return nullptr;
    if (strike(openssl_call) != 0) {
        if (leaks(file)) expect_leak();
        return nullptr;
    }
    void* block = std::malloc(size);
    if (block) ++blocks;
    return block;
}

void openssl_release(void* block, const char*, int) {
    release(block);
}

void* openssl_reallocate(void* block, std::size_t size, const char* file, int line) {
    if (!block) return openssl_allocate(size, file, line);
    if (size > 0) return strike(openssl_call) != 0 ? nullptr : std::realloc(block, size);
    openssl_release(block, file, line);
    return nullptr;
}

}  // namespace

void* operator new(std::size_t size) {
    return counted(strike(cpp_call) != 0 ? nullptr : std::malloc(std::max<std::size_t>(size, 1)));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto border = static_cast<std::size_t>(alignment);
    const std::size_t rounded = (size + border - 1) / border * border;
    return counted(strike(cpp_call) != 0 ? nullptr : std::aligned_alloc(border, rounded));
}
void operator delete(void* block) noexcept {
    release(block);
}
void operator delete(void* block, std::size_t) noexcept {
    release(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
    release(block);
}
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
    release(block);
}

long live_blocks() {
    return blocks;
}

void wrap_openssl_memory() {
    if (CRYPTO_set_mem_functions(openssl_allocate, openssl_reallocate, openssl_release) != 1)
        std::abort();  // something of OpenSSL was used before
}
