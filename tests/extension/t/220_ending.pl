# Versions that end without evidence, and evidence that comes after the end; notaries that are silent.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../../flow";
use HdmsCluster;
use Puppet;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.expiry_grace = 0\nhdms.probe_patience = 2\n");
my $net = $pg->network;
my ($north, $south, $west) = $net->hospitals(['north'], ['south', notary => 1], ['west', notary => 1]);
my %notary = ($south->{node} => $south, $west->{node} => $west);
my $patient = Puppet->new;
$patient->pair($north->invite('P'));
my $to = $patient->{institution};

# Issues, waits for the record message and answers that it has come.
sub receive
{
	my ($content, %options) = @_;
	my $record = $north->issue('P', $content, %options);
	return ($record, take());
}

sub take
{
	my $message = $patient->wait_message('record');
	$patient->send($to, 'ack', {acks => [$message->{jti}]});
	return $message->{body};
}

sub statuses { my ($record) = @_; return $north->sql("SELECT string_agg(status || coalesce(version::text, ''), ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$record'"); }
sub wait_statuses { my ($record, $expected) = @_; return $north->wait_for("SELECT string_agg(status || coalesce(version::text, ''), ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$record'", $expected); }
sub verifies { my ($record, $what) = @_; is($north->sql("SELECT count(*) FROM hdms.verify('$record') WHERE NOT ok"), '0', $what); }

subtest 'expiry' => sub {
	my ($record, $body) = receive('{"n": 1}', accept_within => '3 seconds');
	my $accepted = $patient->do('accept', %$body);
	$patient->notarise($accepted);
	wait_statuses($record, 'expired1');
	is($patient->wait_message('withdrawn')->{body}{code}, 'expired', 'the device is told');
	is($north->sql("SELECT string_agg(status, ',' ORDER BY id) FROM hdms.events WHERE record = '$record'"), 'issued,delivered,expired', 'it is an event');
	my $sent = $patient->send($to, 'accepted', Puppet::evidence($accepted));
	ok($patient->wait_message('committed', re => $sent->{jti}), 'evidence that was made in time and comes later still commits');
	is(statuses($record), 'committed1', 'the version');
	verifies($record, 'and verifies');
};

subtest 'a rejection is provisional' => sub {
	my ($record, $body) = receive('{"n": 2}');
	my $accepted = $patient->do('accept', %$body);
	my $rejection = $patient->do('reject', vk => $accepted->{vk}, aud => $to, reason => 'no');
	my $sent = $patient->send($to, 'rejected', {vk => $accepted->{vk}, rejection => $rejection->{rejection}});
	is($patient->wait_message('withdrawn', re => $sent->{jti})->{body}{code}, 'rejected', 'it is confirmed');
	is(statuses($record), 'rejected1', 'and ends the version');
	$patient->notarise($accepted);
	$sent = $patient->send($to, 'accepted', Puppet::evidence($accepted));
	ok($patient->wait_message('committed', re => $sent->{jti}), 'evidence decides');
	is(statuses($record), 'committed1', 'the version is committed after all');
	$sent = $patient->send($to, 'rejected', {vk => $accepted->{vk}, rejection => $rejection->{rejection}});
	ok($patient->wait_message('committed', re => $sent->{jti}), 'a rejection after that changes nothing');
	is(statuses($record), 'committed1', 'whatever it says');
};

subtest 'evidence of a first version after its successor was signed' => sub {
	my ($record, $body) = receive('{"n": 3}', accept_within => '3 seconds');
	my $late = $patient->notarise($patient->do('accept', %$body));
	wait_statuses($record, 'expired1');
	$north->sql("SELECT hdms.amend('$record', '{\"n\": 33}')");
	my $second = take();
	is(statuses($record), 'expired1,delivered1', 'the successor is signed as a first version too');
	my $sent = $patient->send($to, 'accepted', Puppet::evidence($late));
	ok($patient->wait_message('committed', re => $sent->{jti}), 'the late evidence commits');
	is($patient->wait_message('withdrawn', vk => $patient->do('accept', %$second)->{vk})->{body}{code}, 'outdated', 'the successor is withdrawn');
	my $anew = take();
	is(statuses($record), 'committed1,delivered2', 'and signed anew as version 2');
	my $next = $patient->do('accept', %$anew, prev_request => $late->{request});
	$patient->notarise($next, request => $late->{request}, receipt => $late->{receipt});
	$sent = $patient->send($to, 'accepted', Puppet::evidence($next));
	$patient->wait_message('committed', re => $sent->{jti});
	is(statuses($record), 'superseded1,committed2', 'and commits as such');
	verifies($record, 'the chain verifies');
};

