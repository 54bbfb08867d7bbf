/*
 * settings.h
 *		The settings hdms.*, as hdms.c defines them. All can change while the server runs.
 */
#ifndef HDMS_EXT_SETTINGS_H
#define HDMS_EXT_SETTINGS_H

#include "postgres.h"

/* Values of hdms.key_suite: what keys a new node gets. */
typedef enum KeySuite
{
	KEY_SUITE_P256 = 0,
	KEY_SUITE_RSA_2048 = 2048,
	KEY_SUITE_RSA_3072 = 3072,
	KEY_SUITE_RSA_4096 = 4096
} KeySuite;

/* Strings are "" when they are not set, never NULL. */
extern char *setting_databases;			/* list of databases with a worker */
extern char *setting_key_directory;		/* absolute path */
extern char *setting_server_ca_file;	/* PEM file; "": the system's */
extern char *setting_actor;				/* who acts, for the audit */
extern int	setting_key_suite;			/* KeySuite */
extern bool setting_require_confirmation;
extern bool setting_allow_plain_http;
extern bool setting_allow_drop;
extern bool setting_tell_patients_of_reads;

/* Seconds. */
extern int	setting_poll_interval;
extern int	setting_accept_within;
extern int	setting_expiry_grace;
extern int	setting_probe_patience;
extern int	setting_resend_interval;
extern int	setting_checkpoint_interval;
extern int	setting_rotation_grace;
extern int	setting_directory_interval;
extern int	setting_witness_interval;

extern int	setting_witnesses;		/* how many are asked; 0: none */
extern int	setting_publish_interval;

extern void settings_define(void);

#endif
