# Attacks: a superuser at the tables of a live hospital, one column after the other, and what notices it.
#
#	my $live = Attacks->live;				# two hospitals, each the other's notary, with records in every status
#	my @results = $live->run_all;			# {table, column, attack, rows, outcome}, one for each that could be tried
#	my $expected = Attacks::Expected->read;			# tests/extension/rows/attacks.txt
package Attacks;
use strict;
use warnings;
use HdmsCluster;
use IPC::Run qw(run);
use Time::HiRes qw(sleep);

our $folder = "$top/tests/extension/rows";

my @statuses = qw(committed superseded rejected delivered issued waiting_for_patient waiting_for_previous erased);

# Which rows of a table are attacked, by name: in different states they may be protected by different checks. Of other tables: the first row.
my %rows = (
	versions => {map { $_ => "t.status = '$_'" } @statuses},
	payloads => {map { $_ => "t.id IN (SELECT v.id FROM hdms_internal.versions v WHERE v.status = '$_')" } @statuses},
	records => {committed => 't.committed > 0', open => 't.committed = 0'},
	peers => {patient => 't.node_id IN (SELECT p.node_id FROM hdms_internal.patients p JOIN hdms_internal.records r USING (patient_ref) WHERE r.committed > 0)',
		institution => "t.kind = 'institution'"},
	patients => {paired => "t.status = 'paired'", invited => "t.status = 'invited'"},
	invitations => {used => "t.status = 'used'", open => "t.status = 'open'"},
);

# Two rows for what is empty in a hospital that has nothing to do at the moment.
my %seed = (
	audit_queue => "INSERT INTO hdms_internal.audit_queue (login, role, action) VALUES ('a', 'a', 'read'), ('b', 'b', 'read')",
	lookups => "INSERT INTO hdms_internal.lookups (subject) VALUES ('list:a'), ('list:b')",
	issue_queue => 'INSERT INTO hdms_internal.issue_queue (version_id) VALUES (1), (2)',
	inbox => "INSERT INTO hdms_internal.inbox (transport, envelope, status) VALUES ('a', 'a', 'waiting'), ('b', 'b', 'new')",
	refusals => "INSERT INTO hdms_internal.refusals (transport, sender, type, reason) VALUES ('a', 'a', 'ack', 'a'), ('b', 'b', 'ack', 'b')",
	repairs => "INSERT INTO hdms_internal.repairs (record) VALUES ('00000000-0000-7000-8000-000000000001'), ('00000000-0000-7000-8000-000000000002')",
	recoveries => "INSERT INTO hdms_internal.recoveries (node_id) VALUES ('a'), ('b')",
	incidents => "INSERT INTO hdms_internal.incidents (record, what, damaged) VALUES ('00000000-0000-7000-8000-000000000001', 'records', '{}'), ('00000000-0000-7000-8000-000000000002', 'records', '{}')",
	key_changes => "INSERT INTO hdms_internal.key_changes (kind, keys, made_at) VALUES ('rotate', '{signing}', now()), ('rotate', '{log}', now())",
	former_states => "INSERT INTO hdms_internal.former_states (vk, version_id, version, accept_until) SELECT n::text, n, 1, now() FROM generate_series(1, 2) n",
	directory_evidence => "INSERT INTO hdms_internal.directory_evidence (kind) VALUES ('a'), ('b')",
	witnessed => "INSERT INTO hdms_internal.witnessed (origin, node_id, size, root, note) VALUES ('a', 'a', 1, '\\x00', 'a'), ('b', 'b', 2, '\\x01', 'b')",
	witnesses => "INSERT INTO hdms_internal.witnesses (origin, node_id) VALUES ('a', 'a'), ('b', 'b')",
	forks => "INSERT INTO hdms_internal.forks (kind, origin, node_id, told_by, seen, shown) VALUES ('two-trees', 'a', 'a', 'a', 'a', 'a'), ('no-proof', 'b', 'b', 'b', 'b', 'b')",
	probes => 'INSERT INTO hdms_internal.probes (version_id, notary, asked_by, probe, deadline) SELECT n, n::text, gen_random_uuid(), gen_random_uuid(), now() FROM generate_series(1, 2) n',
);

