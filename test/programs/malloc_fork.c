/* SPDX-License-Identifier: MIT */
/*
 * fork, vfork and posix_spawn against everything that could hang or tear: other threads that
 * allocate, that hold stdio's locks, that load libraries; signal handlers that fork. A child that
 * does not end within its time is a failure. Compared by test/tool/malloc_face_test.py.
 *
 * Usage: malloc_fork threads | stdio | signal | spawn | deep | loader PLUGIN
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 200, CHILD_SECONDS = 20, SHARED = 512 };

extern char **environ;

static atomic_bool stop;
static atomic_int started;
static bool may_exit = true; /* glibc's exit hangs in a child that was forked during a dlclose */

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "wrong: %s (errno %d)\n", what, errno);
        _exit(9);
    }
}

/* Wait for a child; says how it ended when it did not end well. */
static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        check(errno == EINTR, "waitpid");
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "child %s\n",
                WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
        return -1;
    }
    return WEXITSTATUS(status);
}

/* Allocate, use and free; false when something is wrong. */
static bool exercise(unsigned seed, int rounds)
{
    enum { LIVE = 64 };
    unsigned char *blocks[LIVE] = {0};
    size_t sizes[LIVE] = {0};
    for (int i = 0; i < rounds; i++) {
        seed = seed * 1103515245u + 12345u;
        unsigned k = (seed >> 8) % LIVE;
        if (blocks[k] != NULL && (blocks[k][0] != k || blocks[k][sizes[k] - 1] != k)) {
            return false;
        }
        free(blocks[k]);
        sizes[k] = 1 + (seed >> 12) % (seed % 31 == 0 ? 200000 : 2000);
        blocks[k] = seed % 3 == 0 ? calloc(1, sizes[k]) : malloc(sizes[k]);
        if (blocks[k] == NULL || (seed % 3 == 0 && blocks[k][sizes[k] / 2] != 0)) {
            return false;
        }
        memset(blocks[k], (int)k, sizes[k]);
    }
    for (int k = 0; k < LIVE; k++) {
        free(blocks[k]);
    }
    return true;
}

static void *allocate_always(void *argument)
{
    atomic_fetch_add(&started, 1);
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        check(exercise((unsigned)(uintptr_t)argument * 7919 + i, 200), "contents in a thread");
    }
    return argument;
}

static void *print_always(void *argument)
{
    FILE *file = argument;
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&stop)) {
        FILE *other = fopen("/dev/null", "w");
        check(other != NULL, "fopen");
        fprintf(other, "%s %d\n", "words", 5);
        fprintf(file, "%0500d", 5);
        fclose(other);
    }
    return argument;
}

static void *load_always(void *argument)
{
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&stop)) {
        void *handle = dlopen(argument, RTLD_NOW);
        check(handle != NULL, "dlopen");
        dlclose(handle);
    }
    return argument;
}

static void *noop(void *argument)
{
    free(malloc(100));
    return argument;
}

/* What every child does: frees what the parent made, allocates, uses stdio, starts a thread. */
static void child(unsigned char **shared, unsigned seed)
{
    alarm(CHILD_SECONDS);
    for (unsigned i = 0; i < SHARED; i++) {
        check(shared[i][0] == (i & 0xFF), "parent's contents in the child");
        free(shared[i]);
    }
    check(exercise(seed, 300), "contents in the child");
    FILE *file = fopen("/dev/null", "w");
    check(file != NULL, "fopen in the child");
    fprintf(file, "%d", 1);
    fclose(file);
    pthread_t thread;
    check(pthread_create(&thread, NULL, noop, NULL) == 0, "thread in the child");
    check(pthread_join(thread, NULL) == 0, "join in the child");
    if (may_exit && seed % 4 == 0) {
        exit(0); /* with exit handlers and stdio */
    }
    _exit(0);
}

