#include <cstdio>

// Task 0.1: a program that says it was built and run. Everything after this starts from here.
int main() {
    std::puts("hello");
}
