# The server's database is put back from an older backup, and later lost altogether, with something open at each step of the flow:
# nodes and admissions that it knows nothing of register again by themselves, and everything open completes.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.resend_interval = 2\n");
my $net = $pg->network;
my ($north, $south, $quiet) = $net->hospitals(['north'], ['south', notary => 1], ['quiet']);
my $patience = "retry_max = 2s\nresend_initial = 2s\nnotary_patience = 1h\npair_timeout = 1s\n";
my %device;

sub served
{
	my (@databases) = @_;
	$pg->configure("hdms.databases = '" . join(', ', @databases) . "'\n");
	$pg->reload;
	my $names = join ', ', map { "'$_'" } @databases;
	$pg->wait_sql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hdms worker' AND datname NOT IN ($names)", '0');
	$pg->wait_sql('postgres', "SELECT count(DISTINCT datname) FROM pg_stat_activity WHERE application_name = 'hdms worker'", scalar(@databases));
}

sub person
{
	my ($name, $hospital, $policy) = @_;
	my $device = $device{$name} = $net->device($name, conf => $patience);
	$device->try_cmd('pair', $hospital->invite($name));
	$device->start;
	$hospital->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
	wait_until("$name to know that it is paired", sub { $device->json('status')->{pairings}[0]{status} eq 'paired' });
	$device->cmd('policy', ucfirst($hospital->{db}) . ' Hospital', $policy);
	return $device;
}

# A database that has joined and waits for the operator.
sub applicant
{
	my ($db) = @_;
	$pg->sql('postgres', "CREATE DATABASE $db");
	$pg->sql($db, 'CREATE EXTENSION hdms CASCADE');
	$pg->serve_database($db);
	$pg->sql($db, "SELECT hdms.join_network('$net->{url}', '$net->{fingerprint}', '" . ucfirst($db) . " Hospital', true)");
	$pg->wait_sql($db, 'SELECT status FROM hdms.node', 'pending');
	return bless {pg => $pg, network => $net, db => $db, node => $pg->sql($db, 'SELECT node_id FROM hdms.node')}, 'HdmsHospital';
}

sub has_status { my ($name, $record, $status) = @_; return grep { $_->{record} eq $record && $_->{status} eq $status } @{$device{$name}->json('records', '--all')}; }

# One record open at each step; what each is called, the hospital, and its id. Leaves the server stopped.
my $round = 0;
sub open_everything
{
	my ($late) = @_;
	my %open;
	$round++;

	# In a mailbox: the device is away.
	$device{alice}->stop;
	$open{'in the mailbox of a device'} = $north->issue('alice', "{\"round\": $round, \"in\": \"mailbox\"}");
	$north->wait_for("SELECT o.status FROM hdms_internal.outbox o JOIN hdms_internal.versions v ON v.id = o.version_id WHERE v.record = '$open{'in the mailbox of a device'}'", 'sent');

	# With a person who has not decided.
	$open{'with a person'} = $north->issue('bob', "{\"round\": $round, \"with\": \"bob\"}");
	$north->wait_status($open{'with a person'}, 'delivered');

	# In the notaries' mailboxes.
	served('north');
	$open{'with the notary'} = $north->issue('carol', "{\"round\": $round, \"with\": \"the notary\"}");
	wait_until('the request to be on its way', sub { has_status('carol', $open{'with the notary'}, 'notarising') });

	# In the hospital's mailbox: a pairing.
	served('south');
	my $name = "fred$round";
	$device{$name} = $net->device($name, conf => $patience);
	$device{$name}->try_cmd('pair', $late->{$name});
	$device{$name}->start;
	$pg->wait_sql('hdms_server', "SELECT count(*) > 0 FROM hdms_server.mailbox WHERE recipient = '$north->{node}'", 't');

	# Not sent yet.
	$net->stop('KILL');
	$open{'in the hospital\'s queue'} = $north->issue('alice', "{\"round\": $round, \"in\": \"the queue\"}");
	$open{'of a pairing that is under way'} = $north->issue($name, "{\"round\": $round}");
	return %open;
}

sub all_completes
{
	my ($what, %open) = @_;
	$device{alice}->start;
	wait_until('the person to be asked', sub { has_status('bob', $open{'with a person'}, 'asked') });
	$device{bob}->cmd('accept', $open{'with a person'});
	my $name = "fred$round";
	$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired', 90);
	wait_until('the device to know', sub { $device{$name}->json('status')->{pairings}[0]{status} eq 'paired' });
	$device{$name}->cmd('policy', 'North Hospital', 'accept');
	my ($theirs) = $open{'of a pairing that is under way'};
	wait_until('the first record of the pairing', sub { has_status($name, $theirs, 'asked') || $north->status($theirs) eq 'committed' });
	$device{$name}->try_cmd('accept', $theirs);
	for my $which (sort keys %open)
	{
		ok(eval { $north->wait_status($open{$which}, 'committed', 90) }, "$what: what was $which is committed") or diag $@;
	}
	is($north->sql("SELECT max(n) FROM (SELECT count(*) AS n FROM hdms.events WHERE status = 'committed' GROUP BY record) AS x"), '1', "$what: each once");
	is($north->sql('SELECT count(*) FROM hdms.records r, hdms.verify(r.record) v WHERE NOT v.ok'), '0', "$what: everything verifies");
	my @final;
	ok(eval { wait_until('all to be final', sub {
		@final = map { @{$_->json('records')} } @device{qw(alice bob carol), "fred$round"};
		!grep { $_->{status} ne 'final' } @final }) }, "$what: and is final on the devices") or diag explain \@final;
	$north->wait_for('SELECT count(*) FROM hdms_internal.outbox WHERE awaited', '0', 90);
}

