#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory by NUMA node, on a simulated machine that has two nodes.

    numa.py PROGRAM [FOLDER]

PROGRAM is test/numa/numa.c, linked statically. It becomes the only file of an initial RAM disk and
the first program of a Debian kernel, which qemu-system-x86_64 runs without hardware help: two
processors, two nodes with a processor and 256 MiB each. What it prints on the serial line is shown
here; it must make exactly CHECKS checks, so that none is left out without a word.

The kernel is taken out of Debian's package of it, which is downloaded into FOLDER (build/numa) by
apt-get and not installed; NUMA_KERNEL names another one. Exit status: 0, 1, or 77 when qemu, the
kernel or a way to get it is missing.
"""

import glob
import gzip
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import threading
import time

SKIPPED = 77
CHECKS = 8117
SECONDS_MAX = 300
META_PACKAGE = "linux-image-cloud-amd64"
NODE_MIB = 256


def say(words):
    print("numa: " + words, flush=True)


def run(*words, **more):
    return subprocess.run(words, check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **more)


def find_qemu():
    return shutil.which("qemu-system-x86_64")


def download_package(folder):
    """The package that Debian's newest cloud kernel comes in; or None."""
    depends = run("apt-cache", "depends", META_PACKAGE).stdout
    names = re.findall(r"Depends: (linux-image-\S+)", depends)
    if not names:
        return None
    got = run("apt-get", "-q", "download", names[0], cwd=folder)
    packages = glob.glob(os.path.join(folder, names[0] + "_*.deb"))
    if got.returncode != 0:
        say(f"cannot download {names[0]}:\n{got.stdout}")
    return packages[-1] if got.returncode == 0 and packages else None


def download_kernel(folder):
    """The path of a kernel, out of Debian's package of it; or None."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None
    package = download_package(folder)
    if package is None:  # the lists of packages are old, or were never got
        as_root = [] if os.getuid() == 0 else ["sudo", "-n"]
        if as_root and shutil.which("sudo") is None:
            return None
        run(*as_root, "apt-get", "-q", "update")
        package = download_package(folder)
        if package is None:
            return None
    fresh = os.path.join(folder, "kernel.new")
    shutil.rmtree(fresh, ignore_errors=True)
    unpacked = run("dpkg-deb", "-x", package, fresh)
    if unpacked.returncode != 0:
        say(f"cannot unpack {package}:\n{unpacked.stdout}")
        return None
    os.unlink(package)
    os.rename(fresh, os.path.join(folder, "kernel"))
    return find_kernel(folder)


def find_kernel(folder):
    given = os.environ.get("NUMA_KERNEL")
    if given:
        return given
    kernels = sorted(glob.glob(os.path.join(folder, "kernel", "boot", "vmlinuz-*")))
    return kernels[-1] if kernels else None


def cpio_entry(name, mode, content=b"", device=(0, 0)):
    """One file of an archive in the form that the kernel unpacks (newc)."""
    name = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def make_disk(program, path):
    with open(program, "rb") as file:
        content = file.read()
    parts = (
        cpio_entry("dev", stat.S_IFDIR | 0o755),
        cpio_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
        cpio_entry("init", stat.S_IFREG | 0o755, content),
        cpio_entry("TRAILER!!!", 0),
    )
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part in parts:
            file.write(part)


def boot(qemu, kernel, disk):
    """All that the machine prints until it is off; shown line by line."""
    words = [qemu, "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35",
             "-m", f"{2 * NODE_MIB}M", "-smp", "2,sockets=2"]
    for node in range(2):
        words += ["-object", f"memory-backend-ram,id=ram{node},size={NODE_MIB}M",
                  "-numa", f"node,nodeid={node},cpus={node},memdev=ram{node}"]
    words += ["-kernel", kernel, "-initrd", disk,
              "-append", "console=ttyS0 quiet panic=-1 tsc=reliable",
              "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
              "-monitor", "none", "-no-reboot"]
    text = []
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as machine:
        watch = threading.Timer(SECONDS_MAX, machine.kill)
        watch.start()
        try:
            for line in machine.stdout:
                print("  " + line.rstrip(), flush=True)
                text.append(line)
        finally:
            watch.cancel()
            machine.kill()
    return "".join(text)


def main():
    program = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(
        os.environ.get("EXPOOL_BUILD", "build/free"), "numa")
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    if platform.machine() != "x86_64":
        say("skipped: the machine and its program are of x86-64")
        return SKIPPED
    qemu = find_qemu()
    if qemu is None:
        say("skipped: qemu-system-x86_64 is not installed")
        return SKIPPED
    kernel = find_kernel(folder) or download_kernel(folder)
    if kernel is None:
        say("skipped: no kernel (apt-get download could not get one; NUMA_KERNEL names one)")
        return SKIPPED
    disk = os.path.join(folder, "disk.gz")
    make_disk(program, disk)
    say(f"{os.path.basename(kernel)}, two nodes of {NODE_MIB} MiB")
    start = time.monotonic()
    text = boot(qemu, kernel, disk)
    sums = re.findall(r"numa: (\d+) checks, (\d+) failures", text)
    say(f"the machine ran for {time.monotonic() - start:.0f} seconds")
    if len(sums) != 1:
        say("failed: the program did not reach its end")
        return 1
    checks, failures = int(sums[0][0]), int(sums[0][1])
    if failures != 0:
        say(f"failed: {failures} of {checks} checks")
        return 1
    if checks != CHECKS:
        say(f"failed: {checks} checks were made, {CHECKS} were expected")
        return 1
    say(f"passed: {checks} checks, as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
