#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis-server on the pool serves a load, forks to save, loads again, and holds the same data.

Method: one script of commands with fixed contents is sent through redis-cli to a server without
and to one on the pool (unix sockets, no network): strings, lists, hashes, sets, sorted sets,
streams, expiry, Lua, deletions. Then both answer DEBUG DIGEST, save in the foreground and by
fork, rewrite the append-only file, are stopped, started again on what they saved, and answer
the digest once more. On the pool redis-benchmark loads the server before and while it forks.
Digest, key count, replies and exit status are compared.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import programs


def commands():
    """The script of commands, deterministic, some 60 000 of them."""
    out = []
    for i in range(12000):
        out.append(f"SET key:{i} value-{'x' * (i * 7 % 300)}-{i}")
        out.append(f"HSET hash:{i % 700} field{i} {i * i} other{i % 13} {'y' * (i % 90)}")
        out.append(f"RPUSH list:{i % 300} {i} item{i * 3}")
        out.append(f"SADD set:{i % 200} {i * 7919 % 10007} member{i % 777}")
        out.append(f"ZADD zset:{i % 100} {i * 37 % 1009} m{i % 3001}")
        if i % 4 == 0:
            out.append(f"XADD stream:{i % 50} {i + 1}-0 a {i} b {'z' * (i % 40)}")
        if i % 3 == 0:
            out.append(f"APPEND key:{i * 5 % 12000} -more{i}")
        if i % 5 == 0:
            out.append(f"DEL key:{i * 11 % 12000}")
        if i % 50 == 0:
            out.append(f"LTRIM list:{i % 300} 2 60")
    out.append(
        "EVAL \"local t = {} for i = 1, 20000 do t[i] = tostring(i) .. 'x' end redis.call('SET', "
        "'lua', table.concat(t, ',')) return #t\" 0"
    )
    # A set's own order depends on each server's random hash seed: only sorted members are compared.
    out += [
        "SORT set:7 ALPHA LIMIT 0 50",
        "SINTERCARD 2 set:1 set:101",
        "SDIFFSTORE other set:3 set:4",
        "SORT other ALPHA",
        "LRANGE list:5 0 -1",
        "ZRANGE zset:9 0 20 WITHSCORES",
        "STRLEN lua",
        "SUNIONSTORE union set:1 set:2 set:3",
        "DBSIZE",
    ]
    return "\n".join(out) + "\n"


