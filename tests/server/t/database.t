# What happens to the database: restarts, lost connections, wipes, restores, migrations.
use strict;
use warnings;
use Test::More;
use HdmsTest;

my $t = HdmsTest->new;
my $h = $t->institution('Hospital', notary => 1);
my $p = $t->person($h);
my $second = $t->start_server;
my ($r, $epoch, $out, $status);

sub epoch_of { my ($url) = @_; return HdmsTest::epoch($t->mailbox($p, $url ? (url => $url) : ())); }
sub new_epoch
{
	my ($old, $url) = @_;
	my $new;
	my $came = HdmsTest::wait_until(sub {
		my $answer = $t->mailbox($p, $url ? (url => $url) : ());
		$new = HdmsTest::epoch($answer);
		return $answer->{status} == 200 && $new ne $old;
	});
	return $came ? $new : undef;
}
sub pg_ctl { my (@a) = @_; return system("cd '$t->{dir}/postgres' && " . ($> == 0 ? 'runuser -u postgres -- ' : '') . HdmsTest::run('pg_config', '--bindir') =~ s/\n//r . "/pg_ctl -D '$t->{dir}/postgres/data' -l '$t->{dir}/postgres/log' -w @a >/dev/null 2>&1"); }

# the epoch
$epoch = epoch_of();
is(epoch_of($second->{url}), $epoch, 'all processes tell one epoch');
is($t->stop_server($second), 0, 'a process stops');
is(epoch_of(), $epoch, 'which does not change the epoch');
$second = $t->start_server;
isnt(epoch_of($second->{url}), $epoch, 'a process that starts changes it');
is(epoch_of(), epoch_of($second->{url}), 'and the others learn of it with their next request');

# one connection killed
my $e = $t->envelope;
is($t->put($h, $p, $e)->{status}, 201, 'an envelope');
$epoch = epoch_of();
$t->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hdms-server'");
isnt(new_epoch($epoch), undef, 'connections that were cut are made again, with a new epoch');
is_deeply(HdmsTest::ids($t->mailbox($p)), [$e->{id}], 'and the mailbox is there');

# a long poll survives that
my $later = $t->request_later($h, GET => '/v1/mailbox?wait=50');
ok(HdmsTest::wait_until(sub { $t->metric('hdms_waiters') == 1 }), 'a long poll waits');
$epoch = epoch_of();
$t->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hdms-server'");
isnt(new_epoch($epoch), undef, 'the connections are cut again');
my $f = $t->envelope;
ok(HdmsTest::wait_until(sub { $t->put($p, $h, $f, url => $second->{url})->{status} =~ /20[01]/ }), 'a put through the other process');
$r = $later->();
is("$r->{status} @{HdmsTest::ids($r)}", "200 $f->{id}", 'wakes it nevertheless');

# a backend killed by a signal: PostgreSQL restarts itself
$epoch = epoch_of();
my $backend = $t->psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'hdms-server' LIMIT 1");
kill 'KILL', $backend;
isnt(new_epoch($epoch), undef, 'a killed backend is a crash of the database: new epoch');
my $crash_epoch = epoch_of();
is($t->put($h, $p, $t->envelope)->{status}, 201, 'and everything works again');

# the database stopped
pg_ctl('stop', '-m', 'immediate');
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz')->{status} == 503 }), 'without a database the server is not well');
$r = $t->mailbox($p);
HdmsTest::answers($r, 503, 'database-not-ready', 'requests are told');
like($r->{head}, qr/^retry-after: \d+/mi, 'and when to try again');
HdmsTest::answers($t->put($h, $p, $e), 503, 'database-not-ready', 'puts, too');
is(($t->metric('hdms_database_ready')), 0, 'the metrics say so');
pg_ctl('start');
isnt(new_epoch($crash_epoch), undef, 'when it is back the server works again, with a new epoch');
$r = $t->mailbox($p);
is("$r->{status} " . scalar(grep { $_ eq $e->{id} } @{HdmsTest::ids($r)}), '200 1', 'and has what was stored before') or diag($r->{body});

# a server that starts before its database
pg_ctl('stop', '-m', 'fast');
my $early = $t->start_server(no_wait => 1);
is($t->request('-', GET => '/healthz', url => $early->{url})->{status}, 503, 'a server may start before its database');
pg_ctl('start');
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz', url => $early->{url})->{status} == 200 }), 'and works when it comes');
is($t->stop_server($early), 0, 'it stops');

# the tables are gone while connected
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz', url => $_)->{status} == 200 }), 'the other processes came back, too') for $t->{url}, $second->{url};
my $admission = $t->request($h, GET => "/v1/nodes/$h->{id}")->{json}{admission};
my $list = $t->request('-', GET => '/v1/notaries')->{body};
HdmsTest::client('session', $p->{dir}, $t->{url});
$epoch = epoch_of();
my $dump = "$t->{base}/dump.sql";
HdmsTest::run('pg_dump', '-h', "$t->{dir}/postgres", '-U', 'postgres', '-f', $dump, 'hdms');
$t->psql('SET client_min_messages = warning; DROP SCHEMA hdms_server CASCADE');
HdmsTest::answers($t->mailbox($p), 503, 'database-not-ready', 'a wiped database is not ready');
ok(HdmsTest::wait_until(sub { $t->logs =~ /"event":"database_not_ready"[^\n]*hdms-server migrate/ }), 'the log says what to do');
($out, $status) = $t->admin('pending');
is($status, 1, 'the commands refuse a database that was not migrated');
like($out, qr/migrate/, 'and say what to do');
($out, $status) = $t->admin('init');
is($status, 0, 'init brings it up');
like($out, qr/^\Q$t->{FINGERPRINT}\E$/m, 'with the same network key');
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz')->{status} == 200 }), 'and the running server uses it');
$r = $t->mailbox($p);
HdmsTest::answers($r, 401, 'unknown-node', 'it knows nobody');
isnt(HdmsTest::epoch($r), $epoch, 'the epoch is another');
HdmsTest::answers($t->mailbox($p, session => 1), 401, 'unknown-session', 'sessions are gone');
HdmsTest::answers($t->register($p, voucher => HdmsTest::client('voucher', $h->{dir}, "sub=$p->{id}")), 403, 'not-admitted', 'a person has to wait for the institution');
is($t->register($h, admission => $admission, list => [$list])->{status}, 201, 'an institution comes back with its admission');
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/v1/notaries')->{body} ne $list && decoded($t->request('-', GET => '/v1/notaries')->{body}) =~ /$h->{id}/ }), 'it is a notary again in the new list');
my $digest = HdmsTest::client('digest', $t->write_file("$t->{base}/l", $list));
is($t->request('-', GET => "/v1/notaries/$digest")->{body}, $list, 'the list that it carried is there again');
is($t->register($p, voucher => HdmsTest::client('voucher', $h->{dir}, "sub=$p->{id}"))->{status}, 201, 'then a person comes back with its membership');
is($t->put($h, $p, $e)->{status}, 201, 'and mail is put again');
ok(HdmsTest::wait_until(sub { "@{HdmsTest::ids($t->mailbox($p, url => $second->{url}))}" eq $e->{id} }), 'the other process works, too');

# emptied and restored while connected
$epoch = epoch_of();
$t->psql('TRUNCATE hdms_server.mailbox');
isnt(new_epoch($epoch), undef, 'an emptied mailbox is noticed: new epoch');
$epoch = epoch_of();
$t->psql('SET client_min_messages = warning; DROP SCHEMA hdms_server CASCADE');
HdmsTest::run('psql', '-X', '-q', '-h', "$t->{dir}/postgres", '-U', 'postgres', '-d', 'hdms', '-f', $dump);
isnt(new_epoch($epoch), undef, 'a restored database is noticed: new epoch');
is($t->mailbox($p)->{status}, 200, 'its nodes are known');
is($t->mailbox($p, session => 1)->{status}, 200, 'its sessions, too');
is_deeply([grep { $_ eq $e->{id} } @{HdmsTest::ids($t->mailbox($p))}], [$e->{id}], 'and its mail');

# migrations
$t->psql("INSERT INTO hdms_server.migrations (number, name) VALUES (999, 'future')");
my $old = $t->start_server(no_wait => 1);
HdmsTest::answers($t->mailbox($p, url => $old->{url}), 503, 'database-not-ready', 'a database of a newer program is not used');
($out, $status) = $t->admin('migrate');
is($status, 1, 'nor migrated');
like($out, qr/newer program/, 'with the reason');
$t->psql('DELETE FROM hdms_server.migrations WHERE number = 999');
($out, $status) = $t->admin('migrate');
is($status, 0, 'migrating what is up to date does nothing');
ok(HdmsTest::wait_until(sub { $t->request('-', GET => '/healthz', url => $old->{url})->{status} == 200 }), 'the server that waited goes on');

# the log
unlike($t->logs, qr/postgresql:|password=/, 'the connection string is not in the log');
$t->healthy;
done_testing;

sub decoded
{
	my (undef, $text) = split /\./, $_[0];
	require MIME::Base64;
	$text =~ tr{-_}{+/};
	return MIME::Base64::decode_base64($text);
}
