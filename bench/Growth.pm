# What the size of the ledger costs: the same load on a hospital and a notary that hold 1,000 states, and that hold many.
package Growth;
use strict;
use warnings;
use Bench;
use HdmsCluster;

my %columns = (
	peers => 'node_id, kind, name, history',
	patients => 'patient_ref, node_id, status',
	records => 'record, patient_ref, source_id, type, committed',
	versions => 'id, record, ordinal, content_digest, status, accept_within, version, vk, notary, accept_until, leaf_at',
	payloads => 'id, content, state, acceptance, request, receipt',
	log_entries => 'index, leaf, tag, request_digest, request',
	log_tiles => 'level, index, hashes',
	log_checkpoints => 'size, note',
);

sub serve
{
	my ($pg, @databases) = @_;
	$pg->configure("hdms.databases = '" . join(', ', @databases) . "'\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'hdms worker%'", scalar @databases);
}

# Fills both sides with that many committed states, all of them valid, and what else their flows left behind.
sub seed
{
	my ($network, $states) = @_;
	my $pg = $network->{pg};
	my ($north, $east) = @{$network->{hospitals}};
	my $folder = "$pg->{base}/seed";
	mkdir $folder;
	spew("$folder/network", $north->sql('SELECT network_key FROM hdms_internal.node') . "\n");
	spew("$folder/list", $north->sql('SELECT jws FROM hdms_internal.notary_lists ORDER BY iat DESC LIMIT 1') . "\n");
	HdmsCluster::command('seed', "$Bench::out/seed", $states, "$pg->{base}/keys/$north->{node}/signing.jwk", "$pg->{base}/keys/$east->{node}/log.jwk",
		$east->{node}, "$folder/network", "$folder/list", $folder);
	for my $table (qw(peers patients records payloads))
	{
		$north->sql("\\copy hdms_internal.$table ($columns{$table}) FROM '$folder/$table'");
	}
	$north->sql(<<"SQL");
CREATE TEMP TABLE seeded (id bigint, record uuid, ordinal integer, content_digest bytea, status text, accept_within interval, version integer, vk text, notary text, accept_until float8, leaf_at float8);
\\copy seeded FROM '$folder/versions'
INSERT INTO hdms_internal.versions ($columns{versions}, created_at, issued_at, delivered_at, ended_at) OVERRIDING SYSTEM VALUE
	SELECT id, record, ordinal, content_digest, status, accept_within, version, vk, notary, to_timestamp(accept_until), t, t, t, t, t FROM seeded, to_timestamp(leaf_at) t ORDER BY id;
SELECT setval('hdms_internal.versions_id_seq', $states);
INSERT INTO hdms_internal.events (id, kind, record, version_id, patient_ref, source_id, status, evidence)
	SELECT (v.id - 1) * 3 + n + (SELECT coalesce(max(id), 0) FROM hdms_internal.events), 'status', v.record, v.id, r.patient_ref, r.source_id, (ARRAY['issued', 'delivered', 'committed'])[n],
		CASE n WHEN 3 THEN sha256('hdms.v1/evidence'::bytea || v.vk::bytea || sha256(p.state::bytea) || sha256(p.acceptance::bytea) || sha256(p.request::bytea) || sha256(convert_to(p.receipt, 'UTF8'))) END
	FROM hdms_internal.versions v JOIN hdms_internal.records r USING (record) JOIN hdms_internal.payloads p ON p.id = v.id, generate_series(1, 3) n ORDER BY 1;
INSERT INTO hdms_internal.processed (jti, iss, expires_at) SELECT gen_random_uuid(), p.node_id, now() + interval '30 days'
	FROM hdms_internal.records r JOIN hdms_internal.patients p USING (patient_ref), generate_series(1, 2);
VACUUM ANALYZE;
SQL
	$east->sql("\\copy hdms_internal.$_ ($columns{$_}) FROM '$folder/$_'") for qw(peers log_entries log_tiles log_checkpoints);
	$east->sql(<<"SQL");
INSERT INTO hdms_internal.processed (jti, iss, expires_at) SELECT gen_random_uuid(), p.node_id, now() + interval '30 days' FROM hdms_internal.peers p, generate_series(1, 100) WHERE p.kind = 'person';
VACUUM ANALYZE;
CHECKPOINT;
SQL
	# That what was made is what the system makes: a sample must pass the same verification. Only its events are in no log.
	my $wrong = $north->sql("SELECT count(*) FROM (SELECT record FROM hdms_internal.records WHERE source_id LIKE 'seed/%' ORDER BY record LIMIT 20) r, LATERAL hdms.verify(r.record) c WHERE NOT c.ok AND c.check_name <> 'log'");
	die "the seeded ledger is not valid\n" if $wrong != 0;
	unlink glob "$folder/*";
}

sub network_of
{
	my ($states) = @_;
	my $network = Bench::network_with_devices(devices => 100, hospitals => ['north', 'east'], issuers => 1);
	serve($network->{pg});
	seed($network, $states);
	serve($network->{pg}, 'north', 'east');
	$network->issue_everywhere(200);
	return $network;
}

sub measure
{
	my $many = $ENV{GROWTH} // 100_000;
	my $records = $ENV{GROWTH_RECORDS} // 1000;
	note("ledgers of 1,000 and of $many states");
	my $small = network_of(1000);
	my $large = network_of($many);
	my (@small, @large);
	for (1 .. 3)
	{
		push @small, {$small->issue_everywhere($records)};
		push @large, {$large->issue_everywhere($records)};
	}
	my $of = sub { my ($which, @runs) = @_; median(map { $_->{$which} } @runs) };
	figure(figure => "processor time of one record, $many states in the ledger", unit => 'ms', value => $of->('processor_ms', @large),
		yardstick => 'the same with 1,000 states', yard => $of->('processor_ms', @small), aim => 'at most 1.2', less_is_better => 1);
	figure(figure => "records committed, $many states in the ledger", unit => '1/s', value => $of->('per_second', @large),
		yardstick => 'the same with 1,000 states', yard => $of->('per_second', @small), aim => 'at least 0.83');
	$_->end for $small, $large;
}

1;
