#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perl behaves on the pool as without: data structures, regular expressions, sorting, forks."""

import programs

DATA = r"""
use strict; use warnings; use List::Util qw(shuffle sum); use Digest::SHA qw(sha256_hex);
my ($n, %table, @rows) = (120000);
for my $i (1 .. $n) {
    my $key = "key" . ($i * 7919 % 5003);
    push @{ $table{$key} }, { id => $i, text => "x" x ($i % 97), list => [1 .. $i % 5] };
    $rows[$i % 1000] .= "$key,";
}
delete $table{"key$_"} for grep { $_ % 3 == 0 } 0 .. 5002;
my $digest = "";
for my $key (sort keys %table) {
    my @items = map { "$_->{id}:$_->{text}:@{$_->{list}}" } @{ $table{$key} };
    $digest = sha256_hex($digest . join "|", @items);
}
print "$digest ", scalar(keys %table), "\n";
print sum(map { length } @rows), "\n";
"""

TEXT = r"""
use strict; use warnings; use utf8;
my $form = "%05d line=%s \x{4e2d}\x{6587} %s";
my $text = join "\n", map { sprintf $form, $_, "ab" x ($_ % 31), $_ ** 2 } 1 .. 40000;
my %count; $count{length $1}++ while $text =~ /line=((?:ab)*) /g;
print "$_ $count{$_}\n" for sort { $a <=> $b } keys %count;
(my $other = $text) =~ s/(\d+)/sprintf "%x", $1/ge;
print length($other), " ", unpack("%32C*", substr $other, 0, 1000000), "\n";
my @parts = split /\s+/, $other; my %seen; my @unique = grep { !$seen{$_}++ } @parts;
print scalar(@parts), " ", scalar(@unique), "\n";
print join(" ", (sort { $b cmp $a } @unique)[0 .. 4]), "\n" if binmode STDOUT, ":utf8";
my $deep = []; my $at = $deep; for (1 .. 50000) { my $next = [$_]; push @$at, $next; $at = $next; }
print "deep\n"; undef $deep;
eval { die { code => 7, text => "x" x 100000 } }; print $@->{code}, "\n";
"""

FORKS = r"""
use strict; use warnings; $| = 1;
my @sums;
for my $child (1 .. 200) {
    my @mine = map { "item$child-$_" } 1 .. 200;
    pipe my $in, my $out or die; my $pid = fork; die "fork" unless defined $pid;
    if (!$pid) {
        close $in; my %h = map { $_ => length } @mine;
        print $out join(",", sort keys %h); close $out; exit $child % 7;
    }
    close $out; my $got = do { local $/; <$in> }; waitpid $pid, 0;
    push @sums, length($got) . ":" . ($? >> 8);
}
print "@sums\n";
"""


def main():
    perl = programs.need("perl")
    suite = programs.Suite()
    environment = {"PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0"}
    for name, script, status in (
        ("data", DATA, 0),
        ("text", TEXT, 0),
        ("forks", FORKS, 0),
        ("exit status", "my @a = map { [$_] } 1 .. 200000; exit 42", 42),
        ("die", "my %h = map { $_ => [$_] } 1 .. 100000; die qq{over\\n}", 255),
    ):
        suite.compare(
            f"perl {name}",
            [perl, "-e", script],
            env=environment,
            stderr=True,
            status=status,
            allocations=10000,
        )
    suite.finish()


if __name__ == "__main__":
    main()
