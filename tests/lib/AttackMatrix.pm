# AttackMatrix: the outcome of all attacks as the tables of docs/security.md, and whether that page promises what is so.
package AttackMatrix;
use strict;
use warnings;
use HdmsCluster;

our $page = "$top/docs/security.md";
my ($begin, $end) = ("<!-- attacks: written by UPDATE=1 prove -I tests/lib tests/extension/t/470_attacks.pl -->\n", "<!-- end of attacks -->\n");
my %word = (refused => 'refused', harmless => 'harmless', unprotected => '**not prevented**', unlogged => '**not yet**', missed => '**missed**', broken => '**broken**');

sub new
{
	my ($class, $expected, @attacks) = @_;
	my $self = bless {expected => $expected, attacks => \@attacks, cells => {}, order => [], why => {}}, $class;
	for my $attack (@attacks)
	{
		my $place = $attack->{table} . ' ' . ($attack->{column} || 'row');
		push @{$self->{order}}, $place unless $self->{cells}{$place};
		my $cell = $self->{cells}{$place}{$attack->{attack}} //= {};
		my $verdict = $expected->verdict($attack);
		$cell->{verdicts}{$verdict}++;
		$cell->{by}{$_} = 1 for $verdict eq 'found' ? split /, /, $attack->{outcome} =~ s/^seen: //r : ();
		my $line = $expected->line($attack);
		$self->{why}{$attack->{table}}{"$verdict: $line->{why}"} = 1 if $verdict =~ /^(harmless|unprotected)$/;
	}
	return $self;
}

sub cell
{
	my ($self, $place, $attack) = @_;
	my $cell = $self->{cells}{$place}{$attack} or return '–';
	my @words = map { $word{$_} } grep { $cell->{verdicts}{$_} } qw(broken missed unlogged unprotected harmless refused);
	return join '; ', join(', ', map { s/^doctor: (.*)/doctor's $1/r } sort keys %{$cell->{by} // {}}) || (), @words;
}

sub count
{
	my ($self) = @_;
	my %count = map { $_ => 0 } qw(found refused harmless unprotected unlogged missed broken);
	$count{$self->{expected}->verdict($_)}++ for @{$self->{attacks}};
	return %count;
}

# The tables, in Markdown.
sub text
{
	my ($self) = @_;
	my %count = $self->count;
	my %tables;
	push @{$tables{(split / /)[0]}}, $_ for @{$self->{order}};
	my $text = sprintf "%d attacks: %d found, %d refused by a constraint, %d harmless, %d not prevented, %d missed%s.\n", scalar @{$self->{attacks}}, @count{qw(found refused harmless unprotected)},
		$count{missed} + $count{broken} + $count{unlogged}, $count{unlogged} ? " ($count{unlogged} of them are for the node's own log to find, and marked \"not yet\")" : '';
	for my $table (sort keys %tables)
	{
		$text .= "\n**$table**: " . join(', ', map { "$_ " . $self->cell("$table row", $_) } 'delete', 'insert') . ".\n\n| column | change | null | swap |\n| --- | --- | --- | --- |\n";
		for my $place (grep { !/ row$/ } @{$tables{$table}})
		{
			$text .= '| `' . (split / /, $place)[1] . '` | ' . join(' | ', map { $self->cell($place, $_) } qw(change null swap)) . " |\n";
		}
		$text .= "\n" . join('', map { "- " . s/^unprotected/not prevented/r . "\n" } sort keys %{$self->{why}{$table}}) if $self->{why}{$table};
	}
	return $text;
}

sub write
{
	my ($self) = @_;
	my $all = slurp($page);
	$all =~ s/\Q$begin\E.*\Q$end\E/$begin . $self->text . $end/se or die "$page has no place for the attacks\n";
	spew($page, $all);
}

# What the page promises and is not so. That something is found which it calls less is no lie.
sub lies
{
	my ($self) = @_;
	my ($written) = slurp($page) =~ /\Q$begin\E(.*)\Q$end\E/s or return ("$page has no place for the attacks");
	my (@lies, %told, $table);
	for (split /\n/, $written)
	{
		$table = $1 if /^\*\*(\w+)\*\*: delete (.*), insert (.*)\.$/;
		@told{"$table row delete", "$table row insert"} = ($2, $3) if /^\*\*(\w+)\*\*: delete (.*), insert (.*)\.$/;
		@told{map { "$table $1 $_" } qw(change null swap)} = ($2, $3, $4) if /^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$/;
	}
	for my $place (@{$self->{order}})
	{
		for my $attack (sort keys %{$self->{cells}{$place}})
		{
			my $cell = $self->{cells}{$place}{$attack};
			my $is = $self->cell($place, $attack);
			my $said = $told{"$place $attack"};
			my $says_found = defined $said && (grep { !/^\*\*/ && $_ ne 'refused' && $_ ne 'harmless' && $_ ne '–' } split /; /, $said) ? 1 : 0;
			if (!defined $said) { push @lies, "$place, $attack: is $is, and is not on the page"; }
			elsif ($is =~ /\*\*/ && $said !~ /\*\*/) { push @lies, "$place, $attack: is $is, the page says $said"; }
			elsif ($says_found && !$cell->{by}) { push @lies, "$place, $attack: is $is, the page says $said"; }
			elsif ($is =~ /\bharmless\b/ && $said !~ /harmless|\*\*/) { push @lies, "$place, $attack: is $is, the page says $said"; }
		}
	}
	return @lies;
}

1;
