// The whole server over a simulated kernel: the bytes of its clients, short counts, errors, the
// order of events and the time come from the input.
#define OPENSSL_API_COMPAT 0x10100000L  // RAND_set_rand_method
#include <openssl/rand.h>

#include "fuzz/world.hpp"

namespace {

std::uint64_t random_state = 0;

// The same input is the same run: OpenSSL's randomness is the state of a small generator.
int pseudo_random(unsigned char* bytes, int size) {
    for (int i = 0; i < size; ++i) {
        random_state = random_state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX
        bytes[i] = static_cast<unsigned char>(random_state >> 56);
    }
    return 1;
}

int is_seeded() {
    return 1;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    static const RAND_METHOD method{nullptr, pseudo_random, nullptr,
                                    nullptr, pseudo_random, is_seeded};
    RAND_set_rand_method(&method);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    random_state = 1;
    World world{Input{data, size}};
    Kernel kernel{world};
    world.set_kernel(kernel);
    {
        Server server{world.read_config()};
        server.run();
    }
    PROMISE(kernel.open_descriptors() == 0, "no descriptor is left open");
    world.check_answers();
    return 0;
}
