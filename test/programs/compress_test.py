#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""zstd -T2 and xz -T2 on the pool: the same compressed bytes, and back to the same file.

Method: a generated file (200 MB for zstd, 24 MB for xz) of records that compress moderately;
compressed by two threads, decompressed, compared by cmp; the compressed bytes' checksum is the
output compared.
"""

import os
import random

import programs


def generate(path, size_bytes):
    """Deterministic text-like data: pieces of a random megabyte, mixed with counters."""
    source = random.Random(11)
    pool = source.randbytes(1 << 20)
    with open(path, "wb") as file:
        written = 0
        while written < size_bytes:
            parts = []
            for number in range(4000):
                at = source.randrange(len(pool) - 200)
                parts.append(
                    pool[at : at + source.randrange(8, 60)] + b"%010d;" % (written + number)
                )
            chunk = b"".join(parts)[: size_bytes - written]
            file.write(chunk)
            written += len(chunk)


def main():
    zstd, xz = programs.need("zstd"), programs.need("xz")
    suite = programs.Suite()
    large, middle = (os.path.join(suite.folder, name) for name in ("large.bin", "middle.bin"))
    generate(large, 200 * 1000 * 1000)
    generate(middle, 24 * 1000 * 1000)
    # A compressor makes few allocations, large ones; they must have come from the pool.
    suite.compare(
        "zstd -T2",
        [
            "/bin/sh",
            "-c",
            f"{zstd} -q -T2 -3 {large} -o l.zst && sha256sum < l.zst && "
            f"{zstd} -q -d -T2 l.zst -o l && cmp l {large} && echo same",
        ],
        stderr=True,
        allocations=30,
        limit_s=90,
    )
    suite.compare(
        "zstd -T2 --ultra, dictionary",
        [
            "/bin/sh",
            "-c",
            f"head -c 4000000 {middle} > m && {zstd} -q -T2 -B200KB -15 m -o m.zst && "
            f"sha256sum < m.zst && {zstd} -q -d m.zst -c | cmp - m && "
            f"split -b 2000 -d -a 4 m part && {zstd} -q --train part* -o dict "
            f"--maxdict=20000 && {zstd} -q -D dict -f part0007 && {zstd} -q -l part0007.zst",
        ],
        stderr=True,
        allocations=30,
        limit_s=90,
    )
    suite.compare(
        "xz -T2",
        [
            "/bin/sh",
            "-c",
            f"{xz} -T2 -1 --block-size=4MiB -c {middle} > m.xz && "
            f"sha256sum < m.xz && {xz} -dc -T2 m.xz | cmp - {middle} && echo same",
        ],
        stderr=True,
        allocations=30,
        limit_s=90,
    )
    suite.compare(
        "zstd, damaged input",
        [
            "/bin/sh",
            "-c",
            f"head -c 300000 {middle} | {zstd} -q -c > d.zst; "
            f"head -c 100000 d.zst > c.zst; {zstd} -q -t c.zst",
        ],
        stderr=True,
        status=1,
        allocations=0,
        limit_s=60,
    )
    suite.finish()


if __name__ == "__main__":
    main()
