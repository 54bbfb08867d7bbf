# The directory is a log that hospitals follow: a key that its operator hides, shows to one only, or adds for somebody else is found, and by whom.
# A log that was put back from a backup is begun anew, and nobody is locked out.
use strict;
use warnings;
use Test::More;
use IPC::Run qw(start finish);
use HdmsCluster;

HdmsCluster::command('making the client', 'make', '-s', '-C', "$top/tests/server", 'all');
my $client = "$build/tests/server/hdms-test-client";
my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.directory_interval = 1\n");
my $net = $pg->network;
my ($north, $south) = $net->hospitals(['north', notary => 1], ['south', notary => 1]);
my $operator = sub { $pg->sql('hdms_server', $_[0]) };
my $number = 0;

# Strangers are institutions whose keys this test has.
sub stranger
{
	my $dir = "$pg->{base}/stranger" . ++$number;
	HdmsCluster::command('new', $client, 'new', $dir, 'institution', "Stranger $number");
	my $stranger = {dir => $dir};
	(undef, $stranger->{id}) = register($stranger);
	$net->admit($stranger->{id});
	return $stranger;
}
sub register
{
	my ($who, @more) = @_;
	my $body = HdmsCluster::command('registration', $client, 'registration', $who->{dir}, @more);
	my $answer = HdmsCluster::command('register', $client, 'request', $who->{dir}, $net->{url}, 'POST', '/v1/nodes', "text=$body");
	my $history = HdmsCluster::slurp("$who->{dir}/history.json");
	my $id = $operator->("SELECT id FROM hdms_server.nodes WHERE history = '$history'");
	return ($answer =~ /^(\d+)/, $id);
}
sub rotate { HdmsCluster::command('rotate', $client, 'rotate', $_[0]{dir}); }
sub logged { my ($id, $count) = @_; $pg->wait_sql('hdms_server', "SELECT logged_entries FROM hdms_server.nodes WHERE id = '$id'", $count); }
sub ask { my ($who, $id) = @_; $who->sql("INSERT INTO hdms_internal.lookups (subject) VALUES ('node:$id') ON CONFLICT (subject) DO UPDATE SET next_try = now()"); }
sub length_of { my ($who, $id) = @_; return $who->sql("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$id'"); }
sub knows { my ($who, $id, $length, $name) = @_; ok(eval { $who->wait_for("SELECT json_array_length(history::json) FROM hdms_internal.peers WHERE node_id = '$id'", $length) }, $name) or diag $@; }
sub evidence { my ($who, $kind, $id, $name) = @_; ok(eval { $who->wait_for("SELECT count(*) FROM hdms.directory_evidence WHERE kind = '$kind' AND node_id = '$id' AND kept LIKE 'hdms.v1/directory/%' AND offered LIKE '[%'", '1', 120) }, $name) or diag $@; }
sub doctor { my ($who) = @_; return $who->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'directory log'"); }
sub events { my ($who, $kind) = @_; return $who->sql("SELECT count(*) FROM hdms.events WHERE kind = '$kind'"); }

# Who is honest is followed.
my $hidden = stranger();
ask($north, $hidden->{id});
knows($north, $hidden->{id}, 1, 'a node that the directory shows and has logged is believed');
$operator->("CREATE TABLE before AS SELECT * FROM hdms_server.nodes WHERE id = '$hidden->{id}'");
rotate($hidden);
register($hidden);
knows($north, $hidden->{id}, 2, 'a new key of a pinned node is seen in the log and fetched, without anybody having asked');
is(doctor($north), 'ok', 'the doctor is content');
is(doctor($south), 'ok', 'everywhere');
is($north->sql("SELECT count(*) FROM hdms_internal.directory_leaves WHERE subject = sha256('$north->{node}'::bytea)"), '1', 'the hospital sees its own key there');

# A rotation that is hidden, so that the stolen old key goes on being believed.
$operator->("UPDATE hdms_server.nodes n SET history = b.history, entries = b.entries, logged_entries = b.logged_entries, log_index = b.log_index FROM before b WHERE b.id = n.id");
ask($south, $hidden->{id});
evidence($south, 'hidden_key', $hidden->{id}, 'a hidden rotation is found by a hospital that hears of the node for the first time');
is(length_of($south, $hidden->{id}), '', 'which does not believe the old key');
is(length_of($north, $hidden->{id}), '2', 'and the one that has seen the new key keeps it');
is(doctor($south), 'fail', 'the doctor is red');
is(events($south, 'hidden_key'), '1', 'people are told once');
like($pg->log_text, qr/contradict each other about node \Q$hidden->{id}\E/, 'and the log names the node');

# One key for one hospital, another one for the other: a stolen key signs a second rotation.
my $split = stranger();
system('cp', '-r', $split->{dir}, "$pg->{base}/thief");
rotate($split);
register($split);
logged($split->{id}, 2);
ask($north, $split->{id});
knows($north, $split->{id}, 2, 'one hospital is shown the right key');
rotate({dir => "$pg->{base}/thief"});
my $forged = HdmsCluster::slurp("$pg->{base}/thief/history.json");
$operator->("UPDATE hdms_server.nodes SET history = '$forged' WHERE id = '$split->{id}'");
ask($south, $split->{id});
evidence($south, 'false_key', $split->{id}, 'a key that is shown to another hospital only is found by that one') ;
is(length_of($south, $split->{id}), '', 'and not believed');
$operator->("UPDATE hdms_server.nodes SET history = '" . HdmsCluster::slurp("$split->{dir}/history.json") . "' WHERE id = '$split->{id}'");

# A key that is shown and not logged.
my $unlogged = stranger();
rotate($unlogged);
my $longer = HdmsCluster::slurp("$unlogged->{dir}/history.json");
$operator->("UPDATE hdms_server.nodes SET history = '$longer', entries = 2 WHERE id = '$unlogged->{id}'");
ask($south, $unlogged->{id});
$south->wait_for("SELECT last_error FROM hdms_internal.lookups WHERE subject = 'node:$unlogged->{id}'", 'not-in-log');
is(length_of($south, $unlogged->{id}), '', 'a key that is not in the log is not believed');
evidence($south, 'unlogged_key', $unlogged->{id}, 'and reported when that does not change');

# A thief of a hospital's keys adds one.
my $thief = {dir => "$pg->{base}/north-thief"};
mkdir $thief->{dir} or die;
my %label = (sign => 'signing', encrypt => 'encryption', log => 'log', cosigner => 'cosigner', recovery => 'recovery');
my $folder = "$pg->{base}/keys/$north->{node}";
HdmsCluster::spew("$thief->{dir}/$_", HdmsCluster::slurp("$folder/$label{$_}.jwk")) for keys %label;
HdmsCluster::spew("$thief->{dir}/history.json", $north->sql('SELECT history FROM hdms_internal.node'));
rotate($thief);
is((register($thief))[0], '200', 'a thief of a hospital\'s keys registers another one');
evidence($north, 'own_key_added', $north->{node}, 'its owner finds it in the log');
is(events($north, 'own_key_added'), '1', 'and is told');

# The database is put back from a backup; the log goes on from there.
$operator->("CREATE TABLE old_$_ AS SELECT * FROM hdms_server.$_") for qw(log_checkpoints log_tiles nodes);
my $late = stranger();
ask($south, $late->{id});
knows($south, $late->{id}, 1, 'a node comes after a backup was made');
my $restore = 'TRUNCATE hdms_server.log_checkpoints, hdms_server.log_tiles, hdms_server.nodes;'
	. join '', map { "INSERT INTO hdms_server.$_ SELECT * FROM old_$_;" } qw(log_checkpoints log_tiles nodes);
my $generation = $south->sql('SELECT generation FROM hdms_internal.directory_log');
my $leaves = $south->sql('SELECT size FROM hdms_internal.directory_log');
$net->stop;
$operator->("BEGIN; $restore COMMIT");
$net->start;
ok(eval { $south->wait_for("SELECT count(*) FROM hdms.directory_evidence WHERE kind = 'restarted' AND kept ~ '/$generation\\n$leaves\\n'", '1') }, 'the backup is put back: a new log is begun, and a hospital keeps what the old one promised') or diag $@;
my $after = stranger();
ask($south, $after->{id});
knows($south, $after->{id}, 1, 'nobody is locked out: nodes that come now are believed');
register($late);
$net->admit($late->{id});
logged($late->{id}, 1);
is(events($south, 'directory_restarted'), '1', 'people are told once');
is(events($south, 'directory_fork'), '0', 'of no fork');
is($south->sql('SELECT problem IS NULL FROM hdms_internal.directory_log'), 't', 'and nothing is left of it');

# A log that goes back and stays there.
$operator->("DROP TABLE old_$_; CREATE TABLE old_$_ AS SELECT * FROM hdms_server.$_") for qw(log_checkpoints log_tiles nodes);
my $gone = stranger();
ask($south, $gone->{id});
knows($south, $gone->{id}, 1, 'a node is known');
my ($in, $out) = ('SELECT pg_advisory_lock(1750363507, 4); SELECT \'locked\';' . "\n", '');
my $hold = start([$pg->psql_command('hdms_server')], '<', \$in, '>', \$out);
wait_until('the lock', sub { $hold->pump_nb; $out =~ /locked/ });
$operator->("BEGIN; $restore COMMIT");
ok(eval { $south->wait_for("SELECT count(*) FROM hdms.events WHERE kind = 'directory_fork'", '1', 120) }, 'a directory that rewrites its log is reported') or diag $@;
is($south->sql("SELECT count(*) FROM hdms.directory_evidence WHERE kind = 'fork' AND kept LIKE 'hdms.v1/directory/%' AND offered LIKE 'hdms.v1/directory/%' AND kept <> offered"), '1', 'with both checkpoints, for anybody to see');
is(doctor($south), 'fail', 'the doctor is red');
like($south->sql("SELECT detail FROM hdms.doctor() WHERE check_name = 'directory log'"), qr/fewer leaves/, 'and says why');
$hold->kill_kill;
ok(eval { $south->wait_for('SELECT problem IS NULL AND generation > (SELECT max(substring(kept FROM \'/(\d+)\n\')::bigint) FROM hdms_internal.directory_evidence WHERE kind = \'fork\') FROM hdms_internal.directory_log', 't', 120) }, 'a new log ends it') or diag $@;
ask($south, $after->{id});
$south->wait_for('SELECT count(*) FROM hdms_internal.lookups WHERE subject = \'node:' . $after->{id} . "'", '0');
is($south->sql('SELECT max(id) = count(*) FROM hdms.events'), 't', 'events have no gaps');
done_testing;
