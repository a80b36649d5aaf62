/* SPDX-License-Identifier: MIT */
/*
 * malloc at all times of a program's life: in constructors, in threads and their destructors,
 * while libraries come and go, in exit handlers; blocks freed by other threads than made them.
 * Compared by test/tool/malloc_face_test.py.
 * Usage: malloc_life PLUGIN1 PLUGIN2
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, SLOTS = 4096, ROUNDS = 20000, PLUGIN_ROUNDS = 100 };

static void *early[100];
static int early_bad;

static bool fill_and_check(unsigned char *block, size_t bytes, unsigned char value)
{
    memset(block, value, bytes);
    return bytes == 0 ||
           (block[0] == value && block[bytes / 2] == value && block[bytes - 1] == value);
}

__attribute__((constructor(101))) static void first(void)
{
    for (unsigned i = 0; i < 100; i++) {
        early[i] = malloc(i * 97);
        early_bad += !fill_and_check(early[i], i * 97, (unsigned char)i);
    }
}

__attribute__((constructor)) static void second(void)
{
    for (unsigned i = 0; i < 100; i += 2) {
        early[i] = realloc(early[i], 20000 + i);
        early_bad += early[i] == NULL;
    }
}

__attribute__((destructor)) static void last(void)
{
    char *block = malloc(70000);
    memset(block, 1, 70000);
    free(block);
    for (unsigned i = 0; i < 100; i++) {
        free(early[i]);
    }
    static const char words[] = "destructor\n";
    if (write(STDOUT_FILENO, words, sizeof(words) - 1) < 0) {
        _exit(3);
    }
}

static void at_exit(void)
{
    void *block = calloc(1000, 100);
    free(realloc(block, 10));
    printf("exit handler\n");
    fflush(stdout);
}

/* ---- Threads that exchange blocks ---- */

static _Atomic(uintptr_t) slots[SLOTS];
static atomic_int thread_errors;

struct block {
    size_t bytes;
    unsigned char data[];
};

static void *exchange(void *argument)
{
    uint64_t seed = (uintptr_t)argument * 0x9E3779B97F4A7C15u + 1;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t limit = (seed >> 20) % 50 == 0 ? 100000 : 900;
        size_t bytes = sizeof(struct block) + (seed >> 33) % limit;
        struct block *block = (seed >> 60) % 2 != 0 ? malloc(bytes) : calloc(1, bytes);
        block->bytes = bytes;
        memset(block->data, (int)(bytes & 0xFF), bytes - sizeof(*block));
        struct block *other = (struct block *)atomic_exchange(&slots[(seed >> 40) % SLOTS],
                                                              (uintptr_t)block);
        if (other == NULL) {
            continue;
        }
        size_t last_byte = other->bytes - sizeof(*other);
        if (last_byte > 0 && (other->data[0] != (other->bytes & 0xFF) ||
                              other->data[last_byte - 1] != (other->bytes & 0xFF))) {
            atomic_fetch_add(&thread_errors, 1);
        }
        free(other);
    }
    return malloc(50); /* freed by the joiner */
}

static void test_exchange(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, exchange, (void *)(i + 1));
    }
    for (int i = 0; i < THREADS; i++) {
        void *block;
        pthread_join(threads[i], &block);
        free(block);
    }
    for (int i = 0; i < SLOTS; i++) {
        free((void *)atomic_load(&slots[i]));
    }
    printf("exchange: %d errors\n", atomic_load(&thread_errors));
}

/* ---- Threads that end ---- */

static pthread_key_t keys[3];
static atomic_int ended;

/* Comes back for as many rounds as POSIX promises; frees what another destructor made. */
static void end_of_thread(void *value)
{
    char *text = value;
    size_t round = (size_t)text[0];
    free(text);
    char *next = malloc(200 + round);
    memset(next, 7, 200 + round);
    next[0] = (char)(round + 1);
    if (round < 4) {
        pthread_setspecific(keys[round % 3], next);
    } else {
        free(next);
    }
    atomic_fetch_add(&ended, 1);
}

