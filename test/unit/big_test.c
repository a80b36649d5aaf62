/* SPDX-License-Identifier: MIT */
/*
 * The walk over big blocks against a model: random allocations and frees of all sizes, pools and
 * processors, malloc's doors too, and a list of what lives kept beside. What the walk copies must
 * be exactly the listed blocks of a page or more: each once, by rising address, with its pages, its
 * pool and its tag, for any capacity of one step. Then with changes between the steps: what lived
 * all the time is still copied once.
 *
 * UNIT_SEED repeats a run. Each case runs in a forked child, where the core is as new.
 */
#include "core/run.h"
#include "front/pool.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#define TAG      UINT32_C(0x54636241) /* AbcT */
#define TAGS     7u
#define LIVE_MAX 700u
#define STEPS    4000u
#define BIG_MAX  2048u
#define PAGE     ((size_t)4096)

struct live {
    char *block; /* NULL: place is free */
    size_t span_bytes;
    uint32_t tag;
    unsigned pool;
    bool old; /* lived when the walk began */
};

static struct live model[LIVE_MAX];
static struct exp_run_big found[BIG_MAX];
static uint64_t seed = UINT64_C(0x66AA55);

static uint32_t draw(uint32_t below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (uint32_t)((seed * UINT64_C(0x2545F4914F6CDD1D) >> 32) * below >> 32);
}

static size_t draw_bytes(void)
{
    switch (draw(5)) {
    case 0:
        return draw(2000);
    case 1:
        return 2000 + draw(2096);
    case 2:
        return PAGE + draw(16) * PAGE / 4;
    case 3:
        return PAGE * (1 + draw(16));
    default:
        return 60000 + draw(200000);
    }
}

/* Fill a free place, empty a used one. */
static void change(struct live *live)
{
    static const uint64_t flags[] = { FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED };
    sim_processor_set(draw(4));
    if (live->block != NULL) {
        ExFreePool(live->block);
        live->block = NULL;
        return;
    }
    size_t bytes = draw_bytes();
    live->tag = TAG + draw(TAGS);
    live->pool = draw(3);
    live->old = false;
    if (draw(8) == 0) {
        live->pool = EXP_POOL_PAGED;
        live->block = exp_pool_face_allocate_aligned(
            bytes, (size_t)16 << draw(11), exp_tag_register(live->tag));
    } else {
        live->block = ExAllocatePool2(flags[live->pool], bytes, live->tag);
    }
    CHECK(live->block != NULL);
    unsigned char charged;
    live->span_bytes = ExQueryPoolBlockSize(live->block, &charged);
}

static struct live *model_find(const char *block)
{
    for (size_t index = 0; index < LIVE_MAX; index++) {
        if (model[index].block == block) {
            return &model[index];
        }
    }
    return NULL;
}

static size_t model_big(void)
{
    size_t count = 0;
    for (size_t index = 0; index < LIVE_MAX; index++) {
        count += model[index].block != NULL && model[index].span_bytes >= PAGE;
    }
    return count;
}

/* All big blocks, capacity at a time. */
static size_t walk(size_t capacity)
{
    size_t where = EXP_RUN_BIG_START;
    size_t count = 0;
    while (where != EXP_RUN_BIG_END) {
        size_t copied = exp_run_copy_big(&where, found + count, exp_min(capacity, BIG_MAX - count));
        CHECK(copied <= capacity);
        count += copied;
    }
    return count;
}

static void check_block(const struct exp_run_big *big)
{
    const struct live *live = model_find(big->block);
    if (CHECK(live != NULL)) {
        CHECK_EQUAL(big->span_bytes, live->span_bytes);
        CHECK_EQUAL(big->pool, live->pool);
        CHECK_EQUAL(exp_tag_of(big->number), live->tag);
    }
}

static void check_walk(size_t capacity)
{
    size_t count = walk(capacity);
    CHECK_EQUAL(count, model_big());
    for (size_t index = 0; index < count; index++) {
        check_block(&found[index]);
        CHECK(index == 0 || (uintptr_t)found[index - 1].block < (uintptr_t)found[index].block);
    }
}

static void test_big_walk_copies_what_the_model_has(void)
{
    expool_trim();
    check_walk(1);
    for (unsigned step = 0; step < STEPS; step++) {
        change(&model[draw(LIVE_MAX)]);
        if (step % 97 == 0) {
            check_walk(1 + draw(40));
        }
        if (step % 1009 == 0) {
            sim_clock_advance_ms(100000);
            expool_trim();
        }
    }
    check_walk(1);
    check_walk(BIG_MAX);
    for (size_t index = 0; index < LIVE_MAX; index++) {
        if (model[index].block != NULL) {
            change(&model[index]);
        }
    }
    CHECK_EQUAL(walk(16), 0);
    CHECK_FITS();
}

static void test_big_walk_among_changes_copies_once_what_stays(void)
{
    expool_trim();
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned step = 0; step < 200; step++) {
            change(&model[draw(LIVE_MAX)]);
        }
        for (size_t index = 0; index < LIVE_MAX; index++) {
            model[index].old = model[index].block != NULL && model[index].span_bytes >= PAGE;
        }
        size_t where = EXP_RUN_BIG_START;
        uintptr_t before = 0;
        while (where != EXP_RUN_BIG_END) {
            size_t copied = exp_run_copy_big(&where, found, 1 + draw(5));
            for (size_t index = 0; index < copied; index++) {
                CHECK((uintptr_t)found[index].block > before); /* so none comes twice */
                before = (uintptr_t)found[index].block;
                check_block(&found[index]);
                model_find(found[index].block)->old = false; /* seen */
            }
            for (unsigned step = 0; step < 6; step++) {
                change(&model[draw(LIVE_MAX)]);
            }
            if (draw(20) == 0) {
                expool_trim();
            }
        }
        for (size_t index = 0; index < LIVE_MAX; index++) {
            CHECK(model[index].block == NULL || !model[index].old);
        }
    }
    CHECK_FITS();
}

int main(void)
{
    const char *text = getenv("UNIT_SEED");
    seed = text != NULL ? strtoull(text, NULL, 0) | 1 : seed;
    printf("seed 0x%llx (UNIT_SEED repeats it)\n", (unsigned long long)seed);
    unit_start();
    RUN_FRESH(test_big_walk_copies_what_the_model_has);
    RUN_FRESH(test_big_walk_among_changes_copies_once_what_stays);
    return unit_end();
}
