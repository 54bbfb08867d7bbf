# A mailbox that loses, damages, delays, reorders, doubles and misdirects messages between real hospitals and real devices:
# each record is committed all the same, once, and what was refused is in the logs with its reason.
# HDMS_CHAOS_SEED repeats a run.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $seed = $ENV{HDMS_CHAOS_SEED} // int(rand(1 << 31));
note "HDMS_CHAOS_SEED=$seed";
my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south, $west) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my @devices = map { $net->device($_, conf => "retry_max = 2s\nresend_initial = 2s\nnotary_patience = 1h\npair_timeout = 1s\n") } qw(alice bob);

# What befalls a message when it is put the first time. Later the same bytes are left alone: a sender who does not give up wins.
$pg->sql('hdms_server', <<"SQL");
CREATE SCHEMA chaos;
CREATE TABLE chaos.seen (recipient text, id text, fate text, PRIMARY KEY (recipient, id));
CREATE TABLE chaos.delayed (LIKE hdms_server.mailbox);
CREATE TABLE chaos.kept (recipient text, id text, PRIMARY KEY (recipient, id));
CREATE TABLE chaos.settings AS SELECT true AS active;
CREATE FUNCTION chaos.put() RETURNS trigger LANGUAGE plpgsql AS \$\$
DECLARE
	dice integer := ('x' || substr(md5(new.id || '$seed'), 1, 6))::bit(24)::integer % 6;
	fates text[] := ARRAY['lost', 'altered', 'delayed', 'misdirected', 'reordered', 'unharmed'];
	other text;
BEGIN
	INSERT INTO chaos.seen VALUES (new.recipient, new.id, fates[dice + 1]) ON CONFLICT DO NOTHING;
	IF NOT FOUND OR NOT (SELECT active FROM chaos.settings) THEN
		RETURN NULL;
	END IF;
	IF dice = 2 THEN
		INSERT INTO chaos.delayed SELECT new.*;
	END IF;
	IF dice IN (0, 2) THEN
		DELETE FROM hdms_server.mailbox WHERE recipient = new.recipient AND id = new.id;
	ELSIF dice = 1 THEN
		UPDATE hdms_server.mailbox SET data = set_bit(data, (8 * (octet_length(data) - 1) * random())::integer, 1 - get_bit(data, (8 * (octet_length(data) - 1) * random())::integer))
			WHERE recipient = new.recipient AND id = new.id;
	ELSIF dice = 3 THEN
		FOR other IN SELECT n.id FROM hdms_server.nodes n WHERE n.id <> new.recipient LOOP
			INSERT INTO chaos.seen VALUES (other, new.id, 'a copy') ON CONFLICT DO NOTHING;
			INSERT INTO hdms_server.mailbox SELECT other, new.id, nextval('hdms_server.mailbox_seq'), new.expires, new.bytes, new.data ON CONFLICT DO NOTHING;
		END LOOP;
	ELSIF dice = 4 THEN
		UPDATE hdms_server.mailbox SET seq = 1000000000 - seq WHERE recipient = new.recipient AND id = new.id;
	END IF;
	RETURN NULL;
END \$\$;
CREATE TRIGGER put AFTER INSERT ON hdms_server.mailbox FOR EACH ROW EXECUTE FUNCTION chaos.put();

-- An acknowledgement is lost once for every second message: it is there again at the next fetch.
CREATE FUNCTION chaos.acknowledge() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	IF pg_trigger_depth() > 1 OR ascii(old.id) % 2 = 0 THEN
		RETURN old;
	END IF;
	INSERT INTO chaos.kept VALUES (old.recipient, old.id) ON CONFLICT DO NOTHING;
	RETURN CASE WHEN FOUND THEN NULL ELSE old END;
END \$\$;
CREATE TRIGGER acknowledge BEFORE DELETE ON hdms_server.mailbox FOR EACH ROW EXECUTE FUNCTION chaos.acknowledge();
SQL