/* Fork many times while threads run body. */
static void fork_against(void *(*body)(void *), void *argument, int threads)
{
    pthread_t others[8];
    int bad = 0;
    for (int i = 0; i < threads; i++) {
        check(pthread_create(&others[i], NULL, body,
                             argument != NULL ? argument : (void *)(uintptr_t)(i + 1)) == 0,
              "pthread_create");
    }
    while (atomic_load(&started) < threads) {
        usleep(1000);
    }
    for (unsigned i = 0; i < FORKS; i++) {
        unsigned char *shared[SHARED];
        for (unsigned k = 0; k < SHARED; k++) {
            shared[k] = malloc(20 + k * 13);
            shared[k][0] = (unsigned char)(k & 0xFF);
        }
        pid_t pid = fork();
        check(pid >= 0, "fork");
        if (pid == 0) {
            child(shared, i);
        }
        for (unsigned k = 0; k < SHARED; k++) {
            free(shared[k]);
        }
        bad += wait_for(pid) != 0;
        if (bad > 3) {
            break;
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < threads; i++) {
        pthread_join(others[i], NULL);
    }
    check(exercise(5, 1000), "contents afterwards");
    printf("%d bad children\n", bad);
}

/* ---- fork in a signal handler of a program with one thread ---- */

static volatile sig_atomic_t handled;
static volatile sig_atomic_t handled_bad;

static void fork_in_handler(int signal)
{
    int saved_errno = errno;
    (void)signal;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    int status;
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0)) {
        handled_bad = 1;
    }
    handled++;
    errno = saved_errno;
}

static void fork_from_signals(void)
{
    struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 2000}, {0, 2000}};
    sigaction(SIGVTALRM, &action, NULL);
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    for (unsigned i = 0; handled < FORKS; i++) {
        check(exercise(i, 200), "contents under signals");
        FILE *file = fopen("/dev/null", "w");
        check(file != NULL, "fopen under signals");
        fprintf(file, "%d", 1);
        fclose(file);
    }
    timer = (struct itimerval){{0, 0}, {0, 0}};
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    printf("forks in handlers: bad %d\n", (int)handled_bad);
}

/* ---- vfork, posix_spawn, system, popen, fork and exec ---- */

static void spawn_all(void)
{
    char *arguments[] = {"sh", "-c", "exit 5", NULL};
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        void *block = malloc(1000);
        check(posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ) == 0, "posix_spawn");
        check(wait_for(pid) == 5, "spawned program");
        pid = vfork();
        if (pid == 0) {
            execv("/bin/sh", arguments);
            _exit(127);
        }
        check(wait_for(pid) == 5, "program after vfork");
        pid = fork();
        if (pid == 0) {
            free(block);
            execv("/bin/sh", arguments);
            _exit(127);
        }
        check(wait_for(pid) == 5, "program after fork");
        check(WEXITSTATUS(system("exit 6")) == 6, "system");
        FILE *pipe = popen("echo words", "r");
        char line[32] = "";
        check(pipe != NULL && fgets(line, sizeof(line), pipe) != NULL, "popen");
        check(strcmp(line, "words\n") == 0 && pclose(pipe) == 0, "pclose");
        free(block);
        check(exercise((unsigned)i, 200), "contents");
    }
    printf("spawned\n");
}

/* ---- Children of children, each of which allocates and threads ---- */

static void fork_deep(int depth, unsigned char *inherited)
{
    check(inherited[0] == 'x' && inherited[99999] == 'x', "inherited contents");
    inherited = realloc(inherited, 100000 + (size_t)depth * 1000);
    check(exercise((unsigned)depth, 300), "contents in depth");
    if (depth == 12) {
        free(inherited);
        return;
    }
    pid_t pid = fork();
    check(pid >= 0, "fork in depth");
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        fork_deep(depth + 1, inherited);
        pthread_t thread;
        check(pthread_create(&thread, NULL, noop, NULL) == 0, "thread in depth");
        check(pthread_join(thread, NULL) == 0, "join in depth");
        _exit(0);
    }
    check(wait_for(pid) == 0, "child in depth");
    check(exercise((unsigned)depth, 300), "contents after a child");
    free(inherited);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "threads") == 0) {
        fork_against(allocate_always, NULL, 4);
    } else if (strcmp(mode, "stdio") == 0) {
        FILE *file = fopen("/dev/null", "w");
        fork_against(print_always, file, 3);
    } else if (strcmp(mode, "loader") == 0 && argc > 2) {
        may_exit = false;
        fork_against(load_always, argv[2], 1);
    } else if (strcmp(mode, "signal") == 0) {
        fork_from_signals();
    } else if (strcmp(mode, "spawn") == 0) {
        spawn_all();
    } else if (strcmp(mode, "deep") == 0) {
        unsigned char *block = malloc(100000);
        memset(block, 'x', 100000);
        fork_deep(0, block);
        printf("deep\n");
    } else {
        return 2;
    }
    return 0;
}
