# SPDX-License-Identifier: MIT
#
# A thin door to CMake (CMakeLists.txt, CMakePresets.json) and to scripts/.
#
#   make run [PROG='prog args']   build, run a real program on the pool, show who used what
#   make test                     build every variant and pass every test
#   make bench                    compare with other allocators (bench/bench.py)
#   make check-house              order of includes, names, contracts, exports, lengths
#   make install PREFIX=/usr/local
#   make fuzz SECONDS=60          every fuzzer, checked build
#   make soak SECONDS=3600        the churn fuzzer, long
#   make programs                 only the tests that run real programs on the pool
#   make numa                     only the test on a simulated machine of two NUMA nodes
#   make format                   lay out all C files (.clang-format)

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
VARIANTS := free checked asan tsan clang

# What `make run` compiles when PROG is not given: the largest file of the core.
LARGE = $(firstword $(shell ls -S src/core/*.c src/front/*.c))
PROG ?= cc -std=gnu17 -O2 -ffreestanding -fshort-wchar -fms-extensions -Wno-multichar -Iinclude \
	-Isrc -Iinclude/wdk -DEXP_PORT_HEADER='"linux/owner_inline.h"' -c $(LARGE) -o /dev/null

.PHONY: all packages run test bench check-house install fuzz soak programs \
	numa format clean $(VARIANTS)
.DEFAULT_GOAL := all

all: free

packages:
	@scripts/packages.sh

# One variant: configured once, then Ninja knows what is out of date.
$(VARIANTS): packages
	@test -f build/$@/build.ninja || cmake --preset $@
	@cmake --build --preset $@ -j $(JOBS)

run: free
	build/free/expool run --report -- $(PROG)

# All variants' tests in one run of CTest, so that one summary speaks for all of them.
test: $(VARIANTS)
	@mkdir -p build/all
	@printf 'subdirs(../%s)\n' $(VARIANTS) >build/all/CTestTestfile.cmake
	@ctest --test-dir build/all --output-on-failure --no-tests=error -j $(JOBS)

bench: free
	@EXPOOL_BUILD=$(CURDIR)/build/free EXPOOL_SOURCE=$(CURDIR) python3 bench/bench.py

check-house: free
	@python3 scripts/check_house.py build/free

install: free
	@cmake --install build/free --prefix $(PREFIX)

fuzz: SECONDS ?= 60
fuzz: checked
	@set -e; for fuzzer in build/checked/test/fuzz/*_fuzz*; do \
		echo "$$fuzzer --seconds $(SECONDS)"; $$fuzzer --seconds $(SECONDS); done

soak: SECONDS ?= 3600
soak: free
	build/free/test/fuzz/churn_fuzz --seconds $(SECONDS)

programs: free
	@ctest --test-dir build/free -L programs --output-on-failure --no-tests=error

numa: free
	@ctest --test-dir build/free -L numa --verbose --no-tests=error

format: packages
	@clang-format -i $$(find src include examples test tools bench -name '*.[ch]')

clean:
	rm -rf build