# What was delayed comes in any order.
sub let_go { $pg->sql('hdms_server', "WITH old AS (DELETE FROM chaos.delayed RETURNING *) INSERT INTO hdms_server.mailbox SELECT recipient, id, nextval('hdms_server.mailbox_seq'), expires, bytes, data FROM old ORDER BY random() ON CONFLICT DO NOTHING"); }
sub in_the_end { my ($what, $code) = @_; return wait_until($what, sub { let_go(); $code->() }, 180); }

my @records;
for my $i (0 .. $#devices)
{
	$devices[$i]->try_cmd('pair', $north->invite("P$i"));
	$devices[$i]->start;
}
in_the_end('pairing', sub { $north->sql("SELECT count(*) FROM hdms.patients WHERE status = 'paired'") == @devices });
in_the_end('the devices to know', sub { !grep { $_->json('status')->{pairings}[0]{status} ne 'paired' } @devices });
pass('devices pair');
$_->cmd('policy', 'North Hospital', 'accept') for @devices;
my $count = 40;
for my $n (1 .. $count)
{
	push @records, $north->issue('P' . $n % @devices, "{\"n\": $n}");
	let_go() if $n % 5 == 0;
}
$north->sql("SELECT hdms.amend('$_', '{\"amended\": true}')") for @records[0 .. 4];
in_the_end('all to be committed', sub {
	$north->sql("SELECT count(*) FROM hdms.records WHERE status = 'committed'") == $count
		&& $north->sql("SELECT count(*) FROM hdms_internal.versions WHERE status NOT IN ('committed', 'superseded')") == 0 });
pass('all records are committed');
my @final;
in_the_end('all to be final', sub { @final = map { @{$_->json('records')} } @devices; @final == $count && !grep { $_->{status} ne 'final' } @final });
my %once = map { $_->{record} => 1 } @final;
is(scalar(keys %once), $count, 'and final on the devices, each once');
is($north->sql("SELECT count(*), count(DISTINCT version_id) FROM hdms_internal.events WHERE status = 'committed'"), ($count + 5) . '|' . ($count + 5), 'each version was told of once');
is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', 'and everything verifies');
is($south->sql('SELECT count(*) FROM hdms_internal.log_entries') + $west->sql('SELECT count(*) FROM hdms_internal.log_entries'), $count + 5, "nothing is in the notaries' logs twice");
in_the_end('nothing to be owed', sub { $north->sql('SELECT count(*) FROM hdms_internal.outbox WHERE awaited') == 0 });
is($_->sql("SELECT count(*) FROM hdms_internal.inbox WHERE status = 'quarantined'"), '0', "nothing took $_->{db} by surprise") for $north, $south, $west;
is($_->json('status')->{quarantined}, 0, "nor $_->{name}") for @devices;

# The chaos was real, and each refusal is told.
for my $fate (qw(lost altered delayed misdirected reordered))
{
	cmp_ok($pg->sql('hdms_server', "SELECT count(*) FROM chaos.seen WHERE fate = '$fate'"), '>', 3, "messages were $fate");
}
cmp_ok($pg->sql('hdms_server', 'SELECT count(*) FROM chaos.kept'), '>', 10, 'and messages came twice');
my $log = $pg->log_text;
my @untold;
for my $hospital ($north, $south, $west)
{
	my @refused = split /\n/, $hospital->sql('SELECT transport FROM hdms_internal.refusals');
	cmp_ok(scalar(@refused), '>', 0, "$hospital->{db} refused some");

	# After a hint that more are coming the log leaves them to the table.
	push @untold, grep { $log !~ /\Q$_\E was refused: cannot-decrypt/ } @refused;
}
ok(!@untold || $log =~ /More refusals within a minute/, 'each refusal is in the log with its reason, or a hint where the others are') or diag "@untold";
like($net->log_text, qr/stored_envelope_damaged/, 'the server told of damaged envelopes');
cmp_ok($_->json('status')->{refused_messages}, '>', 0, "$_->{name} refused some, and counts them") for @devices;
unlike($log, qr/PANIC|server process .* was terminated/, 'no process died');
done_testing;