sub commits
{
	my ($what, $hospital, $name) = @_;
	my $record = $hospital->issue($name, "{\"what\": \"$what\"}");
	ok(eval { $hospital->wait_status($record, 'committed', 90) }, $what) or diag $@;
}

# What the backup knows: two hospitals, two persons, and a hospital that has not been admitted.
person('alice', $north, 'accept');
person('bob', $north, 'ask');
commits('before the backup', $north, 'alice');
my $west = applicant('west');
my $dump = "$net->{folder}/backup.sql";
HdmsCluster::command('pg_dump', HdmsCluster::pg_bin() . '/pg_dump', '-f', $dump, '-d', $pg->conninfo('hdms_server'));

# What it does not: an admission, a hospital (a notary), one that waits, persons, and a changed list of notaries.
$net->admit($west->{node}, '--notary');
$west->wait_for('SELECT status FROM hdms.node', 'active');
my $east = $net->hospital('east', notary => 1);
$net->admit($quiet->{node}, '--notary');
served(qw(north south west east));
served(qw(north south west east quiet));
$quiet->wait_for('SELECT is_notary FROM hdms.node', 't');
my $apply = applicant('lonely');
person('carol', $north, 'accept');
person('dora', $east, 'accept');
person('wilma', $west, 'accept');
commits('after the backup', $_->[0], $_->[1]) for [$north, 'carol'], [$east, 'dora'], [$west, 'wilma'];
my $list = $pg->sql('hdms_server', 'SELECT count(*) FROM hdms_server.notary_lists');
my %invited = map { $_ => $north->invite($_, '1 hour') } qw(fred1 fred2);
my @everybody = qw(north south west east quiet lonely);

subtest 'put back from an older backup' => sub {
	my %open = open_everything(\%invited);
	$pg->sql('postgres', 'DROP DATABASE hdms_server');
	$pg->sql('postgres', 'CREATE DATABASE hdms_server');
	HdmsCluster::command('restore', $pg->psql_command('hdms_server', '-f', $dump, '-o', '/dev/null'));
	cmp_ok($pg->sql('hdms_server', 'SELECT count(*) FROM hdms_server.notary_lists'), '<', $list, 'lists of notaries are missing');
	is($pg->sql('hdms_server', "SELECT count(*) FROM hdms_server.nodes WHERE id IN ('$east->{node}', '$apply->{node}')"), '0', 'hospitals are, too');
	is($pg->sql('hdms_server', "SELECT status FROM hdms_server.nodes WHERE id = '$west->{node}'"), 'pending', 'and an admission');
	served(@everybody);
	$net->start;
	all_completes('backup', %open);
	commits('a hospital whose admission was forgotten goes on', $west, 'wilma');
	commits('so does one that was forgotten, with a person that was', $east, 'dora');
	$pg->wait_sql('hdms_server', "SELECT string_agg(status || notary, ' ') FROM hdms_server.nodes WHERE id IN ('$east->{node}', '$west->{node}', '$south->{node}', '$quiet->{node}')",
		'activetrue activetrue activetrue activetrue');
	is($quiet->sql('SELECT is_notary FROM hdms.node'), 't', 'the hospital that became one after the backup still knows');
	pass('all are notaries again');
	$pg->wait_sql('hdms_server', "SELECT status FROM hdms_server.nodes WHERE id = '$apply->{node}'", 'pending');
	pass('who waited for the operator waits again');
};

subtest 'lost in the middle' => sub {
	my %open = open_everything(\%invited);
	$pg->sql('postgres', 'DROP DATABASE hdms_server');
	$pg->sql('postgres', 'CREATE DATABASE hdms_server');
	$net->tool("$net->{folder}/server-0.conf", 'init');
	served(@everybody);
	$net->start;
	all_completes('loss', %open);
	commits('hospitals go on', $_->[0], $_->[1]) for [$west, 'wilma'], [$east, 'dora'];
	$pg->wait_sql('hdms_server', "SELECT status FROM hdms_server.nodes WHERE id = '$apply->{node}'", 'pending');
	$net->admit($apply->{node});
	$apply->wait_for('SELECT status FROM hdms.node', 'active');
	pass('and who waited can be admitted now');
};

# Nobody had to do anything, and nothing was lost on the way.
for my $hospital ($north, $south, $east, $west)
{
	is($hospital->sql("SELECT count(*) FROM hdms.events WHERE kind IN ('quarantined', 'undeliverable', 'false_key', 'pairing_conflict')"), '0', "nothing was given up at $hospital->{db}");
	is($hospital->sql('SELECT max(id) = count(*) FROM hdms.events'), 't', 'and its events have no gaps') if $hospital->sql('SELECT count(*) FROM hdms.events') > 0;
}
done_testing;