# The hospitals, with all their messages delivered and their logs written.
sub live
{
	my ($class) = @_;
	my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\n");
	my $net = $pg->network;
	my ($north, $south) = $net->hospitals(['north', notary => 1], ['south', notary => 1]);
	my $self = bless {pg => $pg, net => $net, north => $north, south => $south}, $class;
	my %device;
	for my $name (qw(accepts asks sleeps))
	{
		my $device = $device{$name} = $net->device($name);
		$device->pair($north->invite($name));
		$device->start;
		$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = '$name'", 'paired');
	}
	$device{accepts}->pair($south->invite('accepts'));
	$south->wait_for('SELECT status FROM hdms.patients', 'paired');
	$device{accepts}->cmd('policy', $_, 'accept') for 'North Hospital', 'South Hospital';
	$device{sleeps}->stop;
	$north->invite($_) for qw(invited-1 invited-2);

	my @witnessed = map { $south->issue('accepts', "{\"n\": $_}") } 1 .. 3;
	my @records = map { $north->issue('accepts', "{\"n\": $_}", source_id => "lab-$_") } 1 .. 3;
	my @erased = map { $north->issue('accepts', "{\"erased\": $_}", source_id => "old-$_") } 1 .. 2;
	my @asked = map { $north->issue('asks', "{\"n\": $_}") } 1 .. 4;
	$north->issue('sleeps', "{\"n\": $_}") for 1 .. 2;
	$north->issue('invited-1', "{\"n\": $_}") for 1 .. 2;
	$north->wait_status($_, 'committed') for @records, @erased;
	$south->wait_status($_, 'committed') for @witnessed;
	for my $i (0, 1)
	{
		$north->sql("SELECT hdms.amend('$records[$i]', '{\"n\": \"amended $i\"}')");
		$north->wait_for("SELECT string_agg(status, ',' ORDER BY ordinal) FROM hdms_internal.versions WHERE record = '$records[$i]'", 'superseded,committed');
	}
	$north->wait_status($_, 'delivered') for @asked;
	$device{asks}->cmd('reject', $asked[$_], '--reason', 'This is not about me.') for 0, 1;
	$north->wait_status($asked[$_], 'rejected') for 0, 1;
	$north->sql("SELECT hdms.amend('$asked[$_]', '{\"n\": \"later $_\"}')") for 2, 3;
	$north->sql("SELECT hdms.read('$_', 'treatment')") for @records;
	$north->sql("SELECT hdms.set_retention('$_', '10 years')") for 'json', 'fhir/%';
	$north->sql("SELECT hdms.erase('$_', 'asked for by the patient')") for @erased;
	$north->wait_for("SELECT count(*) FROM hdms_internal.erasures WHERE status = 'erased'", 2);
	$self->{records} = \@records;
	$self->{asked} = \@asked;
	$self->{witnessed} = \@witnessed;
	$self->{device} = \%device;
	$rows{notary_lists}{pinned} = "t.digest IN ('" . $north->sql("SELECT string_agg(name, ''', ''') FROM json_object_keys(hdms.export_evidence('$records[0]') -> 'notaries') name") . "')";
	$self->settle;
	return $self;
}

# Waits until nothing moves any more: what a sleeping device owes is all that is left.
sub settle
{
	my ($self) = @_;
	my $north = $self->{north};
	my $moving = join ' || ', map { "(SELECT count(*) || ',' FROM hdms_internal.$_)" } qw(versions events audit audit_queue outbox inbox issue_queue log_entries lookups processed ledger_entries ledger_checkpoints);
	my $last = '';
	my $quiet = 0;
	wait_until('the hospital to come to rest', sub {
		my $now = $north->sql("SELECT $moving || (SELECT string_agg(status, ',' ORDER BY id) FROM hdms_internal.versions) || (SELECT string_agg(status, ',' ORDER BY id) FROM hdms_internal.outbox)");
		$quiet = $now eq $last ? $quiet + 1 : 0;
		$last = $now;
		sleep 0.5;
		return $quiet >= 6;
	}, 120);
}

# [table, column, ...] of all that there is.
sub columns
{
	my ($self) = @_;
	my @columns = map { [split /\|/] } split /\n/, $self->{north}->sql(q{
		SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'hdms_internal'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY c.relname COLLATE "C", a.attnum});
	return @columns;
}

