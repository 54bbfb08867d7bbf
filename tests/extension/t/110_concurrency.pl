# Who issues and amends at the same moment gets one record, one chain of versions, and no error.
use strict;
use warnings;
use Test::More;
use HdmsCluster;
use IPC::Run qw(start);

my $pg = HdmsCluster->new;
$pg->sql('postgres', 'CREATE DATABASE north');
$pg->sql('north', 'CREATE EXTENSION hdms CASCADE');
$pg->sql('north', "SELECT hdms.register_patient('p')");

# A session that stays open: say() gives it statements, heard() waits for text of its output.
sub session
{
	my $self = {in => '', out => ''};
	$self->{process} = start([$pg->psql_command('north')], '<', \$self->{in}, '>', \$self->{out}, '2>&1');
	return $self;
}
sub say_to { my ($self, $sql) = @_; $self->{in} .= "$sql\n"; $self->{process}->pump_nb; }
sub heard
{
	my ($self, $pattern) = @_;
	my $found;
	wait_until("$pattern", sub { $self->{process}->pump_nb; ($found) = $self->{out} =~ $pattern; defined $found });
	return $found;
}
sub end { my ($self) = @_; $self->{process}->finish; return $self->{out}; }
sub is_blocked { wait_until('a session that waits', sub { $pg->sql('north', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'north'") > 0 }) }

# The second waits for the first and then has the same record.
{
	my ($first, $second) = (session(), session());
	say_to($first, "BEGIN; SELECT 'first ' || hdms.issue('p', '{\"n\": 1}', 's/1');");
	my $record = heard($first, qr/first (\S+)/);
	say_to($second, "SELECT 'second ' || hdms.issue('p', '{\"n\": 1}', 's/1');");
	is_blocked();
	say_to($first, 'COMMIT;');
	is(heard($second, qr/second (\S+)/), $record, 'the same source_id and content from two sessions is one record');
	end($_) for $first, $second;
	is($pg->sql('north', "SELECT count(*) FROM hdms.states"), '1', 'with one version');
}

# The first takes its record back: then it is the second's.
{
	my ($first, $second) = (session(), session());
	say_to($first, "BEGIN; SELECT 'first ' || hdms.issue('p', '{\"n\": 1}', 's/2');");
	my $record = heard($first, qr/first (\S+)/);
	say_to($second, "SELECT 'second ' || hdms.issue('p', '{\"n\": 1}', 's/2');");
	is_blocked();
	say_to($first, 'ROLLBACK;');
	isnt(heard($second, qr/second ([0-9a-f-]{36})/), $record, 'what was rolled back leaves the source_id to the other');
	end($_) for $first, $second;
	is($pg->sql('north', "SELECT count(*) FROM hdms.records WHERE source_id = 's/2'"), '1', 'whose record is there');
}

# Two amendments of one record line up.
{
	my ($first, $second) = (session(), session());
	say_to($first, "BEGIN; SELECT 'first ' || hdms.amend(record, '{\"n\": 2}') FROM hdms.records WHERE source_id = 's/1';");
	is(heard($first, qr/first (\S+)/), '2', 'the first amendment is version 2');
	say_to($second, "SELECT 'second ' || hdms.amend(record, '{\"n\": 3}') FROM hdms.records WHERE source_id = 's/1';");
	is_blocked();
	say_to($first, 'COMMIT;');
	is(heard($second, qr/second (\S+)/), '3', 'the second is version 3, whoever was sooner');
	end($_) for $first, $second;
}

# Many at once.
{
	my @sessions = map { session() } 1 .. 8;
	my $statements = join "\n", map { "SELECT hdms.issue('p', '{\"k\": $_}', 'many/$_');" } 1 .. 25;
	for my $i (0 .. $#sessions)
	{
		say_to($sessions[$i], "$statements SELECT hdms.amend(record, '{\"from\": $i}') FROM hdms.records WHERE source_id = 's/2'; SELECT 'finished';");
	}
	heard($_, qr/(finished)/) for @sessions;
	my $errors = join '', grep { /ERROR/ } map { end($_) } @sessions;
	is($errors, '', 'eight sessions that issue the same 25 things have no error');
	is($pg->sql('north', "SELECT count(*) || ' ' || max(version) FROM hdms.records WHERE source_id LIKE 'many/%'"), '25 1', 'and make 25 records of one version');
	is($pg->sql('north', "SELECT count(*) || ' ' || max(version) || ' ' || count(DISTINCT version) FROM hdms.states s WHERE record = (SELECT record FROM hdms.records WHERE source_id = 's/2')"),
		'9 9 9', 'eight amendments of one record are versions 2 to 9');
}

# A transaction with a snapshot of its own learns that it must try again; it does not make a second record.
{
	my ($first, $second) = (session(), session());
	say_to($second, "\\set VERBOSITY verbose\nBEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'began ' || count(*) FROM hdms.records;");
	heard($second, qr/began (\d+)/);
	say_to($first, "SELECT 'first ' || hdms.issue('p', '{}', 's/3');");
	heard($first, qr/first (\S+)/);
	say_to($second, "SELECT hdms.issue('p', '{}', 's/3');");
	heard($second, qr/(40001)/);
	pass('a transaction with an old snapshot gets a serialization failure');
	$_->{process}->kill_kill for $first, $second;
}

# Content stays out of the log, when it is refused too: parameters are parameters.
{
	my $marker = 'hepatitis';
	spew("$pg->{base}/run/refused.sql", "SELECT hdms.issue(:ref, :content);\n");
	for my $content ("{\"$marker\": 1, \"$marker\": 2}", "[\"$marker\"]", "{\"$marker\": {\"_sd\": 1}}", "{\"$marker\": \"\\ud800\"}")
	{
		my $out = '';
		IPC::Run::run([@HdmsCluster::as_postgres, HdmsCluster::pg_bin() . '/pgbench', '-n', '-t', '1', '-M', 'extended', '-D', 'ref=p', '-D', "content=$content",
			'-f', "$pg->{base}/run/refused.sql", $pg->conninfo('north')], '>', \$out, '2>&1');
		like($out, qr/ERROR:  content /, 'refused content');
		unlike($out, qr/\Q$marker\E/, 'is not in the error');
	}
	$pg->sql('north', "SELECT hdms.read(record, '$marker') FROM hdms.records LIMIT 1");
	my $log = $pg->log_text;
	like($log, qr/hdms: read of record [0-9a-f-]{36} by "postgres"/, 'a reading is in the log');
	unlike($log, qr/\Q$marker\E/, 'and neither content nor purpose is');
}
done_testing();