class Server:
    """One redis-server in a folder of its own."""

    def __init__(self, folder, on_pool, suite):
        self.folder, self.on_pool, self.suite = folder, on_pool, suite
        self.socket = os.path.join(folder, "s")
        self.client = programs.need("redis-cli")
        self.load = programs.need("redis-benchmark")

    def start(self):
        argv = [
            programs.need("redis-server"),
            "--port",
            "0",
            "--unixsocket",
            "s",
            "--save",
            "",
            "--dir",
            ".",
            "--enable-debug-command",
            "local",
            "--hash-max-listpack-entries",
            "32",
        ]
        command, addition = programs.pool_command(argv) if self.on_pool else (argv, {})
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.suite.environment(addition),
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            if self.ask("PING", allow_error=True) == "PONG":
                return
            time.sleep(0.05)
        raise RuntimeError("did not start: " + self.talk())

    def talk(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-1500:]

    def ask(self, *words, stdin=None, allow_error=False):
        done = subprocess.run(
            [self.client, "-s", self.socket, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0 and not allow_error:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr or done.stdout} {self.talk()}")
        return done.stdout.strip()

    def wait_saved(self, *, append_only):
        """Until the child that saves has ended well."""
        end = time.monotonic() + 30
        running, result = (
            ("aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok")
            if append_only
            else ("rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok")
        )
        while time.monotonic() < end:
            said = self.ask("INFO", "persistence")
            if running in said and "aof_rewrite_scheduled:0" in said:
                if result not in said:
                    raise RuntimeError(f"the saving child failed: {said} {self.talk()}")
                return
            time.sleep(0.02)
        raise RuntimeError("the saving child does not end: " + self.talk())

    def run_load(self, count):
        """redis-benchmark against database 5, so that the data that is compared stays the same."""
        done = subprocess.run(
            [
                self.load,
                "-s",
                self.socket,
                "--dbnum",
                "5",
                "-q",
                "-n",
                str(count),
                "-c",
                "30",
                "-P",
                "8",
                "-r",
                "20000",
                "-d",
                "200",
                "-t",
                "set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,zpopmin,mset",
            ],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if done.returncode != 0 or "requests per second" not in done.stdout:
            raise RuntimeError(
                f"redis-benchmark: {done.stdout[-300:]} {done.stderr[-300:]} {self.talk()}"
            )

    def stop(self, *words):
        """SHUTDOWN and the server's own exit status."""
        self.ask("SHUTDOWN", *words, allow_error=True)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            return "no end after SHUTDOWN"
        finally:
            self.end()

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def serve(server, script, facts):
    """The whole life of one server; every fact that is compared goes into facts."""
    server.start()
    facts["replies"] = server.ask(stdin=script)
    facts["digest"] = server.ask("DEBUG", "DIGEST")
    if server.on_pool:
        server.run_load(15000)
    facts["save"] = server.ask("SAVE")
    server.ask("BGSAVE")
    if server.on_pool:
        server.run_load(5000)
    server.wait_saved(append_only=False)
    server.ask("CONFIG", "SET", "appendonly", "yes")
    server.wait_saved(append_only=True)
    server.ask("BGREWRITEAOF")
    server.wait_saved(append_only=True)
    if server.on_pool:
        family = programs.descendants(server.process.pid)
        facts["seen"] = max(programs.seen_on_pool(pid) for pid in family)
        server.ask("-n", "5", "FLUSHDB")
    facts["digest after saving"] = server.ask("DEBUG", "DIGEST")
    facts["reload"] = server.ask("DEBUG", "RELOAD")
    facts["digest after reload"] = server.ask("DEBUG", "DIGEST")
    server.ask("CONFIG", "SET", "appendonly", "no")
    facts["first status"] = server.stop("SAVE")
    server.start()
    facts["digest after restart"] = server.ask("DEBUG", "DIGEST")
    facts["keys after restart"] = server.ask("DBSIZE")
    facts["flush"] = server.ask("FLUSHALL")
    facts["second status"] = server.stop("NOSAVE")


def main():
    for name in ("redis-server", "redis-cli", "redis-benchmark"):
        programs.need(name)
    suite = programs.Suite()
    suite.cases = 1
    script = commands()
    facts = {False: {}, True: {}}
    for on_pool in (False, True):
        folder = tempfile.mkdtemp(prefix="expool-redis-")  # short: a unix socket's path is limited
        server = Server(folder, on_pool, suite)
        begin = time.monotonic()
        try:
            serve(server, script, facts[on_pool])
        except (RuntimeError, subprocess.SubprocessError) as error:
            suite.fail("redis-server " + ("on the pool" if on_pool else "without"), str(error))
            server.end()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        where = "on the pool" if on_pool else "without"
        print(f"redis-server {where}: {time.monotonic() - begin:.1f} s", flush=True)
    seen = facts[True].pop("seen", 0)
    if seen < 100000:
        suite.fail(
            "redis-server", f"not on the pool: {seen} allocations seen there, expected 100000"
        )
    for what in facts[False]:
        if facts[False][what] != facts[True].get(what):
            suite.fail(
                "redis-server",
                f"{what}: "
                + programs.first_difference(
                    str(facts[False][what]).encode(), str(facts[True].get(what)).encode()
                ),
            )
    digests = {
        facts[False].get(f"digest{when}")
        for when in ("", " after saving", " after reload", " after restart")
    }
    if len(digests) != 1 or "0" * 40 in digests:
        suite.fail("redis-server", f"digests without the pool are not one: {digests}")
    print(
        f"{'FAILED' if suite.failures else 'ok'}: redis-server under load, "
        f"{len(facts[False])} facts compared, "
        f"{'stand-in' if programs.STAND_IN else seen} allocations seen"
    )
    suite.finish()


if __name__ == "__main__":
    main()
