#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""git works on a repository of several hundred files and commits as without the pool.

Method: the same repository is made in each run's folder without the pool, by one fast-import
stream of our own (fixed dates, so all object names are equal); each case is one shell script of
git commands on it. Commands that use threads (pack-objects, grep, index-pack) run with two of
them.
"""

import os
import subprocess

import programs

FILES = 400
COMMITS = 300

SCRIPTS = {
    "log and diff": """
        git log --stat --graph --format='%H %s' main side
        git log -p -M main -- dir1
        git diff main~200 main
        git shortlog -s HEAD
        git log --oneline -S wordwordword
    """,
    "blame, grep, merge-base": """
        git grep -c -E 'version (1|2)[0-9]* line 1'
        git grep -n 'line 39' main~50
        for file in dir1/sub*/file1*.txt; do git blame -s $file; done
        git merge-base main side
        git rev-list --objects --all | sort | sha256sum
    """,
    "gc, fsck, repack": """
        git gc --quiet --aggressive --prune=now
        git fsck --full --strict
        git repack -adfq --depth=50 --window=50
        git fsck --full
        git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
    """,
    "clone, bundle, archive": """
        git clone -q --no-local . ../copy
        git -C ../copy fsck
        git -C ../copy log --format=%H | sha256sum
        git archive --format=tar main~3 | sha256sum
        git bundle create -q ../all.bundle --all
        git clone -q -b main ../all.bundle ../again
        git -C ../again log --oneline | tail -n 3
    """,
    "commit, merge, rebase, stash": """
        for i in 1 2 3 4 5; do
            echo new $i >> dir1/sub1/file1.txt
            git add -A; git commit -q -m c$i
        done
        git checkout -q -b other main~7
        echo o > o.txt; git add o.txt; git commit -q -m o
        git checkout -q main; git merge -q -m m other
        git checkout -q -b topic main~20
        echo t > t.txt; git add t.txt; git commit -q -m t
        git rebase -q main
        echo dirty >> t.txt
        git stash -q; git stash list; git stash pop -q; git status --short
        git log --format='%H %T %s' -8
        git format-patch -q -o ../patches HEAD~3; cat ../patches/* | sha256sum
        git add -A; git commit -q -m last
        git bisect start HEAD HEAD~60
        git bisect run sh -c '! grep -q "new 3" dir1/sub1/file1.txt'
    """,
}


def import_stream():
    """A fast-import stream: FILES files, COMMITS commits with two branches that merge at times."""
    out = []

    def content(file, version):
        lines = [
            f"file {file} version {version if line % 17 == version % 17 else file % 5} line {line} "
            + "word" * ((file * 31 + line * 7 + (version if line % 23 == 0 else 0)) % 9)
            for line in range(40 + file % 60)
        ]
        return ("\n".join(lines) + "\n").encode()

    def data(payload):
        out.append(b"data %d\n%s\n" % (len(payload), payload))

    for number in range(1, COMMITS + 1):
        branch = b"side" if number % 10 in (3, 4, 5) and number > 10 else b"main"
        out.append(b"commit refs/heads/%s\nmark :%d\n" % (branch, number))
        out.append(
            b"committer Test Person <person@example.org> %d +0000\n" % (1600000000 + number * 3600)
        )
        data(b"change %d\n\nwhy: because of %d\n" % (number, number * 7))
        if number > 10 and number % 10 == 3:
            out.append(b"from :%d\n" % (number - 1))
        if number > 10 and number % 10 == 6:
            out.append(b"from :%d\nmerge :%d\n" % (number - 4, number - 1))
        touched = (
            range(FILES)
            if number == 1
            else [(number * 13 + step * 29) % FILES for step in range(8)]
        )
        for file in touched:
            out.append(b"M 100644 inline dir%d/sub%d/file%d.txt\n" % (file % 7, file % 3, file))
            data(content(file, number))
    out.append(b"done\n")
    return b"".join(out)


def main():
    git = programs.need("git")
    suite = programs.Suite()
    stream = import_stream()
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_DATE": "1700000000 +0000",
    }
    plain = suite.environment(environment)

    def prepare(folder):
        for command in (
            ["init", "-q", "-b", "main", "repo"],
            ["-C", "repo", "fast-import", "--quiet"],
            ["-C", "repo", "config", "pack.threads", "2"],
            ["-C", "repo", "config", "gc.auto", "0"],
            ["-C", "repo", "reset", "-q", "--hard", "main"],
        ):
            subprocess.run(
                [git, *command],
                cwd=folder,
                env=plain,
                check=True,
                input=stream if "fast-import" in command else None,
            )

    for name, script in SCRIPTS.items():
        suite.compare(
            f"git {name}",
            ["/bin/sh", "-e", "-c", f"cd repo\n{script}"],
            setup=prepare,
            stderr=True,
            env={**environment, "PATH": os.pathsep.join([os.path.dirname(git), programs.SEARCH])},
            allocations=1000,
            limit_s=60,
        )
    suite.compare(
        "git failure",
        [git, "-C", "repo", "show", "no-such-revision"],
        setup=prepare,
        stderr=True,
        status=128,
        allocations=0,
    )
    suite.finish()


if __name__ == "__main__":
    main()
