/* SPDX-License-Identifier: MIT */
/*
 * The statistics region: one memory file per process that another process of the same user copies.
 *
 * The file appears as a link "/memfd:expool-region (deleted)" under /proc/PID/fd. It starts with
 * the header; everything else is found through the header's sections. A section lies at a fixed
 * offset for the life of the file; only its count grows, and what lies beyond count is not yet
 * written. Sections are sparse: copy [offset, offset + count * entry_bytes), never the capacity.
 *
 * Rows are written by one owner each (a thread, or a processor in a kernel) and hold monotone
 * 64-bit counters. What a tag uses now is the sum over its rows:
 *
 *     frees = sum(frees), bytes out = sum(bytes_out)      copied first
 *     allocs = sum(allocs), bytes in = sum(bytes_in)      copied afterwards
 *     live blocks = allocs - frees, live bytes = bytes_in - bytes_out, clamped at 0 while it runs
 *
 * A reader treats every number here as hostile: it checks magic, version, offsets, counts against
 * the file's size, and prints names and tags only after replacing control characters.
 *
 * source      product.md 6; design.md 5; docs/decisions/0001-region-layout.md
 */
#ifndef EXPOOL_REGION_H
#define EXPOOL_REGION_H

#include <stdint.h>

#define EXPOOL_REGION_NAME    "expool-region"
#define EXPOOL_REGION_MAGIC   UINT64_C(0x4e47524c4f4f5058) /* "XPOOLRGN" in memory order */
#define EXPOOL_REGION_VERSION 1

enum expool_region_section_index {
    EXPOOL_SECTION_TAGS,     /* struct expool_region_tag, index = tag number; entry 0 is not used */
    EXPOOL_SECTION_MODULES,  /* struct expool_region_module */
    EXPOOL_SECTION_ROWS,     /* struct expool_region_row */
    EXPOOL_SECTION_ROW_KEYS, /* uint32_t: tag number * 2 + (0 nonpaged, 1 paged); ~0 = not yet used
                              */
    EXPOOL_SECTION_OPTIONS,  /* char: lines "name=value\n", the options in force */
    EXPOOL_SECTION_SESSION,  /* struct expool_region_session */
    EXPOOL_SECTION_COUNT = 8 /* room for later kinds; entry_bytes 0 = absent */
};

enum expool_region_pool_index {
    EXPOOL_REGION_NONPAGED,         /* no-execute */
    EXPOOL_REGION_NONPAGED_EXECUTE, /* counts as nonpaged in tag rows */
    EXPOOL_REGION_PAGED,
    EXPOOL_REGION_POOL_COUNT
};

struct expool_region_section {
    uint64_t offset;      /* bytes from the start of the file; constant */
    uint64_t count;       /* entries written; atomic, released after they are */
    uint64_t capacity;    /* entries, at most; constant */
    uint64_t entry_bytes; /* constant; 0 = section absent */
};

struct expool_region_pool {
    uint64_t pages;       /* 4096-byte pages that blocks or caches of blocks use now */
    uint64_t pages_peak;  /* highest value of pages */
    uint64_t limit_bytes; /* UINT64_MAX = unlimited */
    uint64_t dirty_pages; /* free pages that have not been given back to the system */
    uint64_t failures;    /* requests that ended without memory */
    uint64_t conditions;  /* EXPOOL_REGION_..., of all pools that share this one's limit */
    uint64_t reserved[2];
};

/* Bits of conditions; both clear between the two thresholds. */
enum expool_region_condition {
    EXPOOL_REGION_LOW = 1,  /* little of the limit is free */
    EXPOOL_REGION_HIGH = 2, /* much of it is, or there is no limit */
};

struct expool_region_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* sizeof(struct expool_region_header) */
    uint64_t region_bytes; /* size of the file; constant */
    uint32_t page_bytes;   /* 4096 */
    uint32_t process_id;
    uint64_t start_ms;   /* port clock when the region was made */
    uint64_t generation; /* forks between the first process and this one */
    struct expool_region_pool pool[EXPOOL_REGION_POOL_COUNT];
    struct expool_region_section section[EXPOOL_SECTION_COUNT];
    uint64_t purged_pages; /* pages given back to the system so far */
    uint64_t grown_chunks; /* 4 MiB chunks taken into use so far */
    uint64_t owners;       /* owners (threads) alive now */
    uint64_t range_base;   /* address of the pool range; 0 until it is reserved */
    uint64_t range_bytes;
    uint64_t stop[5]; /* code and four parameters of the last stop; code 0 = none */
};

struct expool_region_tag {
    uint32_t tag;    /* four characters in memory order; top bit clear */
    uint32_t module; /* 1 + index of the module the tag was made for; 0 = none */
};

struct expool_region_module {
    char path[248];  /* NUL-terminated file name, its end when it is too long */
    uint32_t number; /* tag number */
    uint32_t reserved;
};

struct expool_region_row {
    uint64_t allocs;
    uint64_t frees;
    uint64_t bytes_in;  /* held bytes allocated so far */
    uint64_t bytes_out; /* held bytes freed so far */
};

/*
 * Session blocks of one tag and pool, which its ordinary rows count too. Each allocation and free
 * changes two words, one after the other: subtract with a clamp at 0. All 0: none so far.
 */
struct expool_region_session {
    uint32_t tag;  /* as in struct expool_region_tag; constant */
    uint32_t pool; /* 0 nonpaged, 1 paged; constant */
    uint64_t allocs;
    uint64_t frees;
    uint64_t bytes_in;  /* held bytes allocated so far */
    uint64_t bytes_out; /* held bytes freed so far */
};

#endif
