/* SPDX-License-Identifier: MIT */
/*
 * Who pays: counts by tag after calls from the program, from libraries that take each other's
 * addresses, from libc, and from code of no file. Runs on the pool only; prints what was counted
 * to each tag.
 * Usage: malloc_module LIBRARY...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <expool.h>

enum { ROWS_MAX = 256, CALLS = 10 };

typedef void *allocate_function(size_t bytes);

static size_t (*tags)(struct expool_tag_row *rows, size_t capacity);
static struct expool_tag_row before[ROWS_MAX], after[ROWS_MAX];
static size_t before_count, after_count;

static void *mine(size_t bytes)
{
    return malloc(bytes);
}

static void start(void)
{
    before_count = tags(before, ROWS_MAX);
}

static uint64_t allocs_before(const struct expool_tag_row *row, uint64_t *frees)
{
    for (size_t k = 0; k < before_count; k++) {
        if (before[k].tag == row->tag && before[k].pool == row->pool) {
            *frees = before[k].frees;
            return before[k].allocs;
        }
    }
    *frees = 0;
    return 0;
}

/* What each tag with at least that many allocations since start has allocated and freed since. */
static void tell(const char *what, uint64_t allocs_min)
{
    after_count = tags(after, ROWS_MAX);
    printf("%s:", what);
    for (size_t i = 0; i < after_count; i++) {
        uint64_t frees;
        uint64_t allocs = after[i].allocs - allocs_before(&after[i], &frees);
        if (allocs >= allocs_min || (allocs_min <= 1 && after[i].frees != frees)) {
            printf(" '%.4s' +%llu -%llu", (const char *)&after[i].tag, (unsigned long long)allocs,
                   (unsigned long long)(after[i].frees - frees));
        }
    }
    printf("\n");
    fflush(stdout);
}

static void call(allocate_function *allocate)
{
    for (int i = 0; i < CALLS; i++) {
        void *block = allocate(100);
        memset(block, 1, 100);
        free(block);
    }
}

/* ---- A second thread that remembers code pages across dlopen ---- */

static sem_t asked, done;
static allocate_function *asked_function;

static void *second(void *argument)
{
    for (;;) {
        sem_wait(&asked);
        if (asked_function == NULL) {
            return argument;
        }
        call(asked_function);
        sem_post(&done);
    }
}

static void call_in_second(allocate_function *allocate)
{
    asked_function = allocate;
    sem_post(&asked);
    if (allocate != NULL) {
        sem_wait(&done);
    }
}

static void test_libraries(int count, char **files)
{
    static char what[64];
    uintptr_t first = 0;
    for (int i = 0; i < count; i++) {
        start();
        void *handle = dlopen(files[i], RTLD_NOW);
        if (handle == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            exit(1);
        }
        allocate_function *allocate = (allocate_function *)dlsym(handle, "plugin_allocate");
        call(allocate);
        call_in_second(allocate);
        uintptr_t page = (uintptr_t)allocate / 4096;
        first = i == 0 ? page : first;
        dlclose(handle);
        snprintf(what, sizeof(what), "library %d, same page %d", i, page == first);
        /* the dynamic linker's own few blocks differ with its version: not told */
        tell(what, CALLS);
    }
}

/* Code that lies in no file: a call of malloc(its argument). */
static allocate_function *make_code(void)
{
#ifdef __x86_64__
    unsigned char code[] = { 0x48, 0x83, 0xEC, 0x08, 0x48, 0xB8, 0, 0, 0, 0, 0, 0,
                             0,    0,    0xFF, 0xD0, 0x48, 0x83, 0xC4, 0x08, 0xC3 };
    void *(*target)(size_t) = malloc;
    memcpy(code + 6, &target, sizeof(target));
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof(code));
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    return (allocate_function *)page;
#else
    return NULL;
#endif
}

static void *copy(size_t bytes)
{
    (void)bytes;
    return strdup("a text that libc copies");
}

int main(int argc, char **argv)
{
    static char buffer[65536];
    pthread_t thread;

    setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    *(void **)&tags = dlsym(RTLD_DEFAULT, "expool_tags");
    if (tags == NULL) {
        fprintf(stderr, "not on the pool\n");
        return 1;
    }
    sem_init(&asked, 0, 0);
    sem_init(&done, 0, 0);
    pthread_create(&thread, NULL, second, NULL);
    start();
    call(mine);
    call_in_second(mine);
    tell("program", 1);
    start();
    call(copy);
    tell("strdup", 1);
    allocate_function *code = make_code();
    if (code != NULL) {
        start();
        call(code);
        tell("code of no file", 1);
    }
    start();
    void *block = mine(1000);
    tell("kept block", 1);
    start();
    block = realloc(block, 100000);
    free(block);
    tell("grown and freed", 1);
    test_libraries(argc - 1, argv + 1);
    call_in_second(NULL);
    pthread_join(thread, NULL);
    return 0;
}
