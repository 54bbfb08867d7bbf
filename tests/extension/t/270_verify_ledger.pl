# hdms.verify_ledger(): finds what was changed behind its back, and only that; in parallel; goes on after an interruption.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\nmax_parallel_workers_per_gather = 2\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my @records;
for my $name (qw(A B))
{
	my $device = $net->device(lc $name);
	$device->pair($north->invite($name));
	$device->start;
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
	$device->cmd('policy', 'North Hospital', 'accept');
	push @records, $north->issue($name, "{\"patient\": \"$name\", \"n\": $_}") for 1 .. 10;
}
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 20);
$north->sql("SELECT hdms.amend('$records[0]', '{\"n\": \"second\"}')");
$north->wait_for("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$records[0]'", 'superseded,committed');

sub verify { my ($arguments) = @_; return $north->sql("SELECT coalesce(record::text, '-'), coalesce(version::text, '-'), check_name, detail FROM hdms.verify_ledger($arguments)"); }

like(verify(''), qr/^-\|-\|summary\|20 records with 21 signed versions verified, 0 checks failed; the newest checkpoint/, 'a sound ledger has a summary and no failure');
like(verify("'A'"), qr/^-\|-\|summary\|10 records with 11 signed versions verified, 0 checks failed; /, 'one patient');
like(verify("NULL, now()"), qr/^-\|-\|summary\|0 records with 0 signed versions verified, 0 checks failed/, 'a span of time');
my ($few) = verify('NULL, NULL, NULL, 50') =~ /(\d+) records/;
cmp_ok($few, '<', 20, 'a sample');
like($north->sql_error('SELECT hdms.verify_ledger(sample => 0)'), qr/"sample" must be more than 0/, 'of nothing is an error');
like($north->sql_error('SELECT hdms.verify_ledger(resume => true)'), qr/no verification of this database was interrupted/, 'nothing to resume is an error');
is($north->sql('SELECT state, records, failures FROM hdms.verification'), "complete|$few|0", 'the view shows the last one');
is($north->sql("SET ROLE hdms_admin; SELECT count(*) FROM hdms.verify_ledger()"), '1', 'an administrator may');
like($north->sql_error("SET ROLE hdms_analyst; SELECT hdms.verify_ledger()"), qr/permission denied/, 'an analyst may not');

subtest 'what was changed is found' => sub {
	my %attacks = (
		"UPDATE hdms_internal.payloads SET content = '{\"n\": 999}' WHERE id = %d" => [qw(digest projection)],
		"UPDATE hdms_internal.payloads SET state = replace(state, '~', '~~') WHERE id = %d" => [qw(columns projection keys)],
		"UPDATE hdms_internal.payloads SET acceptance = NULL WHERE id = %d" => [qw(state)],
		"UPDATE hdms_internal.payloads SET receipt = left(receipt, -9) WHERE id = %d" => [qw(receipt)],
		"UPDATE hdms_internal.versions SET leaf_at = leaf_at - interval '1 day' WHERE id = %d" => [qw(columns)],
		"UPDATE hdms_internal.versions SET status = 'rejected' WHERE id = %d" => [qw(versions)],
		"DELETE FROM hdms_internal.payloads WHERE id = %d" => undef,
		"UPDATE hdms_internal.versions SET record = gen_random_uuid() WHERE id = %d" => undef,
	);
	for my $attack (sort keys %attacks)
	{
		my $record = $records[5];
		my $id = $north->sql("SELECT id FROM hdms_internal.versions WHERE record = '$record'");
		$north->sql('CREATE TABLE saved_v AS SELECT * FROM hdms_internal.versions; CREATE TABLE saved_p AS SELECT * FROM hdms_internal.payloads');
		$north->sql(sprintf $attack, $id);
		my @found = grep { !/summary/ } split /\n/, verify('');
		ok(scalar(@found), "found: $attack") or diag verify('');
		if (my $checks = $attacks{$attack})
		{
			my %names = map { (split /\|/)[2] => 1 } @found;
			ok($names{$_}, "by the check \"$_\"") or diag join "\n", @found for @$checks;
			is(scalar(grep { !/^\Q$record\E/ } @found), 0, 'and of no other record') or diag join "\n", @found;
		}
		$north->sql("BEGIN; DELETE FROM hdms_internal.versions; DELETE FROM hdms_internal.payloads;
			INSERT INTO hdms_internal.versions OVERRIDING SYSTEM VALUE SELECT * FROM saved_v; INSERT INTO hdms_internal.payloads SELECT * FROM saved_p;
			DROP TABLE saved_v, saved_p; COMMIT");
	}
	like(verify(''), qr/^-\|-\|summary.* 0 checks failed; [^\n]*$/, 'put back, all is well');
};

subtest 'parallel workers take part' => sub {
	my $plan = $north->sql("SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;
		EXPLAIN SELECT f.* FROM hdms_internal.records r, LATERAL hdms_internal.record_failures(r.record) f WHERE r.record > '00000000-0000-0000-0000-000000000000'");
	like($plan, qr/Gather.*Parallel/s, 'in the plan of a lot') or diag $plan;
};

done_testing();
