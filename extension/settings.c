/*
 * settings.c
 *		Defines the settings hdms.*
 *
 * None is PGC_POSTMASTER: such a setting is fatal in a backend that loads the
 * library late, and the functions must work where it is not preloaded.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "message.h"
#include "settings.h"

char	   *setting_databases;
char	   *setting_key_directory;
char	   *setting_server_ca_file;
char	   *setting_actor;
int			setting_key_suite = KEY_SUITE_P256;
bool		setting_require_confirmation;
bool		setting_allow_plain_http;
bool		setting_allow_drop;
bool		setting_tell_patients_of_reads;
int			setting_poll_interval = 5;
int			setting_accept_within = 30 * 86400;
int			setting_expiry_grace = 3600;
int			setting_probe_patience = 60;
int			setting_resend_interval = 600;
int			setting_checkpoint_interval = 10;
int			setting_rotation_grace = 240;
int			setting_directory_interval = 120;
int			setting_witness_interval = 60;
int			setting_witnesses = 2;
int			setting_publish_interval = 30;

static const struct config_enum_entry key_suites[] = {
	{"P-256", KEY_SUITE_P256, false},
	{"RSA-2048", KEY_SUITE_RSA_2048, false},
	{"RSA-3072", KEY_SUITE_RSA_3072, false},
	{"RSA-4096", KEY_SUITE_RSA_4096, false},
	{NULL, 0, false}
};

static bool
key_directory_check(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("The path must be absolute.");
	return false;
}

static void
define_seconds(const char *name, const char *description, int *variable, int least)
{
	DefineCustomIntVariable(name, description, NULL, variable, *variable, least, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_path(const char *name, const char *description, char **variable, GucStringCheckHook check)
{
	DefineCustomStringVariable(name, description, NULL, variable, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, check, NULL, NULL);
}

void
settings_define(void)
{
	DefineCustomStringVariable("hdms.databases", "Databases that are nodes of an HDMS network.",
							   "A list of names; those with commas or spaces in double quotes.",
							   &setting_databases, "", PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);
	define_path("hdms.key_directory", "Folder of the nodes' private keys, outside the data directory.",
				&setting_key_directory, key_directory_check);
	define_path("hdms.server_ca_file", "PEM file of the authorities that may vouch for the HDMS server; empty: the system's.",
				&setting_server_ca_file, NULL);
	DefineCustomStringVariable("hdms.actor", "Who is acting, for the audit trail.", NULL,
							   &setting_actor, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("hdms.key_suite", "What keys a new node gets.", NULL,
							 &setting_key_suite, KEY_SUITE_P256, key_suites, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("hdms.require_confirmation", "Records flow only after hdms.confirm_patient().", NULL,
							 &setting_require_confirmation, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("hdms.tell_patients_of_reads", "Patients' devices are told when their records are read or exported, and for what purpose.", NULL,
							 &setting_tell_patients_of_reads, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("hdms.allow_plain_http", "Servers may be reached without TLS.",
							 "This machine's own addresses may always be.",
							 &setting_allow_plain_http, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("hdms.allow_drop_extension", "DROP EXTENSION may delete signed records.", NULL,
							 &setting_allow_drop, false, PGC_SUSET, 0, NULL, NULL, NULL);

	define_seconds("hdms.poll_interval", "How often a worker looks for work that nobody told it about.",
				   &setting_poll_interval, 1);
	define_seconds("hdms.accept_within", "How long a patient has to accept a record, unless told otherwise.",
				   &setting_accept_within, 1);
	define_seconds("hdms.expiry_grace", "How long after its end a record without evidence is called expired.",
				   &setting_expiry_grace, 0);
	define_seconds("hdms.probe_patience", "How long a notary that was called silent has to answer.",
				   &setting_probe_patience, 1);
	define_seconds("hdms.resend_interval", "How long to wait for an answer before a message is put again the first time.",
				   &setting_resend_interval, 1);
	define_seconds("hdms.checkpoint_interval", "How often the node's own log is signed while it grows.",
				   &setting_checkpoint_interval, 1);

	/* Notaries and verifiers grant a replaced key HDMS_CLOCK_SKEW seconds. */
	DefineCustomIntVariable("hdms.rotation_grace", "How long versions under way are left alone after the signing key was rotated.",
							"Then those that are not notarised yet are signed anew.",
							&setting_rotation_grace, setting_rotation_grace, 0, HDMS_CLOCK_SKEW, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	define_seconds("hdms.directory_interval", "How often the log of the network's directory is looked at, at least.",
				   &setting_directory_interval, 1);
	define_seconds("hdms.witness_interval", "How often a log's checkpoint is shown to a witness at most.",
				   &setting_witness_interval, 1);
	DefineCustomIntVariable("hdms.witnesses", "How many other institutions cosign this node's checkpoints.", NULL,
							&setting_witnesses, setting_witnesses, 0, 16, PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_seconds("hdms.publish_interval", "How often new parts of the node's logs are put on the server, at most.",
				   &setting_publish_interval, 1);
	MarkGUCPrefixReserved("hdms");
}
