/* SPDX-License-Identifier: MIT */
/*
 * Eight threads free an address inside a block at the same moment: one report, and it is whole
 * (0xC2/0x99 of any of them).
 */
#include "crime.h"

#include <pthread.h>

enum {
    THREADS = 8
};

static uint8_t *block[THREADS];
static pthread_barrier_t start;

static void *deed(void *argument)
{
    uint8_t **own = argument;

    pthread_barrier_wait(&start);
    ExFreePoolWithTag(*own + 16, CRIME_TAG);
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    char any[THREADS * 17 + 1] = "";

    for (int i = 0; i < THREADS; ++i) {
        block[i] = crime_allocate(POOL_FLAG_PAGED, 100);
        snprintf(any + 17 * i, 18, "%016llX,", (unsigned long long)(uintptr_t)(block[i] + 16));
    }
    any[17 * THREADS - 1] = '\0';
    crime_expect(BAD_POOL_CALLER, crime_number(0x99), any, crime_number(0), crime_number(0));
    crime_tell("pool: paged pool");
    if (pthread_barrier_init(&start, NULL, THREADS) != 0) {
        return 2;
    }
    for (int i = 0; i < THREADS; ++i) {
        if (pthread_create(&thread[i], NULL, deed, &block[i]) != 0) {
            return 2;
        }
    }
    for (int i = 0; i < THREADS; ++i) {
        (void)pthread_join(thread[i], NULL);
    }
    return crime_survived();
}