subtest 'evidence of a first version after its successor was committed' => sub {
	my ($record, $body) = receive('{"n": 4}', accept_within => '3 seconds');
	my $late = $patient->notarise($patient->do('accept', %$body));
	wait_statuses($record, 'expired1');
	$north->sql("SELECT hdms.amend('$record', '{\"n\": 44}')");
	my $second = $patient->notarise($patient->do('accept', %{take()}));
	my $sent = $patient->send($to, 'accepted', Puppet::evidence($second));
	$patient->wait_message('committed', re => $sent->{jti});
	is(statuses($record), 'expired1,committed1', 'the successor is committed');
	$sent = $patient->send($to, 'accepted', Puppet::evidence($late));
	ok($patient->wait_message('committed', re => $sent->{jti}), 'the late evidence is confirmed');
	is(statuses($record), 'superseded1,committed1', 'and superseded at once');
	is($north->sql("SELECT hdms.read('$record', 'test')::text"), '{"n": 44}', 'the record says what the EMR said last');
	verifies($record, 'and verifies');
};

subtest 'a notary that lives' => sub {
	my ($record, $body) = receive('{"n": 5}');
	my $accepted = $patient->do('accept', %$body);
	my $sent = $patient->send($to, 'silent', {vk => $accepted->{vk}, notary => $accepted->{notary}});
	is($patient->wait_message('alive', re => $sent->{jti})->{body}{notary}, $accepted->{notary}, 'is not skipped');
	is($north->sql('SELECT count(*) FROM hdms_internal.probes'), '0', 'no question is left open');
	$patient->notarise($accepted);
	$sent = $patient->send($to, 'accepted', Puppet::evidence($accepted));
	$patient->wait_message('committed', re => $sent->{jti});
	$sent = $patient->send($to, 'silent', {vk => $accepted->{vk}, notary => $accepted->{notary}});
	is($patient->wait_message('withdrawn', re => $sent->{jti})->{body}{code}, 'committed', 'about a committed version nobody is asked');
};

subtest 'nobody but a notary of the list is asked' => sub {
	my ($record, $body) = receive('{"n": 6}');
	my $vk = $patient->do('accept', %$body)->{vk};
	for my $node ($to, $patient->{node})
	{
		my $sent = $patient->send($to, 'silent', {vk => $vk, notary => $node});
		is($patient->wait_message('refused', re => $sent->{jti})->{body}{code}, 'not-a-notary', 'not the institution itself nor a person');
	}
};

subtest 'a notary that is gone' => sub {
	my ($v2_record, $body) = receive('{"n": 7}');
	my $first = $patient->notarise($patient->do('accept', %$body));
	my $sent = $patient->send($to, 'accepted', Puppet::evidence($first));
	$patient->wait_message('committed', re => $sent->{jti});
	my $gone = $notary{$first->{notary}};

	# Records until the one that goes is drawn.
	my ($record, $accepted);
	for (1 .. 40)
	{
		($record, $body) = receive("{\"try\": $_}");
		$accepted = $patient->do('accept', %$body);
		last if $accepted->{notary} eq $gone->{node};
	}
	is($accepted->{notary}, $gone->{node}, 'is drawn for a first version');
	$pg->configure("hdms.databases = 'north, " . ($gone == $south ? 'west' : 'south') . "'\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = '$gone->{db}' AND backend_type LIKE 'hdms%'", '0');
	$sent = $patient->send($to, 'silent', {vk => $accepted->{vk}, notary => $accepted->{notary}});
	my $skip = $patient->wait_message('skip', re => $sent->{jti})->{body}{skip};
	my $again = $patient->do('accept', %$body, skips => [$skip]);
	isnt($again->{notary}, $accepted->{notary}, 'another is drawn past it');
	$patient->notarise($again);
	$sent = $patient->send($to, 'accepted', Puppet::evidence($again));
	$patient->wait_message('committed', re => $sent->{jti});
	verifies($record, 'and the evidence with the skip verifies');

	$north->sql("SELECT hdms.amend('$v2_record', '{\"n\": 77}')");
	my $next = $patient->do('accept', %{take()}, prev_request => $first->{request});
	is($next->{notary}, $gone->{node}, 'a later version is bound to it');
	$sent = $patient->send($to, 'silent', {vk => $next->{vk}, notary => $next->{notary}});
	ok($patient->wait_message('alive', re => $sent->{jti}), 'and has to wait');
	$pg->configure("hdms.databases = 'north, south, west'\n");
	$pg->reload;
	$patient->notarise($next, request => $first->{request}, receipt => $first->{receipt});
	$sent = $patient->send($to, 'accepted', Puppet::evidence($next));
	$patient->wait_message('committed', re => $sent->{jti});
	is(statuses($v2_record), 'superseded1,committed2', 'until it is back');
};

