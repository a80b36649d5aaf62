/* SPDX-License-Identifier: MIT */
/*
 * A program with little address space (the test sets RLIMIT_AS): it starts, serves, says ENOMEM
 * when there is no more, and serves again after a free. Compared by
 * test/tool/malloc_face_test.py.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS_MAX = 200000 };

static void *blocks[BLOCKS_MAX];

/* Allocate until NULL or until total bytes; returns the number of blocks. */
static int take(size_t bytes, size_t total)
{
    int count = 0;
    while (count < BLOCKS_MAX && (size_t)count * bytes < total) {
        errno = 0;
        void *block = malloc(bytes);
        if (block == NULL) {
            break;
        }
        memset(block, 1, bytes);
        blocks[count++] = block;
    }
    return count;
}

static void give(int count)
{
    for (int i = 0; i < count; i++) {
        free(blocks[i]);
    }
}

static void *in_thread(void *argument)
{
    void *block = calloc(1000, 100);
    bool good = block != NULL;
    free(block);
    return good ? argument : NULL;
}

int main(void)
{
    static const size_t sizes[] = { 32, 500, 3000, 10000, 100000, 1000000 };
    for (int i = 0; i < 6; i++) {
        int count = take(sizes[i], 8u << 20);
        printf("8 MiB of %zu: %d\n", sizes[i], (size_t)count * sizes[i] >= 8u << 20 ||
                                                   count == BLOCKS_MAX);
        give(count);
    }
    int count = take(64 * 1024, (size_t)1 << 40);
    printf("to the end: errno %d, at least 8 MiB %d\n", errno, count >= 128);
    errno = 0;
    printf("calloc %d", calloc(1, 16u << 20) == NULL);
    printf(" errno %d\n", errno);
    void *block = blocks[0];
    errno = 0;
    printf("realloc %d", realloc(block, 32u << 20) == NULL);
    printf(" errno %d block kept %d\n", errno, ((char *)block)[65535] == 1);
    give(count);
    count = take(1000, 8u << 20);
    printf("again: %d\n", (size_t)count * 1000 >= 8u << 20);
    give(count);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result = NULL;
        if (pthread_create(&thread, &attributes, in_thread, &result) != 0) {
            printf("no thread\n");
            return 1;
        }
        pthread_join(thread, &result);
        if (result == NULL) {
            printf("thread was not served\n");
        }
    }
    printf("threads\n");
    return 0;
}
