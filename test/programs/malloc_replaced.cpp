// SPDX-License-Identifier: MIT
//
// A program that replaces only the four basic forms: every other form must come to them, and no
// block of the program's own may reach another heap's delete. Compared by
// test/tool/malloc_face_test.py.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

// Own memory, so that a delete that goes astray is a wild free.
alignas(4096) char memory[1 << 20];
std::size_t used;
int news, deletes, aligned_news, aligned_deletes;
bool full;

void *take(std::size_t bytes, std::size_t alignment)
{
    used = (used + alignment - 1) / alignment * alignment;
    void *block = memory + used;
    used += bytes + 1;
    return block;
}

void tell(const char *what)
{
    std::printf("%s: new %d delete %d aligned new %d delete %d\n", what, news, deletes,
                aligned_news, aligned_deletes);
}

} // namespace

void *operator new(std::size_t bytes)
{
    news++;
    if (full) {
        throw std::bad_alloc();
    }
    return take(bytes, 16);
}

void operator delete(void *block) noexcept
{
    deletes += block != nullptr;
}

void *operator new(std::size_t bytes, std::align_val_t alignment)
{
    aligned_news++;
    if (full) {
        throw std::bad_alloc();
    }
    return take(bytes, static_cast<std::size_t>(alignment));
}

void operator delete(void *block, std::align_val_t) noexcept
{
    aligned_deletes += block != nullptr;
}

int main()
{
    const std::nothrow_t &q = std::nothrow;
    const std::align_val_t a{64};

    ::operator delete(::operator new(10));
    tell("plain");
    ::operator delete[](::operator new[](10));
    tell("array");
    ::operator delete(::operator new(10, q), q);
    tell("nothrow");
    ::operator delete[](::operator new[](10, q), q);
    tell("array nothrow");
    ::operator delete(::operator new(10), 10);
    tell("sized");
    ::operator delete[](::operator new[](10), 10);
    tell("array sized");
    ::operator delete(::operator new(10, a), a);
    tell("aligned");
    ::operator delete[](::operator new[](10, a), a);
    tell("array aligned");
    ::operator delete(::operator new(10, a, q), a, q);
    tell("aligned nothrow");
    ::operator delete[](::operator new[](10, a, q), a, q);
    tell("array aligned nothrow");
    ::operator delete(::operator new(10, a), 10, a);
    tell("sized aligned");
    ::operator delete[](::operator new[](10, a), 10, a);
    tell("array sized aligned");
    full = true;
    void *none[] = { ::operator new(10, q), ::operator new[](10, q), ::operator new(10, a, q),
                     ::operator new[](10, a, q) };
    for (void *block : none) {
        std::printf("full: %d\n", block == nullptr);
    }
    tell("full");
    return 0;
}
