// SPDX-License-Identifier: MIT
//
// Every form of operator new and delete, handlers and exceptions, as lines of text that are the
// same on every right malloc. Compared by test/tool/malloc_face_test.py.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

volatile std::size_t too_much = static_cast<std::size_t>(PTRDIFF_MAX) - 100;
volatile std::size_t far_too_much = SIZE_MAX - 4;

bool is_aligned(const void *block, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

// A block from one form, given back by another that goes with it.
void test_forms(std::size_t bytes)
{
    const std::nothrow_t &quiet = std::nothrow;
    void *b[8];

    b[0] = ::operator new(bytes);
    b[1] = ::operator new[](bytes);
    b[2] = ::operator new(bytes, quiet);
    b[3] = ::operator new[](bytes, quiet);
    b[4] = ::operator new(bytes);
    b[5] = ::operator new[](bytes);
    bool good = true;
    for (int i = 0; i < 6; i++) {
        good = good && b[i] != nullptr && is_aligned(b[i], 16);
        std::memset(b[i], i + 1, bytes);
        for (int k = 0; k < i; k++) {
            good = good && b[k] != b[i];
        }
    }
    std::printf("new %zu: %d\n", bytes, good);
    ::operator delete(b[0]);
    ::operator delete[](b[1]);
    ::operator delete(b[2], quiet);
    ::operator delete[](b[3], quiet);
    ::operator delete(b[4], bytes);
    ::operator delete[](b[5], bytes);
    for (std::size_t alignment = 1; alignment <= 65536; alignment *= 4) {
        std::align_val_t a{alignment};
        b[0] = ::operator new(bytes, a);
        b[1] = ::operator new[](bytes, a);
        b[2] = ::operator new(bytes, a, quiet);
        b[3] = ::operator new[](bytes, a, quiet);
        b[4] = ::operator new(bytes, a);
        b[5] = ::operator new[](bytes, a);
        good = true;
        for (int i = 0; i < 6; i++) {
            good = good && b[i] != nullptr && is_aligned(b[i], alignment);
            std::memset(b[i], i + 1, bytes);
        }
        ::operator delete(b[0], a);
        ::operator delete[](b[1], a);
        ::operator delete(b[2], a, quiet);
        ::operator delete[](b[3], a, quiet);
        ::operator delete(b[4], bytes, a);
        ::operator delete[](b[5], bytes, a);
        std::printf("new %zu at %zu: %d\n", bytes, alignment, good);
    }
    const std::nothrow_t &q = quiet;
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, q);
    ::operator delete[](nullptr, q);
    ::operator delete(nullptr, bytes);
    ::operator delete[](nullptr, bytes);
    ::operator delete(nullptr, std::align_val_t{64});
    ::operator delete[](nullptr, std::align_val_t{64});
    ::operator delete(nullptr, bytes, std::align_val_t{64});
    ::operator delete[](nullptr, bytes, std::align_val_t{64});
}

// What a call throws.
template <typename Call> const char *outcome(Call call)
{
    try {
        void *block = call();
        const char *word = block == nullptr ? "NULL" : "block";
        std::free(block);
        return word;
    } catch (const std::bad_alloc &error) {
        return std::strcmp(error.what(), "std::bad_alloc") == 0 ? "bad_alloc" : "other bad_alloc";
    } catch (int number) {
        return number == 42 ? "42" : "int";
    } catch (...) {
        return "something";
    }
}

void test_failures(const char *when)
{
    const std::align_val_t a{64};
    const std::nothrow_t &q = std::nothrow;
    std::size_t sizes[] = { too_much, far_too_much, SIZE_MAX, SIZE_MAX / 2 + 1 };

    for (std::size_t n : sizes) {
        std::printf("%s %zu: %s", when, n, outcome([&] { return ::operator new(n); }));
        std::printf(" %s", outcome([&] { return ::operator new[](n); }));
        std::printf(" %s", outcome([&] { return ::operator new(n, q); }));
        std::printf(" %s", outcome([&] { return ::operator new[](n, q); }));
        if (n > SIZE_MAX - 64) {
            std::printf("\n"); // libstdc++ 12 rounds these up to 0 bytes and gives a block
            continue;
        }
        std::printf(" %s", outcome([&] { return ::operator new(n, a); }));
        std::printf(" %s", outcome([&] { return ::operator new[](n, a); }));
        std::printf(" %s", outcome([&] { return ::operator new(n, a, q); }));
        std::printf(" %s\n", outcome([&] { return ::operator new[](n, a, q); }));
    }
}

int calls;

void handler_that_gives_up()
{
    if (++calls % 3 == 0) {
        std::set_new_handler(nullptr);
    }
}

void handler_that_throws()
{
    calls++;
    throw 42;
}

