/* SPDX-License-Identifier: MIT */
/*
 * A program to be looked at. It does one step for each byte that it reads from standard input and
 * writes one byte when the step is done; between steps it allocates nothing.
 *
 *     live_driver blocks COUNT BYTES    steps: allocate COUNT blocks, free them, end
 *     live_driver churn THREADS         allocates and frees until standard input ends
 *     live_driver fork                  the child prints its process id and both wait
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_bool driver_ended;

static int driver_step(void)
{
    char byte = '+';
    return write(1, &byte, 1) == 1 && read(0, &byte, 1) == 1;
}

static int driver_blocks(size_t count, size_t bytes)
{
    void **block = calloc(count, sizeof *block);
    if (block == NULL || !driver_step()) {
        return 1;
    }
    for (size_t index = 0; index < count; index++) {
        block[index] = malloc(bytes);
        if (block[index] == NULL) {
            return 1;
        }
        memset(block[index], 1, bytes);
    }
    if (!driver_step()) {
        return 1;
    }
    for (size_t index = 0; index < count; index++) {
        free(block[index]);
    }
    return driver_step() ? 0 : 1;
}

static void *driver_churn_thread(void *argument)
{
    void *volatile block[64] = {0};
    for (unsigned turn = 0; !atomic_load(&driver_ended); turn++) {
        unsigned place = turn % 64;
        free(block[place]);
        block[place] = malloc(16 + turn % 5000);
    }
    for (unsigned place = 0; place < 64; place++) {
        free(block[place]);
    }
    return argument;
}

static int driver_churn(int threads)
{
    pthread_t thread[16];
    for (int index = 0; index < threads && index < 16; index++) {
        if (pthread_create(&thread[index], NULL, driver_churn_thread, NULL) != 0) {
            return 1;
        }
    }
    int good = driver_step();
    atomic_store(&driver_ended, true);
    for (int index = 0; index < threads && index < 16; index++) {
        pthread_join(thread[index], NULL);
    }
    return good ? 0 : 1;
}

static int driver_fork(void)
{
    void *volatile kept = malloc(5000);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        void *volatile more = malloc(7000);
        char text[32];
        int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
        if (write(1, text, (size_t)length) != length) {
            _exit(1);
        }
        pause();
        free(more);
        _exit(1);
    }
    char byte;
    ssize_t got = read(0, &byte, 1);
    kill(child, 9);
    waitpid(child, NULL, 0);
    free(kept);
    return got == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "blocks") == 0) {
        return driver_blocks(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    }
    if (argc == 3 && strcmp(argv[1], "churn") == 0) {
        return driver_churn(atoi(argv[2]));
    }
    if (argc == 2 && strcmp(argv[1], "fork") == 0) {
        return driver_fork();
    }
    return 2;
}
