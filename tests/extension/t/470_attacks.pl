# A superuser changes, nulls, swaps, deletes and inserts: each column of each table of a live hospital. What notices it is compared with
# tests/extension/rows/attacks.txt, and docs/security.md must say the same. UPDATE=1 writes that page's tables.
use strict;
use warnings;
use Test::More;
use HdmsCluster;
use Attacks;
use AttackMatrix;

my $live = Attacks->live;
my $north = $live->{north};
my $expected = Attacks::Expected->read;

like($north->sql('SELECT * FROM hdms.verify_ledger()'), qr/^\|\|summary\|.* 0 checks failed[^\n]*$/, 'before anything is attacked the ledger is sound');

# Every column must have been thought of.
my @unknown = grep { my $at = $_; grep { !$expected->line({table => $at->[0], rows => $_, column => $at->[1], attack => 'change'}) } Attacks::sorts($at->[0]) } $live->columns;
is(join(', ', map { join '.', @$_ } @unknown), '', 'attacks.txt has each column of each table');
my %there = map { ("$_->[0] $_->[1]" => 1, "$_->[0] row" => 1) } $live->columns;
my @gone = grep { !$there{$_} } map { my $line = $_; map { "$line->{table} $_" } keys %{$line->{columns}} } @{$expected->{lines}};
is(join(', ', sort @gone), '', 'and no other');

my @attacks = grep { $expected->line($_) } $live->run_all;
cmp_ok(scalar @attacks, '>', 800, 'many attacks were tried');
my %by_table;
push @{$by_table{$_->{table}}}, $_ for @attacks;
for my $table (sort keys %by_table)
{
	my @bad = grep { $expected->verdict($_) =~ /missed|broken/ } @{$by_table{$table}};
	is(scalar @bad, 0, "no attack on $table is missed")
		or diag join "\n", map { "$_->{column} of " . ($_->{rows} || 'the first row') . ", $_->{attack}" . ($_->{do} ne $_->{attack} ? " to $_->{do}" : '') . ": $_->{outcome}" } @bad;
}
like($north->sql('SELECT * FROM hdms.verify_ledger()'), qr/ 0 checks failed[^\n]*$/, 'when all was rolled back the ledger is sound');
unlike($live->{pg}->log_text, qr/PANIC|server process .* was terminated/, 'no process died');

my $matrix = AttackMatrix->new($expected, @attacks);
$matrix->write if $ENV{UPDATE};
is_deeply([$matrix->lies], [], 'docs/security.md promises nothing that is not so');
note $matrix->text;
my %count = $matrix->count;
note "attacks: " . join ', ', map { "$count{$_} $_" } sort keys %count;
done_testing();