void handler_that_throws_bad_alloc()
{
    calls++;
    throw std::bad_alloc();
}

void handler_that_hands_on()
{
    calls++;
    std::set_new_handler(handler_that_throws);
}

// Installs the handler before each form, since some remove themselves.
void test_handler(const char *name, void (*handler)())
{
    const std::align_val_t a{64};
    const std::nothrow_t &q = std::nothrow;
    const std::size_t n = too_much;
    const char *word[8];
    int count[8];
    auto one = [&](int i, auto call) {
        std::set_new_handler(handler);
        calls = 0;
        word[i] = outcome(call);
        count[i] = calls;
        std::set_new_handler(nullptr);
    };

    one(0, [&] { return ::operator new(n); });
    one(1, [&] { return ::operator new[](n); });
    one(2, [&] { return ::operator new(n, q); });
    one(3, [&] { return ::operator new[](n, q); });
    one(4, [&] { return ::operator new(n, a); });
    one(5, [&] { return ::operator new[](n, a); });
    one(6, [&] { return ::operator new(n, a, q); });
    one(7, [&] { return ::operator new[](n, a, q); });
    for (int i = 0; i < 8; i++) {
        std::printf("%s %d: %s after %d\n", name, i, word[i], count[i]);
    }
}

struct alignas(128) Wide {
    char bytes[300];
    explicit Wide(bool fail)
    {
        if (fail) {
            throw 42;
        }
    }
};

struct Element {
    std::string text = "an element with a text that is not stored in place";
    ~Element() { destroyed++; }
    static int destroyed;
};

int Element::destroyed;

void test_expressions()
{
    Wide *wide = new Wide(false);
    std::printf("new of an over-aligned type: %d\n", is_aligned(wide, 128));
    delete wide;
    std::printf("constructor throws: %s\n", outcome([] { return new Wide(true); }));
    Element *elements = new Element[1000];
    delete[] elements;
    std::printf("destroyed %d\n", Element::destroyed);
    Element *quiet = new (std::nothrow) Element;
    delete quiet;
    volatile std::size_t count = SIZE_MAX / 8;
    try {
        auto *array = new std::string[count];
        std::printf("array %p\n", static_cast<void *>(array));
    } catch (const std::bad_alloc &error) {
        std::printf("array too long: %s\n", error.what());
    }
    try {
        std::vector<char> vector;
        vector.reserve(too_much);
    } catch (const std::bad_alloc &) {
        std::printf("vector: bad_alloc\n");
    }
    // the library's own allocations, in the program and in libstdc++, and across the two
    std::vector<std::string> strings;
    for (int i = 0; i < 5000; i++) {
        strings.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 300), 'x'));
    }
    std::size_t total = 0;
    for (const auto &string : strings) {
        total += string.size();
    }
    std::printf("strings %zu\n", total);
    auto shared = std::make_shared<std::vector<int>>(1000, 7);
    std::thread([copy = shared]() mutable { copy.reset(); }).join();
    std::printf("shared %ld\n", shared.use_count());
    try {
        try {
            throw std::string("nested");
        } catch (...) {
            std::throw_with_nested(std::bad_alloc());
        }
    } catch (const std::bad_alloc &error) {
        std::printf("nested exceptions\n");
    }
}

thread_local std::string thread_text;

struct ThreadEnd {
    std::vector<std::string> *kept = nullptr;
    ~ThreadEnd() { delete kept; }
};

thread_local ThreadEnd thread_end;

void test_thread_locals()
{
    for (int round = 0; round < 50; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++) {
            threads.emplace_back([i] {
                thread_text.assign(1000, static_cast<char>('a' + i));
                thread_end.kept = new std::vector<std::string>(100, thread_text);
            });
        }
        for (auto &thread : threads) {
            thread.join();
        }
    }
    std::printf("thread locals\n");
}

std::string *global = new std::string(5000, 'g'); // made before main

struct AtExit {
    ~AtExit() { delete global; }
} at_exit;

} // namespace

int main()
{
    std::size_t sizes[] = { 0, 1, 16, 100, 1000, 4096, 5000, 100000, 3000000 };
    for (std::size_t bytes : sizes) {
        test_forms(bytes);
    }
    test_failures("no handler");
    test_handler("gives up", handler_that_gives_up);
    test_handler("throws 42", handler_that_throws);
    test_handler("throws bad_alloc", handler_that_throws_bad_alloc);
    test_handler("hands on", handler_that_hands_on);
    test_expressions();
    test_thread_locals();
    std::printf("alignment 48: %s\n",
                outcome([] { return ::operator new(100, std::align_val_t{48}, std::nothrow); }));
    std::printf("alignment 0: %s\n",
                outcome([] { return ::operator new(100, std::align_val_t{0}); }));
    return 0;
}
