# Puppet: a node on strings (tests/flow/puppet.c), driven from a test.
#
#	my $thief = Puppet->new;
#	$thief->do('pair', uri => $uri);				# dies unless it was done
#	my $answer = $thief->try('accept', state => $s, commit => $c);	# {ok, error, ...}
#	my $m = $thief->wait_message('record');			# fetches until one of that type is there, and acknowledges it
package Puppet;
use strict;
use warnings;
use Carp qw(croak);
use IPC::Open2;
use JSON::PP;
use HdmsCluster;

my $json = JSON::PP->new->canonical->latin1;

sub new
{
	my ($class) = @_;
	my $self = bless {kept => []}, $class;
	$self->{pid} = open2($self->{out}, $self->{in}, "$HdmsCluster::build/hdms-puppet");
	return $self;
}

sub try
{
	my ($self, $do, %arguments) = @_;
	my $in = $self->{in};
	my $out = $self->{out};
	print $in $json->encode({do => $do, %arguments}), "\n";
	$in->flush;
	my $line = <$out> // croak "the puppet died at $do";
	return $json->decode($line);
}

sub do
{
	my ($self, $do, %arguments) = @_;
	my $answer = $self->try($do, %arguments);
	croak "puppet: $do: " . $json->encode($answer) unless $answer->{ok};
	$self->{node} = $answer->{node} if $answer->{node};
	return $answer;
}

# Seals and puts a message; the sealed one ({envelope, id, jti}).
sub send
{
	my ($self, $to, $type, $body, %more) = @_;
	my $sealed = $self->do('seal', to => $to, type => $type, body => $body, %more);
	$self->do('put', to => $to, envelope => $sealed->{envelope});
	return $sealed;
}

# All messages that are in the mailbox; acknowledged and kept here.
sub fetch
{
	my ($self) = @_;
	my $messages = $self->do('fetch')->{messages};
	$self->do('ack', ids => [map { $_->{id} } @$messages]) if @$messages;
	push @{$self->{kept}}, @$messages;
	return @{$self->{kept}};
}

# Waits for a message of that type that fits, and takes it.
sub wait_message
{
	my ($self, $type, %fits) = @_;
	return HdmsCluster::wait_until("a message of type $type" . join('', map { ", $_ = $fits{$_}" } sort keys %fits), sub {
		my @kept = $self->fetch;
		for my $i (0 .. $#kept)
		{
			my $m = $kept[$i];
			next unless ($m->{type} // '') eq $type;
			next if grep { ($m->{$_} // $m->{body}{$_} // '') ne $fits{$_} } keys %fits;
			splice @{$self->{kept}}, $i, 1;
			return $m;
		}
		return;
	});
}

# Pairs with an invitation as an honest device does.
sub pair
{
	my ($self, $uri, %options) = @_;
	$self->do('pair', uri => $uri, %options);
	my $body = $self->do('pair_body');
	$self->{institution} = $body->{institution};
	my $sent = $self->send($body->{institution}, 'pair', $body->{body});
	my $paired = $self->wait_message('paired', re => $sent->{jti});
	$self->send($body->{institution}, 'ack', {acks => [$paired->{jti}]});
	return $paired;
}

# Has a request notarised as an honest device does; adds "receipt" to what "accept" gave.
sub notarise
{
	my ($self, $accepted, %predecessor) = @_;
	my %body = (request => $accepted->{request});
	$body{"prev_$_"} = $predecessor{$_} for keys %predecessor;
	my $sent = $self->send($accepted->{notary}, 'notarise', \%body);
	$accepted->{receipt} = $self->wait_message('receipt', re => $sent->{jti})->{body}{receipt};
	return $accepted;
}

# The body of "accepted".
sub evidence
{
	my ($accepted) = @_;
	return {map { $_ => $accepted->{$_} } qw(vk acceptance request receipt)};
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
}

1;
