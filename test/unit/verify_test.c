/* SPDX-License-Identifier: MIT */
/*
 * The walk over everything finds what it is for: each kind of structure is damaged on purpose, in a
 * pool that has all of them, and the walk must name that kind; and it finds nothing in healthy
 * pools, whatever was done to them: random scripts of all doors, sizes and pools on several
 * processors, with trims, purges, exits of processors, limits, failures of the port and options
 * that change meanwhile.
 *
 * Each case runs in a forked child, where the core is as new.
 */
#include "front/pool.h"
#include "sim/port.h"
#include "unit/doors.h"
#include "unit/fits.h"

#include <inttypes.h>

#define TAG        UINT32_C(0x54636241) /* AbcT */
#define PAGE       ((size_t)4096)
#define SEEDS      12u
#define OPERATIONS 6000u
#define LIVE_MAX   900u

static const size_t sizes[] = { 16,   40,    100,   272,   640,    816,    1500,  2048,
                                2500, 3000,  3500,  4096,  5000,   6000,   7000,  8192,
                                9000, 14000, 20000, 65536, 100000, 300000, 66000, 1 };
enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0])
};

static void *kept[3][SIZES][12];

static void *get(uint64_t flags, size_t bytes)
{
    void *block = ExAllocatePool2(flags, bytes, TAG);
    if (block == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return block;
}

/* A pool that has everything: live and freed blocks of all kinds, tails, batches, dirty and clean.
 */
static void build(void)
{
    static const uint64_t flags[] = { FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED };
    static void *many[400];
    for (int round = 0; round < 12; round++) {
        for (int pool = 0; pool < 3; pool++) {
            for (int size = 0; size < SIZES; size++) {
                sim_processor_set((uint32_t)(round + size) % 3);
                kept[pool][size][round] = get(flags[pool], sizes[size]);
            }
        }
    }
    for (int index = 0; index < 400; index++) {
        many[index] = get(FLAG_PAGED, 48);
    }
    sim_processor_set(4);
    for (int index = 0; index < 400; index++) {
        ExFreePool(many[index]); /* allocated there, freed here: whole batches wait */
    }
    for (int pool = 0; pool < 3; pool++) {
        for (int size = 0; size < SIZES; size++) {
            for (int round = 1; round < 12; round += 2) {
                sim_processor_set((uint32_t)round % 3);
                ExFreePoolWithTag(kept[pool][size][round], TAG);
                kept[pool][size][round] = NULL;
            }
        }
    }
    sim_processor_set(2);
    sim_clock_advance_ms(10);
    exp_span_purge(false); /* a look at the clock only */
    for (int pool = 0; pool < 3; pool++) {
        ExFreePool(kept[pool][21][2]);
        kept[pool][21][2] = NULL;
    }
    sim_processor_exit();
}

/* ---- what there is to damage ---- */

typedef bool (*span_wanted)(const struct exp_span *span);

static struct exp_span *span_get(span_wanted wanted, const char *name)
{
    uint32_t records = (uint32_t)(exp_range.span_table.used_bytes / sizeof(struct exp_span));
    for (uint32_t index = 1; index < records; index++) {
        if (wanted(exp_span_at(index))) {
            return exp_span_at(index);
        }
    }
    fprintf(stderr, "%s: there is nothing to damage\n", name);
    exit(1);
}

#define SPAN_GET(wanted) span_get(wanted, #wanted)

static bool is_free(const struct exp_span *span)
{
    return span->use == EXP_SPAN_FREE && span->pages > 2;
}

static bool is_dirty(const struct exp_span *span)
{
    return span->use == EXP_SPAN_FREE && !span->zero;
}

static bool is_dirty_late(const struct exp_span *span)
{
    return is_dirty(span) && span->freed_ms != 0 && span->age.next != exp_span_dirty();
}

static bool is_clean(const struct exp_span *span)
{
    return span->use == EXP_SPAN_FREE && span->zero && span->pages > 2;
}

static bool is_large(const struct exp_span *span)
{
    return span->use == EXP_SPAN_LARGE;
}

static bool is_small_run(const struct exp_span *run)
{
    return run->use == EXP_SPAN_RUN && run->class_index < EXP_CLASS_FIRST_PART &&
           run->parent == 0 && run->pages > 1;
}

static bool is_fresh_run(const struct exp_span *run)
{
    return is_small_run(run) && run->slots_fresh < run->slots && run->slots % 64 != 0;
}

static bool is_listed_run(const struct exp_span *run)
{
    return is_small_run(run) && run->slots_free != 0;
}

static bool is_bitted_run(const struct exp_span *run)
{
    return is_small_run(run) && (run->bits[0] != 0);
}

static bool is_tail(const struct exp_span *run)
{
    return run->use == EXP_SPAN_RUN && run->parent != 0;
}

static bool is_offering(const struct exp_span *span)
{
    return (span->use == EXP_SPAN_RUN || span->use == EXP_SPAN_LARGE) &&
           exp_list_member(&span->age);
}

static bool is_page_run(const struct exp_span *run)
{
    return run->use == EXP_SPAN_RUN && run->class_index == 41;
}

static uint64_t *map_of(size_t page)
{
    return &exp_range_map()[page];
}

/* State of a block of the pool that build() made. */
static uint16_t *state_of(const void *block)
{
    struct exp_run_place place = exp_run_find(block);
    if (place.what != EXP_RUN_LIVE) {
        fprintf(stderr, "%p is not live\n", block);
        exit(1);
    }
    return place.state;
}

/* A cache with entries, of the current processor's owner or any. */
static struct exp_cache *cache_get(void)
{
    for (struct exp_owner *owner = exp_owner_first(); owner != NULL; owner = owner->next) {
        for (unsigned bin = 0; bin < EXP_BIN_COUNT; bin++) {
            if (owner->caches[bin].top - owner->caches[bin].bottom >= 2) {
                return &owner->caches[bin];
            }
        }
    }
    fprintf(stderr, "no cache has entries\n");
    exit(1);
}

/* ---- damage ---- */

static void damage_chunk(void)
{
    exp_range.chunks[exp_range.chunk_first + 40] = 4;
}

static void damage_chunk_of_head(void)
{
    exp_range.chunks[0] = 1;
}

static void damage_span_pool(void)
{
    SPAN_GET(is_small_run)->pool ^= 2;
}

static void damage_span_use(void)
{
    SPAN_GET(is_clean)->use = EXP_SPAN_MOVING;
}

static void damage_span_pages(void)
{
    SPAN_GET(is_large)->pages = UINT32_MAX;
}

static void damage_owner_of_first_page(void)
{
    exp_range.span_of[SPAN_GET(is_large)->page] = 0;
}

static void damage_owner_of_later_page(void)
{
    exp_range.span_of[SPAN_GET(is_small_run)->page + 1] = 0;
}

static void damage_owner_of_later_page_wild(void)
{
    exp_range.span_of[SPAN_GET(is_small_run)->page + 1] = UINT32_MAX;
}

static void damage_owner_of_free_end(void)
{
    struct exp_span *span = SPAN_GET(is_free);
    exp_range.span_of[span->page + span->pages - 1] ^= 1;
}

static void damage_map_state(void)
{
    *map_of(SPAN_GET(is_small_run)->page + 1) ^= 1;
}

static void damage_map_bin(void)
{
    *map_of(SPAN_GET(is_small_run)->page) ^= UINT64_C(1) << 56;
}

static void damage_map_interior(void)
{
    *map_of(SPAN_GET(is_page_run)->page + 1) += 1;
}

static void damage_map_free(void)
{
    struct exp_span *span = SPAN_GET(is_free);
    *map_of(span->page + 1) = *map_of(SPAN_GET(is_small_run)->page);
}

static void damage_map_tail(void)
{
    *map_of(SPAN_GET(is_tail)->page) ^= 1;
}

static void damage_neighbours(void)
{
    struct exp_span *span = SPAN_GET(is_clean);
    struct exp_span *second = exp_span_record_take();
    second->page = span->page + span->pages - 1;
    second->pages = 1;
    second->pool = span->pool;
    second->zero = span->zero;
    second->use = EXP_SPAN_FREE;
    span->pages--;
    exp_range.span_of[second->page - 1] = exp_span_index(span);
    exp_range.span_of[second->page] = exp_span_index(second);
}

static void damage_record(void)
{
    exp_span_record_take()->use = EXP_SPAN_LARGE;
}

static void damage_free_link(void)
{
    SPAN_GET(is_free)->link.next = (struct exp_link *)(uintptr_t)0x10;
}

static void damage_free_link_back(void)
{
    struct exp_span *span = SPAN_GET(is_free);
    span->link.previous = &span->link;
}

static void damage_free_link_loop(void)
{
    struct exp_span *span = SPAN_GET(is_free);
    span->link.next = &span->link;
    span->link.previous = &span->link;
}

static void damage_free_skipped(void)
{
    struct exp_span *span = SPAN_GET(is_free);
    struct exp_link link = span->link;
    exp_list_remove(&span->link);
    span->link = link; /* still says that it is a member */
    struct exp_span_bin view;
    (void)exp_span_bin_at(0, span->pool, span->zero, exp_span_bin_of(span->pages), &view);
    if (exp_list_empty(view.spans)) {
        *view.word &= ~view.mask;
    }
}

static void damage_free_bin(void)
{
    struct exp_span *span = SPAN_GET(is_free);
    struct exp_span_bin view;
    exp_list_remove(&span->link);
    (void)exp_span_bin_at(0, span->pool, span->zero, 1, &view);
    exp_list_push_back(view.spans, &span->link);
    *view.word |= view.mask;
}

static void damage_free_word(void)
{
    struct exp_span_bin view;
    (void)exp_span_bin_at(0, 2, false, 63, &view);
    *view.word ^= view.mask;
}

static void damage_dirty_age(void)
{
    SPAN_GET(is_dirty_late)->freed_ms += 1000;
}

static void damage_dirty_link(void)
{
    SPAN_GET(is_dirty)->age.next = NULL;
}

static void damage_dirty_link_back(void)
{
    SPAN_GET(is_dirty)->age.previous = NULL;
}

static void damage_unused_link(void)
{
    exp_span_unused()->next->previous = NULL;
}

static void damage_gate_used(void)
{
    exp_span.gates[1].pages_used++;
}

static void damage_gate_stretch(void)
{
    exp_span.gates[0].used_least = exp_span.gates[0].pages_used + 1;
}

static void damage_pages_used(void)
{
    exp_span.counts[2].pages_used++;
}

static void damage_pages_peak(void)
{
    exp_span.counts[0].pages_used_peak = exp_span.counts[0].pages_used - 1;
}

static void damage_pages_dirty(void)
{
    exp_span.counts[1].pages_dirty--;
}

static void damage_run_slots(void)
{
    SPAN_GET(is_small_run)->slots--;
}

static void damage_run_class(void)
{
    SPAN_GET(is_small_run)->class_index = EXP_CLASS_INTERIOR;
}

static void damage_run_first_state(void)
{
    SPAN_GET(is_small_run)->first_state = UINT32_MAX - 4096;
}

static void damage_large_class(void)
{
    SPAN_GET(is_large)->class_index = EXP_CLASS_PAGE;
}

static void damage_large_held(void)
{
    SPAN_GET(is_large)->held_bytes += PAGE;
}

static void damage_state_reserved(void)
{
    *state_of(kept[2][3][0]) = EXP_STATE_NUMBER_MAX + 1;
}

static void damage_state_unregistered(void)
{
    *state_of(kept[2][3][0]) = (uint16_t)exp_tag_count();
}

static void damage_state_large(void)
{
    *state_of(kept[1][21][0]) = EXP_STATE_FREE;
}

static void damage_state_of_free(void)
{
    struct exp_span *run = SPAN_GET(is_bitted_run);
    unsigned slot = exp_bit_lowest(run->bits[0]);
    unsigned page_slots = exp_classes[run->class_index].page_slots;
    exp_range.states[run->first_state + slot + slot / page_slots] = 1;
}

static void damage_state_of_fresh(void)
{
    struct exp_span *run = SPAN_GET(is_fresh_run);
    unsigned page_slots = exp_classes[run->class_index].page_slots;
    exp_range.states[run->first_state + run->slots - 1 + run->slots / page_slots - 1] = 1;
}

static void damage_hole(void)
{
    struct exp_span *run = SPAN_GET(is_small_run);
    exp_range.states[run->first_state + exp_classes[run->class_index].page_slots] = EXP_STATE_FREE;
}

static void damage_fresh(void)
{
    struct exp_span *run = SPAN_GET(is_small_run);
    run->slots_fresh = (uint16_t)(run->slots + 1);
}

static void damage_fresh_back(void)
{
    SPAN_GET(is_fresh_run)->slots_fresh -= 1;
}

static void damage_bit_of_live(void)
{
    void *block = kept[2][3][0];
    struct exp_run_place place = exp_run_find(block);
    size_t offset = exp_range_offset(block);
    size_t slot = ((offset >> EXP_PAGE_SHIFT) - place.span->page) *
                      exp_classes[place.class_index].page_slots +
                  (offset & EXP_PAGE_MASK) / place.size_bytes;
    place.span->bits[slot / 64] ^= (uint64_t)1 << (slot % 64);
}

static void damage_bit_of_fresh(void)
{
    struct exp_span *run = SPAN_GET(is_fresh_run);
    unsigned slot = run->slots - 1u;
    run->bits[slot / 64] |= (uint64_t)1 << (slot % 64);
}

static void damage_bit_beyond(void)
{
    struct exp_span *run = SPAN_GET(is_fresh_run);
    run->bits[EXP_SPAN_WORDS - 1] |= (uint64_t)1 << 63;
}

static void damage_bit_lost(void)
{
    struct exp_span *run = SPAN_GET(is_bitted_run);
    run->bits[0] &= run->bits[0] - 1;
}

static void damage_slots_free(void)
{
    SPAN_GET(is_listed_run)->slots_free++;
}

static void damage_quarter(void)
{
    SPAN_GET(is_listed_run)->quarter ^= 1;
}

static void damage_run_unlisted(void)
{
    exp_list_remove(&SPAN_GET(is_listed_run)->link);
}

static void damage_run_link(void)
{
    SPAN_GET(is_listed_run)->link.next = (struct exp_link *)(uintptr_t)1;
}

static void damage_run_link_back(void)
{
    SPAN_GET(is_listed_run)->link.previous = NULL;
}

static void damage_empty(void)
{
    struct exp_store_view view;
    exp_store_view(0, EXP_POOL_PAGED << EXP_CLASS_BITS | 7, &view);
    ++*view.empty;
}

static void damage_tail_parent(void)
{
    SPAN_GET(is_tail)->parent++;
}

static void damage_tail_closed(void)
{
    /* One place more is open: its state says hole, and the run does not begin where the rest does.
     */
    struct exp_span *run = SPAN_GET(is_tail);
    run->slots_taboo--;
}

static void damage_tail_count(void)
{
    exp_span_at(SPAN_GET(is_tail)->parent)->tails++;
}

static void damage_offer_link(void)
{
    SPAN_GET(is_offering)->age.next = (struct exp_link *)(uintptr_t)8;
}

static void damage_offer_bin(void)
{
    struct exp_span *span = SPAN_GET(is_offering);
    exp_list_remove(&span->age);
    size_t kib = exp_classes[span->class_index].tail_bytes / 1024;
    exp_list_push_front(exp_run_offers(0, span->pool, kib == 0 ? 3 : 0), &span->age);
}

static void damage_offer_pool(void)
{
    struct exp_span *span = SPAN_GET(is_offering);
    exp_list_remove(&span->age);
    exp_list_push_front(exp_run_offers(0, span->pool == 0, 0), &span->age);
}

static void damage_cache_top(void)
{
    struct exp_cache *cache = cache_get();
    cache->top = cache->end + 1;
}

static void damage_cache_guard(void)
{
    static uint16_t free_state = EXP_STATE_FREE;
    cache_get()->bottom[-1].state = &free_state;
}

static void damage_cached_twice(void)
{
    struct exp_cache *cache = cache_get();
    cache->top[-1] = cache->top[-2]; /* one twice, another lost */
}

static void damage_cached_lost(void)
{
    cache_get()->top--;
}

static void damage_cached_block(void)
{
    cache_get()->top[-1].block += EXP_GRANULE;
}

static void damage_cached_outside(void)
{
    cache_get()->top[-1].block = 16;
}

static void damage_cached_state_pointer(void)
{
    cache_get()->top[-1].state++;
}

static void damage_cached_in_use(void)
{
    /* Both freed by two threads and handed out again: it is live and in a cache. */
    struct exp_cache *cache = cache_get();
    *cache->top[-1].state = 1;
}

static void damage_batch(void)
{
    size_t count;
    struct exp_run_entry *entries =
        exp_store_batch(0, EXP_POOL_PAGED << EXP_CLASS_BITS | 6, 0, &count);
    if (count == 0 || entries == NULL) {
        fprintf(stderr, "no batch waits\n");
        exit(1);
    }
    entries[0].block += 1 << EXP_PAGE_SHIFT;
}

static void damage_live_lost(void)
{
    *state_of(kept[2][3][0]) = EXP_STATE_FREE; /* freed, but in no cache */
}

/* The row of some owner that counts TAG in a column. */
static struct expool_region_row **row_get(unsigned column)
{
    uint32_t index = exp_tag_register(TAG) * 2 + column;
    for (struct exp_owner *owner = exp_owner_first(); owner != NULL; owner = owner->next) {
        if (index < owner->row_of_count && owner->row_kept[index] != NULL) {
            return &owner->row_kept[index];
        }
    }
    fprintf(stderr, "no owner has a row\n");
    exit(1);
}

static void damage_row_pointer(void)
{
    *row_get(0) = *row_get(1);
}

static void damage_row_allocs(void)
{
    (*row_get(0))->allocs++;
}

static void damage_row_frees(void)
{
    (*row_get(1))->frees++;
}

static void damage_row_bytes(void)
{
    (*row_get(0))->bytes_in += 16;
}

static void damage_payer(void)
{
    uint32_t other = exp_tag_register(TAG + 1);
    *state_of(kept[2][3][0]) = (uint16_t)other;
}

struct damage {
    const char *name;
    void (*deed)(void);
    enum exp_verify_what what;
};

#define DAMAGE(deed, what)                                                                         \
    {                                                                                              \
#deed, damage_##deed, EXP_VERIFY_##what                                                    \
    }

static const struct damage damages[] = {
    DAMAGE(chunk, CHUNK),
    DAMAGE(chunk_of_head, CHUNK),
    DAMAGE(span_pool, PAGE),
    DAMAGE(span_use, PAGE),
    DAMAGE(span_pages, PAGE),
    DAMAGE(owner_of_first_page, PAGE),
    DAMAGE(owner_of_later_page, PAGE_OWNER),
    DAMAGE(owner_of_later_page_wild, PAGE_OWNER),
    DAMAGE(owner_of_free_end, PAGE_OWNER),
    DAMAGE(map_state, MAP),
    DAMAGE(map_bin, MAP),
    DAMAGE(map_interior, MAP),
    DAMAGE(map_free, MAP),
    DAMAGE(map_tail, MAP),
    DAMAGE(neighbours, NEIGHBOURS),
    DAMAGE(record, RECORD),
    DAMAGE(free_link, FREE_LIST),
    DAMAGE(free_link_back, FREE_LIST),
    DAMAGE(free_link_loop, FREE_LIST),
    DAMAGE(free_skipped, FREE_LIST),
    DAMAGE(free_bin, FREE_LIST),
    DAMAGE(free_word, FREE_WORD),
    DAMAGE(dirty_age, DIRTY_LIST),
    DAMAGE(dirty_link, DIRTY_LIST),
    DAMAGE(dirty_link_back, DIRTY_LIST),
    DAMAGE(unused_link, UNUSED_LIST),
    DAMAGE(pages_used, PAGES_USED),
    DAMAGE(gate_used, PAGES_USED),
    DAMAGE(gate_stretch, PAGES_USED),
    DAMAGE(pages_peak, PAGES_USED),
    DAMAGE(pages_dirty, PAGES_DIRTY),
    DAMAGE(run_slots, CLASS),
    DAMAGE(run_class, CLASS),
    DAMAGE(run_first_state, CLASS),
    DAMAGE(large_class, CLASS),
    DAMAGE(large_held, HELD),
    DAMAGE(state_reserved, STATE),
    DAMAGE(state_unregistered, STATE),
    DAMAGE(state_large, STATE),
    DAMAGE(state_of_free, STATE),
    DAMAGE(state_of_fresh, STATE),
    DAMAGE(hole, HOLE),
    DAMAGE(fresh, FRESH),
    DAMAGE(fresh_back, SLOTS_FREE),
    DAMAGE(bit_of_live, STATE),
    DAMAGE(bit_of_fresh, BITS),
    DAMAGE(bit_beyond, BITS),
    DAMAGE(bit_lost, SLOTS_FREE),
    DAMAGE(slots_free, SLOTS_FREE),
    DAMAGE(quarter, QUARTER),
    DAMAGE(run_unlisted, RUN_LIST),
    DAMAGE(run_link, RUN_LIST),
    DAMAGE(run_link_back, RUN_LIST),
    DAMAGE(empty, EMPTY),
    DAMAGE(tail_parent, TAIL),
    DAMAGE(tail_closed, TAIL),
    DAMAGE(tail_count, TAIL),
    DAMAGE(offer_link, OFFER),
    DAMAGE(offer_bin, OFFER),
    DAMAGE(offer_pool, OFFER),
    DAMAGE(cache_top, CACHE),
    DAMAGE(cache_guard, CACHE),
    DAMAGE(cached_twice, SLOTS),
    DAMAGE(cached_lost, SLOTS),
    DAMAGE(cached_block, CACHED),
    DAMAGE(cached_outside, CACHED),
    DAMAGE(cached_state_pointer, CACHED),
    DAMAGE(cached_in_use, CACHED),
    DAMAGE(batch, CACHED),
    DAMAGE(live_lost, SLOTS),
    DAMAGE(row_pointer, ROW),
    DAMAGE(row_allocs, ROW_BLOCKS),
    DAMAGE(row_frees, ROW_BLOCKS),
    DAMAGE(row_bytes, ROW_BYTES),
    DAMAGE(payer, ROW_BLOCKS),
};

static const struct damage *damage;

static void damage_body(void)
{
    struct exp_verify_fault fault;
    build();
    CHECK_FITS();
    damage->deed();
    CHECK(!exp_verify_all(&fault));
    CHECK_TEXT(exp_verify_words(fault.what), exp_verify_words(damage->what));
}

static void test_verify_each_damage_is_named(void)
{
    bool named[EXP_VERIFY_WHAT_COUNT] = { [EXP_VERIFY_FITS] = true };
    for (size_t index = 0; index < sizeof(damages) / sizeof(damages[0]); index++) {
        damage = &damages[index];
        named[damage->what] = true;
        run_fresh(damage->name, damage_body);
    }
    unit.test = "test_verify_each_damage_is_named";
    for (unsigned what = 0; what < EXP_VERIFY_WHAT_COUNT; what++) {
        CHECK(named[what]); /* no kind of fault without a damage that shows it */
        CHECK(exp_verify_words((enum exp_verify_what)what) != NULL);
    }
}

static void test_verify_unused_pool_fits(void)
{
    CHECK_FITS();
    CHECK(sim_reserved_lowest() == NULL); /* looking does not start the pool */
}

static void test_verify_holds_no_lock_afterwards(void)
{
    struct exp_verify_fault fault;
    build();
    CHECK_FITS();
    build();
    damage_pages_used();
    CHECK(!exp_verify_all(&fault));
    exp_span.counts[2].pages_used--;
    build(); /* would end in "sim: deadlock" */
    CHECK_FITS();
}

/* ---- healthy pools ---- */

static struct {
    uint64_t state;
    uint64_t seed;
    void *block[LIVE_MAX];
    unsigned count;
} script;

static uint64_t draw(uint64_t below)
{
    script.state ^= script.state << 13;
    script.state ^= script.state >> 7;
    script.state ^= script.state << 17;
    return (script.state >> 8) % below;
}

static size_t draw_bytes(void)
{
    switch (draw(8)) {
    case 0:
        return 2049 + draw(2047); /* first parts */
    case 1:
        return 4096 + draw(61440);
    case 2:
        return draw(20) == 0 ? 65537 + draw(1000000) : 4097 + draw(12288);
    default:
        return draw(draw(4) == 0 ? 2049 : 300);
    }
}

static void script_allocate(void)
{
    static const uint64_t flags[] = {
        FLAG_NON_PAGED, FLAG_NON_PAGED_EXECUTE, FLAG_PAGED, FLAG_PAGED
    };
    if (script.count == LIVE_MAX) {
        return;
    }
    uint32_t tag = TAG + (uint32_t)draw(40) + (draw(8) == 0 ? TAG_PROTECTED : 0);
    size_t bytes = draw_bytes();
    uint32_t number = 1 + (uint32_t)draw(3);
    void *block = NULL;
    switch (draw(8)) {
    case 0:
        block = number < exp_tag_count() ? exp_pool_face_allocate(bytes, number, draw(2)) : NULL;
        break;
    case 1:
        block = number < exp_tag_count()
                    ? exp_pool_face_allocate_aligned(bytes, (size_t)16 << draw(11), number)
                    : NULL;
        break;
    default:
        block =
            ExAllocatePool2(flags[draw(4)] | (draw(4) == 0 ? FLAG_CACHE_ALIGNED : 0), bytes, tag);
        break;
    }
    if (block != NULL) {
        script.block[script.count++] = block;
    }
}

static void script_free(void)
{
    if (script.count != 0) {
        unsigned index = (unsigned)draw(script.count);
        exp_pool_face_free(script.block[index]);
        script.block[index] = script.block[--script.count];
    }
}

static void script_resize(void)
{
    if (script.count != 0 && exp_tag_count() > 1) {
        unsigned index = (unsigned)draw(script.count);
        void *block = exp_pool_face_resize(script.block[index], 1 + draw_bytes(), 1);
        script.block[index] = block != NULL ? block : script.block[index];
    }
}

static void script_option(void)
{
    static const char *const limits[] = { "unlimited", "6M", "1M", "100K", "unlimited" };
    static const char *const switches[] = { "0", "1" };
    switch (draw(5)) {
    case 0:
        CHECK_EQUAL(expool_set("paged_limit", limits[draw(5)]), 0);
        break;
    case 1:
        CHECK_EQUAL(expool_set("nonpaged_limit", limits[draw(5)]), 0);
        break;
    case 2:
        CHECK_EQUAL(expool_set("front_cache", switches[draw(3) != 0]), 0);
        break;
    case 3:
        CHECK_EQUAL(expool_set("tail_reuse", switches[draw(3) != 0]), 0);
        break;
    default:
        expool_fail_page_request(draw(5));
        break;
    }
}

static void script_step(bool growing)
{
    uint64_t kind = draw(100);
    if (kind < (growing ? 55 : 35)) {
        script_allocate();
    } else if (kind < 85) {
        script_free();
    } else if (kind < 90) {
        script_resize();
    } else if (kind < 96) {
        sim_processor_set((uint32_t)draw(4));
    } else if (kind < 97) {
        sim_clock_advance_ms(draw(800));
        exp_span_purge(draw(2));
    } else if (kind < 98) {
        expool_trim();
    } else if (kind < 99) {
        sim_processor_exit();
    } else {
        script_option();
    }
}

static void script_body(void)
{
    script.state = script.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    sim_start(script.seed, (size_t)128 << 20);
    expool_trim(); /* the pool starts */
    for (unsigned operation = 0; operation < OPERATIONS; operation++) {
        if (operation % 500 == 0) {
            sim_decommit_refuse(draw(5) == 0);
        }
        script_step(operation / 1000 % 2 == 0);
        if (operation % 97 == 0 && !CHECK_FITS()) {
            fprintf(stderr, "seed %" PRIu64 ", after operation %u\n", script.seed, operation);
            return;
        }
    }
    while (script.count != 0) {
        script_free();
    }
    CHECK_FITS();
    for (uint32_t processor = 0; processor < 4; processor++) {
        sim_processor_set(processor);
        sim_processor_exit();
    }
    expool_trim();
    CHECK_FITS();
    for (unsigned pool = 0; pool < 3; pool++) {
        CHECK_EQUAL(exp_span.counts[pool].pages_used, 0);
    }
    sim_check_rest();
}

static void test_verify_random_scripts_fit(void)
{
    char name[64];
    for (script.seed = 1; script.seed <= SEEDS; script.seed++) {
        snprintf(name, sizeof(name), "random script of seed %" PRIu64, script.seed);
        run_fresh(name, script_body);
    }
}

int main(void)
{
    unit_start();
    RUN_FRESH(test_verify_unused_pool_fits);
    RUN_FRESH(test_verify_holds_no_lock_afterwards);
    RUN(test_verify_each_damage_is_named);
    RUN(test_verify_random_scripts_fit);
    return unit_end();
}
