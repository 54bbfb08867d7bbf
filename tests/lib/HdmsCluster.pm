# HdmsCluster: temporary PostgreSQL clusters, servers, hospitals and devices for tests, demo and benchmarks.
#
#	my $pg = HdmsCluster->new(conf => "hdms.expiry_grace = 1\n");	# initdb and start, hdms preloaded
#	my $net = $pg->network;							# database "hdms_server", hdms-server init and serve
#	my $north = $net->hospital('north', notary => 1);			# database, extension, join, admit, wait until active
#	my $alice = $net->device('alice');					# hdms-node init in a home of its own
#	$alice->pair($north->invite('MRN-1')); $alice->start;
#
# Everything lives below one temporary folder and is stopped and removed at the end, also when a test dies.
# Nothing waits a fixed time: wait_until() polls a condition and dies with its name after a limit.
package HdmsCluster;
use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IPC::Run qw(run);
use JSON::PP;
use POSIX qw(WNOHANG setsid);
use Time::HiRes qw(time sleep);
use Exporter qw(import);

our @EXPORT = qw(wait_until free_port slurp spew $top $build);
our $top = abs_path(dirname(__FILE__) . '/../..');
our $build = "$top/build/" . ($ENV{VARIANT} // 'plain');
our @stoppers;

# Waits until the code gives something true; its value. 60 seconds unless said otherwise.
our $look_every = 0.05;				# seconds between looks at a condition

sub wait_until
{
	my ($what, $code, $limit) = @_;
	my $end = time + ($limit // 60);
	while (1)
	{
		my $value = $code->();
		return $value if $value;
		croak "waited in vain for: $what" if time > $end;
		sleep $look_every;
	}
}

sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', Listen => 1) or die "no free port: $!\n";
	return $socket->sockport;
}

sub slurp { my ($file) = @_; open my $in, '<', $file or die "$file: $!\n"; local $/; my $all = <$in>; return $all // ''; }
sub spew { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!\n"; print $out $text; close $out or die "$file: $!\n"; }

# PostgreSQL refuses to run as root: its programs then run as the user postgres.
our @as_postgres = $> == 0 ? ('setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--init-groups') : ();
our $bin;

sub pg_bin
{
	$bin //= do {
		my $path = `$top/tests/lib/pgtree.sh`;
		die "tests/lib/pgtree.sh failed\n" if $? != 0;
		chomp $path;
		$path;
	};
	return $bin;
}

sub command
{
	my ($what, @command) = @_;
	my ($out, $err) = ('', '');
	run(\@command, '<', \undef, '>', \$out, '2>', \$err) or croak "$what failed: $err$out";
	return $out;
}

# A process that is stopped at the end. Its output goes to a file.
sub launch
{
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0)
	{
		setsid();
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $log or die;
		open STDERR, '>&', \*STDOUT;
		exec @command or POSIX::_exit(127);
	}
	return $pid;
}

sub finish
{
	my ($pid, $signal) = @_;
	return unless $pid;
	kill $signal, $pid;
	my $end = time + 15;
	while (waitpid($pid, WNOHANG) == 0)
	{
		kill 'KILL', $pid if time > $end;
		sleep 0.02;
	}
	return $?;
}

sub new
{
	my ($class, %options) = @_;
	my $bin = pg_bin();
	my $base = $options{base} // tempdir('hdms-XXXXXXXX', TMPDIR => 1, CLEANUP => 0);
	my $self = bless {base => $base, data => "$base/data", port => free_port(), databases => [], keep => $options{keep}}, $class;
	make_path("$base/keys", "$base/run");
	# The key directory belongs to whom PostgreSQL runs as.
	if (@as_postgres)
	{
		my ($uid, $gid) = (getpwnam 'postgres')[2, 3];
		chown $uid, $gid, $base, "$base/keys", "$base/run";
	}
	chmod 0711, $base;
	chmod 0700, "$base/keys";
	push @stoppers, $self;
	chdir '/' if @as_postgres;
	unless ($options{data_from})
	{
		command('initdb', @as_postgres, "$bin/initdb", '-D', $self->{data}, '-A', 'trust', '-U', 'postgres', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8');
	}
	$self->configure(<<"CONF" . ($options{conf} // ''));
listen_addresses = ''
unix_socket_directories = '$base/run'
port = $self->{port}
max_connections = 200
shared_buffers = 128MB
max_worker_processes = 24
shared_preload_libraries = 'hdms'
hdms.key_directory = '$base/keys'
hdms.databases = ''
log_line_prefix = '%m [%p] %d '
CONF
	$self->start;
	return $self;
}

# Appends to the configuration. Later lines win.
sub configure
{
	my ($self, $text) = @_;
	open my $out, '>>', "$self->{data}/postgresql.conf" or die "$self->{data}/postgresql.conf: $!\n";
	print $out $text;
	close $out;
}

sub start
{
	my ($self) = @_;
	command('starting PostgreSQL (' . $self->log_file . ')', @as_postgres, pg_bin() . '/pg_ctl', '-D', $self->{data}, '-l', $self->log_file, '-w', '-s', 'start');
	$self->{running} = 1;
}

sub stop
{
	my ($self, $mode) = @_;
	return unless $self->{running};
	command('stopping PostgreSQL', @as_postgres, pg_bin() . '/pg_ctl', '-D', $self->{data}, '-m', $mode // 'fast', '-w', '-s', 'stop');
	$self->{running} = 0;
}

sub restart { my ($self, $mode) = @_; $self->stop($mode); $self->start; }
sub reload { my ($self) = @_; command('reload', @as_postgres, pg_bin() . '/pg_ctl', '-D', $self->{data}, '-s', 'reload'); }
sub log_file { return "$_[0]{base}/run/postgresql.log" }
sub log_text { return slurp($_[0]->log_file) }
sub conninfo { my ($self, $db) = @_; return "host=$self->{base}/run port=$self->{port} user=postgres dbname=$db"; }

sub psql_command
{
	my ($self, $db, @more) = @_;
	return (pg_bin() . '/psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $self->conninfo($db), @more);
}

# The output of SQL, without the last line feed. Dies with the error's text.
sub sql
{
	my ($self, $db, $sql) = @_;
	my ($out, $err) = ('', '');
	run([$self->psql_command($db)], '<', \$sql, '>', \$out, '2>', \$err) or croak "SQL failed: $err";
	chomp $out;
	return $out;
}

# The error's text of SQL that must fail; undef if it did not.
sub sql_error
{
	my ($self, $db, $sql) = @_;
	my ($out, $err) = ('', '');
	return run([$self->psql_command($db)], '<', \$sql, '>', \$out, '2>', \$err) ? undef : $err;
}

sub wait_sql
{
	my ($self, $db, $sql, $expected, $limit) = @_;
	my $last = '';
	my $found = eval {
		wait_until($sql, sub { my $got = eval { $self->sql($db, $sql) }; $last = $got // $@; defined $got && $got eq ($expected // 't') }, $limit);
	};
	croak "waited in vain for '" . ($expected // 't') . "' of: $sql\nlast: $last\n" unless $found;
	return 1;
}

# Makes the database a node's: the worker starts.
sub serve_database
{
	my ($self, $db) = @_;
	push @{$self->{databases}}, $db;
	$self->configure("hdms.databases = '" . join(', ', @{$self->{databases}}) . "'\n");
	$self->reload;
}

sub network { my ($self, %options) = @_; return HdmsNetwork->new($self, %options); }

sub cleanup
{
	my ($self) = @_;
	$_->stop('KILL') for @{$self->{devices} // []};
	$_->stop_all for @{$self->{networks} // []};
	eval { $self->stop('immediate') };
	remove_tree($self->{base}) unless $self->{keep} || $ENV{HDMS_KEEP};
}

END
{
	my $status = $?;
	$_->cleanup for @stoppers;
	$? = $status;
}
$SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
# psql that finds no server ends before it has read its input: that is its error to tell, not this program's end.
$SIG{PIPE} = 'IGNORE';

# The operator's server, its database in the same cluster.
package HdmsNetwork;
use strict;
use warnings;
use Carp qw(croak);

sub new
{
	my ($class, $pg, %options) = @_;
	my $name = $options{name} // 'hdms_server';
	my $self = bless {pg => $pg, database => $name, folder => "$pg->{base}/$name", servers => []}, $class;
	push @{$pg->{networks}}, $self;
	mkdir $self->{folder} or die "$self->{folder}: $!\n";
	$pg->sql('postgres', "CREATE DATABASE $name");
	$self->{port} = HdmsCluster::free_port();
	$self->{url} = "http://127.0.0.1:$self->{port}";
	$self->{conf} = $options{conf} // '';
	my $out = $self->tool($self->write_config(0, $self->{port}), 'init');
	($self->{fingerprint}) = $out =~ /(?<![\w-])([\w-]{43})(?![\w-])/ or croak "init did not print the fingerprint: $out";
	$self->start(0);
	return $self;
}

# Process number $i has a configuration of its own; all have the same public URL.
sub write_config
{
	my ($self, $i, $port) = @_;
	my $file = "$self->{folder}/server-$i.conf";
	my $text = <<"CONF";
database = @{[$self->{pg}->conninfo($self->{database})]}
public_url = $self->{url}
listen = 127.0.0.1:$port
network_key_file = $self->{folder}/network.jwk
rate_per_second = 100000
rate_burst = 100000
registrations_per_minute = 1000000
CONF
	# A setting may be given once: the caller's counts.
	$text =~ s/^$1 = .*\n//m while $self->{conf} =~ /^(\w+)/mg;
	HdmsCluster::spew($file, $text . $self->{conf});
	return $file;
}

sub tool
{
	my ($self, $config, @arguments) = @_;
	return HdmsCluster::command("hdms-server @arguments", "$HdmsCluster::build/hdms-server", '--config', $config, @arguments);
}

sub start
{
	my ($self, $i) = @_;
	$i //= 0;
	my $port = $i == 0 ? $self->{port} : ($self->{ports}[$i] //= HdmsCluster::free_port());
	my $config = $self->write_config($i, $port);
	$self->{servers}[$i] = HdmsCluster::launch($self->log_file($i), "$HdmsCluster::build/hdms-server", '--config', $config, 'serve');
	HdmsCluster::wait_until("hdms-server on port $port", sub {
		croak 'hdms-server ended: ' . HdmsCluster::slurp($self->log_file($i)) if waitpid($self->{servers}[$i], POSIX::WNOHANG()) != 0;
		return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 1);
	});
	return "http://127.0.0.1:$port";
}

sub stop
{
	my ($self, $signal, $i) = @_;
	my $status = HdmsCluster::finish($self->{servers}[$i // 0], $signal // 'TERM');
	$self->{servers}[$i // 0] = undef;
	return $status;
}

sub stop_all { my ($self) = @_; $self->stop('KILL', $_) for grep { $self->{servers}[$_] } 0 .. $#{$self->{servers}}; }
sub log_file { my ($self, $i) = @_; return "$self->{folder}/server-" . ($i // 0) . '.log'; }
sub log_text { my ($self, $i) = @_; return HdmsCluster::slurp($self->log_file($i)); }
sub admit { my ($self, $node, @options) = @_; return $self->tool("$self->{folder}/server-0.conf", 'admit', $node, @options); }

# Options: notary, name, suite (a value of hdms.key_suite for this database), before (SQL run after CREATE EXTENSION).
sub hospital
{
	my ($self, $db, %options) = @_;
	return $self->hospitals([$db, %options]);
}

# Several at once: joining and admission of all overlap. Arguments: [database, options ...] each.
sub hospitals
{
	my ($self, @wanted) = @_;
	my @made;
	my $pg = $self->{pg};
	for my $one (@wanted)
	{
		my ($db, %options) = @$one;
		my $name = $options{name} // ucfirst($db) . ' Hospital';
		my $hospital = bless {pg => $pg, network => $self, db => $db, notary => $options{notary}}, 'HdmsHospital';
		$pg->sql('postgres', "CREATE DATABASE $db");
		$pg->sql($db, 'CREATE EXTENSION hdms CASCADE');
		$pg->sql($db, $options{before}) if $options{before};
		if ($options{suite})
		{
			$pg->configure("hdms.key_suite = '$options{suite}'\n");
			$pg->reload;
		}
		$pg->serve_database($db);
		$pg->sql($db, "SELECT hdms.join_network('$self->{url}', '$self->{fingerprint}', '$name', " . ($options{notary} ? 'true' : 'false') . ')');
		if ($options{suite})
		{
			$hospital->wait_for('SELECT node_id IS NOT NULL FROM hdms.node', 't');
			$pg->configure("hdms.key_suite = 'P-256'\n");
			$pg->reload;
		}
		push @made, $hospital;
	}
	# Notaries first: a node asks for the newest list when it is admitted, and then not for an hour.
	for my $hospital ((grep { $_->{notary} } @made), (grep { !$_->{notary} } @made))
	{
		$hospital->wait_for("SELECT status FROM hdms.node", 'pending');
		$hospital->{node} = $hospital->sql('SELECT node_id FROM hdms.node');
		$self->admit($hospital->{node}, $hospital->{notary} ? '--notary' : ());
	}
	$_->wait_for("SELECT status FROM hdms.node", 'active') for @made;
	return wantarray ? @made : $made[0];
}

# Options: suite, conf (lines for the device's configuration), network (no server is asked: the pairing URI has it).
sub device { my ($self, $name, %options) = @_; return HdmsDevice->new($self->{pg}, $name, %options); }

package HdmsHospital;
use strict;
use warnings;

sub sql { my ($self, $sql) = @_; return $self->{pg}->sql($self->{db}, $sql); }
sub sql_error { my ($self, $sql) = @_; return $self->{pg}->sql_error($self->{db}, $sql); }
sub wait_for { my ($self, $sql, $expected, $limit) = @_; return $self->{pg}->wait_sql($self->{db}, $sql, $expected, $limit); }
sub invite { my ($self, $ref, $expires) = @_; return $self->sql("SELECT hdms.invite_patient('$ref'" . ($expires ? ", '$expires'" : '') . ')'); }

# Issues content (JSON text); the record's id.
sub issue
{
	my ($self, $ref, $content, %options) = @_;
	my $more = join '', map { ", $_ => '$options{$_}'" } sort keys %options;
	$content =~ s/'/''/g;
	return $self->sql("SELECT hdms.issue('$ref', '$content'$more)");
}

sub status { my ($self, $record) = @_; return $self->sql("SELECT status FROM hdms.records WHERE record = '$record'"); }
sub wait_status { my ($self, $record, $status, $limit) = @_; return $self->wait_for("SELECT status FROM hdms.records WHERE record = '$record'", $status, $limit); }

# A patient's device. Its passphrase is in a file. With "empty" there is no home yet.
package HdmsDevice;
use strict;
use warnings;
use Carp qw(croak);
use IPC::Run qw(run);

sub new
{
	my ($class, $pg, $name, %options) = @_;
	my $self = bless {pg => $pg, name => $name, home => "$pg->{base}/device-$name", log => "$pg->{base}/device-$name.log"}, $class;
	push @{$pg->{devices}}, $self;
	$self->{passphrase} = "$pg->{base}/device-$name.passphrase";
	HdmsCluster::spew($self->{passphrase}, "correct horse battery staple $name\n");
	chmod 0600, $self->{passphrase};
	$self->cmd('init', $options{suite} ? ('--suite', $options{suite}) : ()) unless $options{empty};
	$self->configure($options{conf}) if $options{conf};
	return $self;
}

sub configure
{
	my ($self, $text) = @_;
	open my $out, '>>', "$self->{home}/config" or die "$self->{home}/config: $!\n";
	print $out $text;
	close $out;
}

sub command_line { my ($self, @arguments) = @_; return ("$HdmsCluster::build/hdms-node", '--home', $self->{home}, '--passphrase-file', $self->{passphrase}, @arguments); }

# Output of a command; dies when it fails.
sub cmd
{
	my ($self, @arguments) = @_;
	my ($status, $out, $err) = $self->try_cmd(@arguments);
	croak "hdms-node $arguments[0] ($self->{name}): $err" if $status != 0;
	return $out;
}

# (exit status, standard output, standard error)
sub try_cmd
{
	my ($self, @arguments) = @_;
	my ($out, $err) = ('', '');
	run([$self->command_line(@arguments)], '<', \undef, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub json { my ($self, @arguments) = @_; return JSON::PP->new->utf8->decode($self->cmd('--json', @arguments)); }
sub pair { my ($self, $uri) = @_; return $self->cmd('pair', $uri); }

sub start
{
	my ($self) = @_;
	$self->{pid} = HdmsCluster::launch($self->{log}, $self->command_line('run'));
	HdmsCluster::wait_until("device $self->{name} to run", sub {
		croak "hdms-node run ($self->{name}) ended: " . HdmsCluster::slurp($self->{log}) if waitpid($self->{pid}, POSIX::WNOHANG()) != 0;
		return -S "$self->{home}/socket";
	});
	return $self;
}

sub stop { my ($self, $signal) = @_; my $status = HdmsCluster::finish($self->{pid}, $signal // 'TERM'); $self->{pid} = undef; return $status; }
sub log_text { my ($self) = @_; return HdmsCluster::slurp($self->{log}); }

1;
