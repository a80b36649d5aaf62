#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sqlite3 on the pool gives the same rows and writes the same database file: 200 000 rows, joins,
blobs."""

import programs

SCRIPT = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -65536;
create table person(id integer primary key, name text, town text, born integer, note blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
  insert into person select i, 'person' || (i * 7919 % 200003), 'town' || (i % 977), 1900 + i % 120,
                            zeroblob(i % 64) || hex(i * 2654435761 % 4294967296) from n;
create index person_town on person(town, born);
create table friend(one integer, two integer, primary key(one, two)) without rowid;
insert or ignore into friend select id, id * 31 % 200000 + 1 from person;
select count(*), sum(length(note)), min(name), max(name) from person;
select a.town, count(*), avg(b.born)
  from friend join person a on a.id = one join person b on b.id = two
  group by a.town order by 2 desc, 1 limit 40;
select town, group_concat(name, ',')
  from (select town, name from person where born = 1950 order by name)
  group by town order by town limit 100;
with ranked as (select id, town, rank() over (partition by town order by name) as place from person)
  select count(*), sum(id) from ranked where place <= 5;
select count(distinct substr(hex(note), 1, 6)) from person;
update person set note = note || upper(name) where id % 3 = 0;
delete from person where id % 7 = 0;
create virtual table words using fts5(body);
insert into words select name || ' of ' || town from person where id % 10 = 0;
select count(*) from words where words match 'town5 OR town7';
vacuum;
pragma integrity_check;
select count(*), total(born), total(length(note)) from person;
"""


def main():
    sqlite = programs.need("sqlite3")
    suite = programs.Suite()
    suite.compare(
        "sqlite3 file",
        [sqlite, "people.db"],
        stdin=SCRIPT.encode(),
        files=["people.db"],
        stderr=True,
        allocations=10000,
        limit_s=90,
    )
    suite.compare(
        "sqlite3 dump of memory",
        [sqlite, ":memory:"],
        stdin=(SCRIPT + "\n.dump friend\n.sha3sum\n").encode(),
        stderr=True,
        allocations=10000,
        limit_s=90,
    )
    suite.compare(
        "sqlite3 error",
        [sqlite, ":memory:"],
        status=1,
        stderr=True,
        stdin=b"create table t(x); insert into t values(randomblob(10)); select * from nowhere;\n"
        b"with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000)"
        b" select count(*), max(printf('%0500d', i)) from n;\n",
        allocations=1000,
    )
    suite.finish()


if __name__ == "__main__":
    main()