subtest 'a device that cannot use a record' => sub {
	my $record = $north->issue('P', '{"n": 8}');
	my $message = $patient->wait_message('record');
	$patient->send($to, 'refused', {code => 'bad-chain', detail => 'It does not fit.'}, re => $message->{jti});
	wait_statuses($record, 'rejected1');
	is($north->sql("SELECT reason FROM hdms.events WHERE record = '$record' AND status = 'rejected'"), 'refused: bad-chain', 'says why');
};
subtest 'a version that cannot be issued' => sub {
	my $unlucky = Puppet->new;
	$unlucky->pair($north->invite('U'));
	$pg->configure("hdms.databases = 'south, west'\n");
	$pg->reload;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'north' AND application_name = 'hdms worker'", '0');
	$north->sql("UPDATE hdms_internal.peers SET history = '[]' WHERE node_id = '$unlucky->{node}'");
	my @bad = map { $north->issue('U', "{\"bad\": $_}") } 1 .. 2;
	my $empty = $north->issue('P', '{"n": 9}');
	my $good = $north->issue('P', '{"n": 10}');
	$north->sql("UPDATE hdms_internal.payloads SET content = '[]' WHERE id = (SELECT id FROM hdms_internal.versions WHERE record = '$empty')");
	$pg->configure("hdms.databases = 'north, south, west'\n");
	$pg->reload;
	$north->wait_for("SELECT status FROM hdms.records WHERE record = '$good'", 'issued');
	pass('does not hold up the others');
	is($north->sql("SELECT string_agg(status || ' ' || reason, ',') FROM hdms_internal.versions WHERE record IN ('$bad[0]', '$bad[1]')"),
		'rejected cannot-issue,rejected cannot-issue', 'and ends with a reason');
	is($north->sql("SELECT status || ' ' || reason FROM hdms_internal.versions WHERE record = '$empty'"), 'rejected bad-format', 'which says what is wrong, where that is known');

	$north->sql("CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
			IF NEW.status = 'issued' AND EXISTS (SELECT FROM hdms_internal.records r WHERE r.record = NEW.record AND r.source_id = 'unwritable') THEN
				RAISE EXCEPTION SQLSTATE '22000' USING MESSAGE = 'it cannot be written'; END IF;
			RETURN NEW; END \$\$;
		CREATE TRIGGER refuse BEFORE UPDATE ON hdms_internal.versions FOR EACH ROW EXECUTE FUNCTION public.refuse()");
	my $unwritable = $north->issue('P', '{"n": 11}', source_id => 'unwritable');
	my $after = $north->issue('P', '{"n": 12}');
	$north->wait_for("SELECT status || ' ' || reason FROM hdms_internal.versions WHERE record = '$unwritable'", 'rejected cannot-issue', 30);
	$north->wait_status($after, 'issued', 30);
	pass('also where it is the writing of a whole batch that fails');
	$north->sql('DROP TRIGGER refuse ON hdms_internal.versions; DROP FUNCTION public.refuse()');
	is($north->sql('SELECT count(*) FROM hdms_internal.issue_queue'), '0', 'the queue is empty');
};
is($north->sql("SELECT max(id) = count(*) FROM hdms.events"), 't', 'events have no gaps');
done_testing;