static void *short_life(void *argument)
{
    for (int i = 0; i < 3; i++) {
        char *text = malloc(1000);
        memset(text, 1, 1000);
        pthread_setspecific(keys[i], text);
    }
    free(malloc((size_t)(uintptr_t)argument * 10));
    return argument;
}

static void test_thread_ends(void)
{
    for (int i = 0; i < 3; i++) {
        pthread_key_create(&keys[i], end_of_thread);
    }
    for (uintptr_t round = 0; round < 100; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            pthread_create(&threads[i], NULL, short_life, (void *)round);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    printf("thread destructors ran: %d\n", atomic_load(&ended) >= 1200);
}

/* ---- Libraries that come and go, while others allocate ---- */

static atomic_bool stop;

static void *churn(void *argument)
{
    while (!atomic_load(&stop)) {
        void *blocks[32];
        for (unsigned i = 0; i < 32; i++) {
            blocks[i] = malloc(i * 40);
        }
        for (unsigned i = 0; i < 32; i++) {
            free(blocks[i]);
        }
    }
    return argument;
}

static void *touch(void *argument)
{
    int (*plugin_touch)(void) = (int (*)(void))argument;
    return (void *)(uintptr_t)plugin_touch();
}

static void test_plugins(char **files)
{
    pthread_t churners[2];
    int errors = 0;
    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++) {
        pthread_create(&churners[i], NULL, churn, NULL);
    }
    for (int i = 0; i < PLUGIN_ROUNDS; i++) {
        void *kept, *handle = dlopen(files[i % 2], RTLD_NOW);
        if (handle == NULL) {
            printf("dlopen: %s\n", dlerror());
            exit(1);
        }
        void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(handle, "plugin_allocate");
        void *(*grow)(void *, size_t) = (void *(*)(void *, size_t))dlsym(handle, "plugin_grow");
        int (*plugin_touch)(void) = (int (*)(void))dlsym(handle, "plugin_touch");
        pthread_t toucher;
        void *salt;
        pthread_create(&toucher, NULL, touch, (void *)plugin_touch);
        pthread_join(toucher, &salt);
        errors += salt != (void *)(uintptr_t)(i % 2 + 1) || plugin_touch() != i % 2 + 1;
        kept = grow(allocate(500), 9000);
        errors += dlsym(handle, "no such name") != NULL || dlerror() == NULL;
        errors += dlclose(handle) != 0;
        errors += ((char *)kept)[499] != i % 2 + 1; /* outlives the library */
        free(kept);
    }
    errors += dlopen("/no/such/file.so", RTLD_NOW) != NULL || dlerror() == NULL;
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(churners[i], NULL);
    }
    printf("plugins: %d errors\n", errors);
}

static void *cancelled(void *argument)
{
    for (;;) {
        free(malloc(100));
        pthread_testcancel();
    }
    return argument;
}

static void test_cancel(void)
{
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, cancelled, NULL);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED) {
            printf("not cancelled\n");
        }
    }
    printf("cancelled threads\n");
}

static void *main_thread_gone(void *argument)
{
    pthread_join(*(pthread_t *)argument, NULL);
    free(argument);
    free(malloc(12345));
    printf("main thread has ended\n");
    exit(7); /* from another thread than main's */
}

int main(int argc, char **argv)
{
    (void)argc;
    pthread_t *self = malloc(sizeof(*self));
    pthread_t thread;

    atexit(at_exit);
    printf("constructors: %d errors\n", early_bad);
    test_exchange();
    test_thread_ends();
    test_plugins(argv + 1);
    test_cancel();
    fflush(stdout);
    *self = pthread_self();
    pthread_create(&thread, NULL, main_thread_gone, self);
    pthread_detach(thread);
    pthread_exit(NULL);
}
