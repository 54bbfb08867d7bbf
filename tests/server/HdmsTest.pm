# HdmsTest.pm
#		A server, its database and some nodes for one test file.
#
# Everything lives in one temporary directory and is stopped when the test ends, however it does. SIGINT and SIGTERM end it, too.
package HdmsTest;

use strict;
use warnings;
use File::Temp ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes ();

my $here = __FILE__ =~ m{^(.*)/[^/]*$} ? $1 : '.';
our $client = $ENV{HDMS_TEST_CLIENT} or die "HDMS_TEST_CLIENT is not set: use make check";
our $load = $ENV{HDMS_LOAD};
our $program = $ENV{HDMS_SERVER};
my @all;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };
$ENV{ASAN_OPTIONS} //= 'abort_on_error=0:exitcode=99';

# Options: config => "lines", servers started later with start_server().
sub new
{
	my ($class, %options) = @_;
	my $self = bless {base => File::Temp->newdir('hdms-test.XXXXXX', TMPDIR => 1), nodes => 0, pids => {}, owner => $$}, $class;
	my $dir = $self->{dir} = $self->{base}->dirname . '/run';
	push @all, $self;

	chmod 0755, $self->{base}->dirname;
	$self->write_file($self->{base}->dirname . '/extra', ($options{config} // '') . "\n");
	local $ENV{HDMS_SERVER} = $program;
	my $out = `$here/start_server.sh start $dir $self->{base}/extra`;
	die "start_server.sh failed" if $? != 0;
	$self->{$1} = $2 while $out =~ /^HDMS_(\w+)='(.*)'$/mg;
	$self->{url} = $self->{URL};
	$self->{pid} = $self->{SERVER_PID};
	return $self;
}

# At the end of the program, before objects go in no particular order: what was started is stopped however the test ended.
END
{
	my $status = $?;
	$_->finish for @all;
	$? = $status;
}

sub finish
{
	my ($self) = @_;

	return if $self->{owner} != $$;
	local ($?, $@);
	kill 'KILL', $_ for keys %{$self->{pids}};
	waitpid $_, 0 for keys %{$self->{pids}};
	if (-e "$self->{dir}/server.log" && $ENV{HDMS_TEST_SHOW_LOG})
	{
		diag(read_file($_)) for glob "$self->{dir}/*.log";
	}
	system("$here/start_server.sh", 'stop', $self->{dir});
}

sub write_file
{
	my ($self, $path, $text) = @_;

	open my $file, '>', $path or die "$path: $!";
	print $file $text;
	close $file or die "$path: $!";
	return $path;
}

sub read_file
{
	my ($path) = @_;

	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

sub logs { my ($self) = @_; return join '', map { read_file($_) } glob "$self->{dir}/*.log"; }

# Waits for a condition, up to 30 seconds; returns whether it came true.
sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = Time::HiRes::time() + ($seconds // 30);

	while (Time::HiRes::time() < $end)
	{
		return 1 if $condition->();
		Time::HiRes::sleep(0.02);
	}
	return 0;
}

sub run
{
	my (@command) = @_;
	my $pid = open my $out, '-|', @command or die "$command[0]: $!";
	local $/;
	my $text = <$out> // '';
	close $out;
	return wantarray ? ($text, $? >> 8) : $text;
}

sub client { my $text = run($client, @_); chomp $text; return $text; }

# The operator's commands; returns (output with stderr, exit status).
sub admin
{
	my ($self, @arguments) = @_;
	my $command = join ' ', map { "'$_'" } $program, '--config', $self->{CONFIG}, @arguments;
	my $text = `$command 2>&1`;
	return wantarray ? ($text, $? >> 8) : $text;
}

sub psql
{
	my ($self, $sql, $database) = @_;
	my $text = run('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', "$self->{dir}/postgres", '-U', 'postgres', '-d', $database // 'hdms', '-c', $sql);
	chomp $text;
	return $text;
}

# Starts another server process over the same database; options are lines of configuration that replace those of the first.
sub start_server
{
	my ($self, %options) = @_;
	my $no_wait = delete $options{no_wait};
	my $number = ++$self->{servers};
	my $conf = "$self->{dir}/server$number.conf";
	my $port_file = "$self->{dir}/port$number";
	my %replace = (port_file => $port_file, name => "test$number", %options);
	my $text = '';

	for my $line (split /\n/, read_file($self->{CONFIG}))
	{
		$text .= "$line\n" unless $line =~ /^\s*(\w+)\s*=/ && exists $replace{$1};
	}
	$text .= "$_ = $replace{$_}\n" for grep { defined $replace{$_} } sort keys %replace;
	$self->write_file($conf, $text);
	unlink $port_file;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open STDOUT, '>', "$self->{dir}/server$number.log";
		open STDERR, '>&', \*STDOUT;
		open STDIN, '<', '/dev/null';
		exec $program, '--config', $conf, 'serve' or POSIX::_exit(127);
	}
	$self->{pids}{$pid} = 1;
	wait_until(sub { -s $port_file || waitpid($pid, POSIX::WNOHANG()) }) or die "server did not start";
	my ($port, $metrics) = split /\n/, read_file($port_file);
	my $url = 'http://127.0.0.1:' . ($port // 0);
	wait_until(sub { $self->request('-', GET => '/healthz', url => $url)->{status} == 200 }) unless $no_wait;
	return {pid => $pid, url => $url, conf => $conf, port => $port, log => "$self->{dir}/server$number.log",
		metrics => "http://127.0.0.1:" . ($metrics // 0) . "/metrics"};
}

# Sends SIGTERM to a process that start_server() made; returns its exit status, or -1 when it was killed by a signal.
sub stop_server
{
	my ($self, $server) = @_;

	kill 'TERM', $server->{pid};
	return $self->wait_server($server);
}

sub wait_server
{
	my ($self, $server) = @_;
	my $status = -2;

	wait_until(sub { my $done = waitpid($server->{pid}, POSIX::WNOHANG()); $status = $? if $done == $server->{pid}; return $done != 0; });
	delete $self->{pids}{$server->{pid}} if $status != -2;
	return $status == -2 ? -2 : ($status & 127) ? -1 : $status >> 8;
}

# Makes a node; kind is "person" or an institution's name.
sub node
{
	my ($self, $kind) = @_;
	my $dir = "$self->{base}/node" . ++$self->{nodes};
	my $id = client('new', $dir, $kind eq 'person' ? ('person') : ('institution', $kind));

	return {dir => $dir, id => $id};
}

# An institution that is registered and admitted.
sub institution
{
	my ($self, $name, %options) = @_;
	my $node = $self->node($name);

	$self->register($node, %options)->{status} == 202 or die "institution not registered";
	(undef, my $status) = $self->admin('admit', $node->{id}, $options{notary} ? '--notary' : ());
	die "not admitted" if $status != 0;
	return $node;
}

# A person that came in with a voucher of an institution.
sub person
{
	my ($self, $institution, %options) = @_;
	my $node = $self->node('person');
	my $response = $self->register($node, voucher => client('voucher', $institution->{dir}), %options);

	die "person not registered: $response->{status} $response->{body}" if $response->{status} != 201;
	return $node;
}

sub register
{
	my ($self, $node, %options) = @_;
	my @parts = map { ref $options{$_} ? map { "list=$_" } @{$options{$_}} : "$_=$options{$_}" } grep { /^(voucher|admission|list)$/ } sort keys %options;
	my $body = client('registration', $node->{dir}, @parts);

	return $self->request($node, POST => '/v1/nodes', text => $body, $options{url} ? (url => $options{url}) : ());
}

# One request; the node may be "-". Returns {status, head, body, json}.
sub request
{
	my ($self, $node, $method, $target, %options) = @_;
	my $dir = ref $node ? $node->{dir} : $node;
	my $url = delete $options{url} // $self->{url};

	if (defined $options{text} && length $options{text} > 100000)
	{
		$options{body} = $self->write_file("$self->{base}/body$$", delete $options{text});
	}
	my $text = run($client, 'request', $dir, $url, $method, $target, map { "$_=$options{$_}" } grep { defined $options{$_} } sort keys %options);
	my ($status, $rest) = split /\n/, $text, 2;
	my ($head, $body) = split /\r\n\r\n/, $rest // '', 2;
	my $json = eval { JSON::PP->new->utf8->decode($body) };

	return {status => $status // 0, head => $head // '', body => $body // '', json => $json};
}

# The same in the background; call ->() for the response.
sub request_later
{
	my ($self, @arguments) = @_;
	my $pid = open my $out, '-|';

	die "fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		my $response = $self->request(@arguments);
		print JSON::PP->new->utf8->encode({%$response, at => Time::HiRes::time()});
		close STDOUT;
		POSIX::_exit(0);
	}
	return sub {
		local $/;
		my $text = <$out>;
		close $out;
		return JSON::PP->new->utf8->decode($text);
	};
}

# An envelope: {file, id, text}.
sub envelope
{
	my ($self, $size) = @_;
	my $text = client('envelope', $size // 300);
	my $file = $self->write_file("$self->{base}/envelope" . ++$self->{envelopes} . ".$$", $text);

	return {file => $file, text => $text, id => client('digest', $file)};
}

sub put
{
	my ($self, $from, $to, $envelope, %options) = @_;
	my $query = delete $options{query} // '';

	return $self->request($from, PUT => "/v1/mailboxes/" . (ref $to ? $to->{id} : $to) . "/$envelope->{id}$query",
		body => $envelope->{file}, type => 'application/jose', %options);
}

sub mailbox
{
	my ($self, $node, %options) = @_;
	my $query = delete $options{query} // '';

	return $self->request($node, GET => "/v1/mailbox$query", %options);
}

# The ids in a mailbox answer.
sub ids { my ($response) = @_; return [map { $_->{id} } @{$response->{json}{envelopes} // []}]; }

sub acknowledge
{
	my ($self, $node, $ids, %options) = @_;
	my $more = delete $options{more} // {};
	my $url = delete $options{url};

	return $self->request($node, POST => '/v1/mailbox/ack', text => JSON::PP->new->canonical->encode({ids => $ids, %$more}), %options, $url ? (url => $url) : ());
}

# The word of a problem, or what came instead.
sub word
{
	my ($response) = @_;

	return $1 if ref $response->{json} eq 'HASH' && ($response->{json}{type} // '') =~ /^urn:hdms:problem:(.*)$/;
	return "no problem: $response->{status} $response->{body}";
}

sub answers
{
	my ($response, $status, $word, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is("$response->{status} " . ($word eq '' ? '' : word($response)), "$status $word", $name);
	if ($word ne '')
	{
		my $ok = $response->{head} =~ m{^content-type: application/problem\+json}mi && $response->{json}{status} == $status && length($response->{json}{title} // '');
		fail("$name: the problem is well-formed") unless $ok;
	}
}

sub epoch { my ($response) = @_; return $response->{head} =~ /^hdms-epoch: (\S+)/mi ? $1 : undef; }

# A metric's value, the sum over labels.
sub metric
{
	my ($self, $name, $url) = @_;
	my $text = run('curl', '-s', $url // $self->{METRICS_URL});
	my $sum = 0;

	$sum += $1 while $text =~ /^\Q$name\E(?:\{[^}]*\})? (\S+)$/mg;
	return $sum;
}

# Sends bytes over a new connection and returns all that comes back until the server closes or the time is over.
sub raw
{
	my ($self, $bytes, %options) = @_;
	my ($host, $port) = ($options{url} // $self->{url}) =~ m{//(.*):(\d+)};
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 5) or die "connect: $!";
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	print $socket $bytes;
	$socket->flush;
	shutdown $socket, 1 if $options{half_close};
	my $end = Time::HiRes::time() + ($options{seconds} // 3);
	while ((my $left = $end - Time::HiRes::time()) > 0)
	{
		my $bits = '';
		vec($bits, fileno($socket), 1) = 1;
		last unless select($bits, undef, undef, $left);
		my $got = sysread $socket, $answer, 65536, length $answer;
		last unless $got;
		last if $options{until} && $answer =~ $options{until};
	}
	close $socket;
	return $answer;
}

# The server is still there and works; call it at the end of each file.
sub healthy
{
	my ($self) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($self->request('-', GET => '/healthz')->{status}, 200, 'the server is well in the end');
	is(join('', grep { !/^\{"time":".*\}$/ } map { split /^/, read_file($_) } glob "$self->{dir}/server*.log"), '', 'the log is JSON, line by line');
	unlike($self->logs, qr/ERROR: AddressSanitizer|runtime error:|LeakSanitizer/, 'no memory error was reported');
}

1;