# The words that a column may hold, where its constraint lists them.
sub words
{
	my ($self) = @_;
	my %words;
	for (split /\n/, $self->{north}->sql(q{
		SELECT c.conrelid::regclass || '|' || a.attname || '|' || regexp_replace(pg_get_constraintdef(c.oid), '\s+', ' ', 'g')
		FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
		WHERE c.contype = 'c' AND c.connamespace = 'hdms_internal'::regnamespace AND array_length(c.conkey, 1) = 1}))
	{
		my ($table, $column, $definition) = split /\|/, $_, 3;
		my @found = $definition =~ /'(\w+)'::text/g or next;
		$words{$table =~ s/.*\.//r}{$column} = \@found;
	}
	return %words;
}

# The sorts of rows of a table that are attacked.
sub sorts { my ($table) = @_; return sort keys %{$rows{$table} // {'' => 1}}; }

# Every attack that this hospital's rows allow.
sub list
{
	my ($self) = @_;
	my %words = $self->words;
	my (@attacks, %tables);
	for ($self->columns)
	{
		my ($table, $column) = @$_;
		for my $rows (sorts($table))
		{
			my $base = {table => $table, rows => $rows};
			push @attacks, map { {%$base, column => '', attack => $_, do => $_} } qw(delete insert) unless $tables{"$table $rows"}++;
			push @attacks, map { {%$base, column => $column, attack => 'change', do => $_} } $words{$table}{$column} ? @{$words{$table}{$column}} : 'change';
			push @attacks, map { {%$base, column => $column, attack => $_, do => $_} } qw(null swap);
		}
	}
	return @attacks;
}

# Tries them one after the other, each in a transaction that is rolled back. Adds to each what became of it.
sub run_all
{
	my ($self) = @_;
	my @attacks = $self->list;
	my $in = slurp("$folder/attack.sql") . "SET max_parallel_workers_per_gather = 0;\nSET client_min_messages = error;\n";
	for my $attack (@attacks)
	{
		my $seed = ($seed{$attack->{table}} // '') =~ s/'/''/gr;
		my $condition = ($rows{$attack->{table}}{$attack->{rows}} // 'true') =~ s/'/''/gr;
		$in .= "BEGIN;\nSELECT pg_temp.attack('hdms_internal.$attack->{table}', '$attack->{column}', '$attack->{do}', '$condition', '$seed');\nROLLBACK;\n";
	}
	my ($file, $out, $err) = ("$self->{pg}{base}/attacks.sql", '', '');
	spew($file, $in);
	run([$self->{pg}->psql_command('north', '-f', $file)], '<', \undef, '>', \$out, '2>', \$err) or die "the attacks ended: $err\nafter " . (() = $out =~ /\n/g) . " outcomes\n";
	my @outcomes = split /\n/, $out;
	die 'there are ' . @attacks . ' attacks and ' . @outcomes . " outcomes\n" if @attacks != @outcomes;
	$attacks[$_]{outcome} = $outcomes[$_] for 0 .. $#attacks;
	return grep { $_->{outcome} ne 'none' } @attacks;
}


# The table of expectations.
package Attacks::Expected;
use strict;
use warnings;

sub read
{
	my ($class) = @_;
	my $self = bless {lines => []}, $class;
	my $file = "$Attacks::folder/attacks.txt";
	for (split /\n/, HdmsCluster::slurp($file))
	{
		next if /^\s*(#|$)/;
		if (/^own-log: (yes|no)$/)
		{
			$self->{has_log} = $1 eq 'yes';
			next;
		}
		my ($table, $columns, $attacks, $word, $why) = split /\s*\|\s*/, $_, 5;
		die "$file: cannot understand: $_\n" unless ($why // '') ne '' && $word =~ /^(found|log|harmless|unprotected)$/ && $table =~ /^(\w+)(?:\[([\w,]+)\])?$/;
		my ($name, $rows) = ($1, $2);
		push @{$self->{lines}}, {table => $name, rows => defined $rows ? {map { $_ => 1 } split /,/, $rows} : undef,
			columns => {map { $_ => 1 } split ' ', $columns}, attacks => $attacks eq 'all' ? undef : {map { $_ => 1 } split ' ', $attacks}, class => $word, why => $why};
	}
	return $self;
}

# The line for an attack; undef where nobody has thought of it.
sub line
{
	my ($self, $attack) = @_;
	my $column = $attack->{column} eq '' ? 'row' : $attack->{column};
	my @fit = grep {
		$_->{table} eq $attack->{table} && (!$_->{rows} || $_->{rows}{$attack->{rows}}) && $_->{columns}{$column} && (!$_->{attacks} || $_->{attacks}{$attack->{attack}})
	} @{$self->{lines}};
	return $fit[-1];
}

# What came of an attack: found, refused, harmless, unprotected (and said so), missed, unlogged (the log that must find it is not there), broken (an error instead of an answer).
sub verdict
{
	my ($self, $attack) = @_;
	my $class = $self->line($attack)->{class};
	return 'refused' if $attack->{outcome} =~ /^refused/;
	return 'found' if $attack->{outcome} =~ /^seen: ./;
	return 'broken' if $attack->{outcome} ne 'seen: ';
	return $class =~ /^(harmless|unprotected)$/ ? $class : $class eq 'log' && !$self->{has_log} ? 'unlogged' : 'missed';
}

1;
