/*
 * hdms_node.h
 *		The personal node as a library: what a phone's application, or the command line, links.
 *
 * A home is one person's node on one device: a folder with an encrypted database. It holds one
 * node of the network for each pairing with an institution. An engine moves messages for one or
 * more homes over HTTP; it owns no thread: the application's event loop waits for its
 * descriptor and calls hdms_engine_step().
 *
 * Nothing here is thread-safe: call everything that concerns one engine and its homes from one thread.
 * Results that are lists or objects are JSON texts (malloc'ed, to be freed with free()), as the
 * command line prints with --json. Identifiers of records, where a function takes an "id", are the
 * number that the lists show, the record's UUID (its newest version), or a verification key.
 */
#ifndef HDMS_NODE_H
#define HDMS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HDMS_NODE_API __attribute__((visibility("default")))

typedef struct HdmsHome HdmsHome;
typedef struct HdmsEngine HdmsEngine;

/* How a call ended. */
typedef enum HdmsNodeResult
{
	HDMS_NODE_OK = 0,
	HDMS_NODE_REFUSED,			/* not possible in this state, or refused by a check */
	HDMS_NODE_NOT_FOUND,		/* no such record, pairing or home */
	HDMS_NODE_WRONG_SECRET,		/* the passphrase or the platform's key does not open the home */
	HDMS_NODE_BUSY,				/* another process has the home open */
	HDMS_NODE_BAD_ARGUMENT,		/* something unusable was passed */
	HDMS_NODE_STORAGE,			/* the database or a file failed */
	HDMS_NODE_NETWORK,			/* the server could not be reached in time */
	HDMS_NODE_FAILED			/* memory or cryptography failed */
} HdmsNodeResult;

/* Why, in one line without secrets or health data. Filled by every call that takes one and does not return HDMS_NODE_OK. May be NULL. */
typedef struct HdmsNodeError
{
	HdmsNodeResult result;
	char		message[256];
} HdmsNodeError;

/* What opens a home: a passphrase, or a 32-byte key that the platform's keystore hands over. Exactly one of them is set. Borrowed. */
typedef struct HdmsNodeSecret
{
	const char *passphrase;
	const unsigned char *platform_key;	/* 32 bytes */
} HdmsNodeSecret;

typedef enum HdmsSuite
{
	HDMS_SUITE_P256, HDMS_SUITE_RSA
} HdmsSuite;

/* How a home is opened. Zeroed is the default for all members. */
typedef struct HdmsHomeOptions
{
	/* Milliseconds since 1970; NULL: the system's clock. */
	int64_t		(*clock) (void *arg);
	void	   *clock_arg;

	/* One line for the log, without secrets or health data; NULL: nothing is logged. */
	void		(*log) (void *arg, const char *line);
	void	   *log_arg;

	/* Keep the database in memory only (the load driver); nothing is left when the home is closed. */
	bool		in_memory;

	/* Called whenever a record, a pairing or the inbox changed: time to look again. May be NULL. */
	void		(*changed) (void *arg);
	void	   *changed_arg;
} HdmsHomeOptions;

/*
 * Makes a new home: the folder (0700) if it is absent, the database, a fresh 32-byte recovery seed.
 * seed, where it is not NULL, receives the seed: for the person to keep; wipe it afterwards.
 * HDMS_NODE_REFUSED when there is a home already.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_create(const char *path, const HdmsNodeSecret *secret, HdmsSuite suite,
													 unsigned char seed[32], HdmsNodeError *error);

/*
 * Opens a home: takes its lock, brings its schema up to date, unlocks its keys and builds the index in
 * memory. options may be NULL. With options->in_memory a fresh home is made that path only names the settings of.
 * HDMS_NODE_WRONG_SECRET, HDMS_NODE_BUSY, HDMS_NODE_NOT_FOUND, HDMS_NODE_STORAGE.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_open(const char *path, const HdmsNodeSecret *secret, const HdmsHomeOptions *options,
												   HdmsHome **home, HdmsNodeError *error);

/*
 * The recovery kit: {"words": the seed as 24 words (BIP-39, English), "kits": [{"server", "network": the network key's fingerprint, "pairings": how
 * many, "uri": all of that in one text, for a QR code}]}, one for each network. To be wiped. The secret is always asked for, and a service
 * may have the home open meanwhile.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_kit(const char *path, const HdmsNodeSecret *secret, char **json, HdmsNodeError *error);

/* Replaces what opens a home. A service that has it open goes on. */
extern HDMS_NODE_API HdmsNodeResult hdms_home_change_secret(const char *path, const HdmsNodeSecret *before, const HdmsNodeSecret *after,
															HdmsNodeError *error);

/*
 * Makes a home that takes over the nodes of a lost device, from that device's seed. Looking for them, replacing their keys (which shuts the lost device
 * out) and getting the records back is the engine's work, whenever it runs; hdms_home_status() tells how far it is. A home that
 * was made so before, and has found nothing yet, is taken as it is. HDMS_NODE_REFUSED when there is another home already.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_recover(const char *path, const HdmsNodeSecret *secret, const unsigned char seed[32],
													  const char *server, const char *network, HdmsNodeError *error);

/* Detaches from its engine, wipes the keys and closes. Safe on NULL. */
extern HDMS_NODE_API void hdms_home_close(HdmsHome *home);

/*
 * Begins a pairing from the text of an invitation (a URI, mostly from a QR code): writes it down and returns its number. The engine does the
 * rest; hdms_home_pairing() tells how far it is.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_pair(HdmsHome *home, const char *uri, int64_t *pairing, HdmsNodeError *error);

/*
 * One pairing: {"pairing", "status", "institution", "node", "name", "server", "policy", "erasures", "code", "problem", "recovering": whether its
 * records are being fetched for a new device, "rotating": whether its keys are being replaced}. status: "new", "registered", "sent", "paired", "refused", "replaced" (by another
 * node of this person). code: six digits to read out where the institution asks for confirmation.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_pairing(HdmsHome *home, int64_t pairing, char **json, HdmsNodeError *error);

/* What waits for the person's decision: an array of entries as in hdms_home_records(), oldest first. */
extern HDMS_NODE_API HdmsNodeResult hdms_home_inbox(HdmsHome *home, char **json, HdmsNodeError *error);

/* What hdms_home_records() shall list. Zeroed: the newest version of everything that is final. */
typedef struct HdmsRecordQuery
{
	const char *type;			/* a prefix of the type, such as "fhir/R4/Observation"; NULL: all */
	const char *text;			/* must occur in the label, ignoring case; NULL: all */
	const char *since;			/* "2024-01-31": on or after that date of the content; NULL: all */
	bool		every_status;	/* also what is not, or no longer, in force */
} HdmsRecordQuery;

/*
 * An array of {"id", "record", "version", "vk", "status", "type", "date", "label", "institution", "received", "accept_until", "problem"}; the newest
 * first. Answered from the index in memory. query may be NULL.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_records(HdmsHome *home, const HdmsRecordQuery *query, char **json, HdmsNodeError *error);

/*
 * One entry with "replaces" (the record that it continues, or null) and "content": the record's bytes as they were signed; null when it was erased.
 * "tombstone": the institution has erased its own.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_show(HdmsHome *home, const char *id, char **json, HdmsNodeError *error);

/*
 * When the person's records, or only one of them (id may be NULL), were read or exported, as far as their institutions tell: an array of {"record",
 * "version", "at", "action", "purpose", "institution"}, the newest first, at most 1000. action: "read" or "export".
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_reads(HdmsHome *home, const char *id, char **json, HdmsNodeError *error);

/* Accepts what waits: signs the acceptance and draws the notary. The messages go out when the engine runs. */
extern HDMS_NODE_API HdmsNodeResult hdms_home_accept(HdmsHome *home, const char *id, HdmsNodeError *error);

/*
 * Accepts everything that waits and that the institution (NULL: any; known as in hdms_home_set_policy()) issued as the continuation of an older record,
 * which another node of this person had: {"waiting", "accepted"}. only_count: only counts, to be shown before the person agrees.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_accept_replaced(HdmsHome *home, const char *institution, bool only_count, char **json,
															  HdmsNodeError *error);

/*
 * Replaces the signing and encryption keys of a pairing's node (institution as in hdms_home_set_policy(); NULL: of all): {"rotating": how many}. Each waits until no
 * version of its own is with a notary; the engine then registers the new keys and tells the institution.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_rotate(HdmsHome *home, const char *institution, char **json, HdmsNodeError *error);

/* Rejects it with a signed reason, at most 1000 bytes of UTF-8. */
extern HDMS_NODE_API HdmsNodeResult hdms_home_reject(HdmsHome *home, const char *id, const char *reason, HdmsNodeError *error);

/*
 * Recomputes everything from the stored bytes: {"record", "ok", "checks": [{"version", "check", "ok", "problem"}]}. HDMS_NODE_REFUSED, with the
 * JSON all the same, when a check fails.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_verify(HdmsHome *home, const char *id, char **json, HdmsNodeError *error);

/*
 * The same for all records with evidence: {"records", "failed", "ok", "failures": [{"record", "version", "problem"}]}. HDMS_NODE_REFUSED, with the
 * JSON all the same, when one fails.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_verify_all(HdmsHome *home, char **json, HdmsNodeError *error);

/*
 * Verifies one record, or all (id NULL), and asks the institutions for sound copies of what is damaged; they are put back when the engine has them, and a
 * notice tells of it. {"records", "failed", "asked", "failures": as above}; asked: versions.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_repair(HdmsHome *home, const char *id, char **json, HdmsNodeError *error);

/* The record's evidence file (protocol/evidence.h), which anybody checks offline. */
extern HDMS_NODE_API HdmsNodeResult hdms_home_export(HdmsHome *home, const char *id, char **json, HdmsNodeError *error);

/*
 * The standing rule for an institution, known by its pairing's number, node id or unambiguous name: accept without asking, or ask.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_set_policy(HdmsHome *home, const char *institution, bool accept, HdmsNodeError *error);

/* Likewise what becomes of the person's copies when that institution erases a record: they are erased, or kept, which is the rule to begin with. */
extern HDMS_NODE_API HdmsNodeResult hdms_home_set_erasures(HdmsHome *home, const char *institution, bool erase, HdmsNodeError *error);

/*
 * Erases the person's copy of a record that its institution has erased: verification keys, evidence without content, and the institution's
 * tombstone stay. HDMS_NODE_REFUSED where the institution still has it.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_erase(HdmsHome *home, const char *id, HdmsNodeError *error);

/* All pairings, as in hdms_home_pairing(). */
extern HDMS_NODE_API HdmsNodeResult hdms_home_pairings(HdmsHome *home, char **json, HdmsNodeError *error);

/*
 * How the node is: {"pairings": [...], "recovery": how far the search for a lost device's nodes is, {"looked", "found", "problem"} or null, "records": {status: count}, "outbox", "inbox", "quarantined", "clock_offset_seconds", "notices": [{"at", "kind",
 * "text"}]}. Notices are what a person should know: a key that was refused, messages that were put aside.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_status(HdmsHome *home, char **json, HdmsNodeError *error);

/*
 * Tries what was put aside again. Messages are put aside when two attempts ended without an outcome: because they crash the program, or because
 * the device lost power twice at the wrong moment. *count: how many. They are taken up when the engine runs.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_home_retry(HdmsHome *home, int64_t *count, HdmsNodeError *error);

/* An engine without homes. NULL when memory or descriptors are short. */
extern HDMS_NODE_API HdmsEngine *hdms_engine_create(void);

/* Detaches all homes (which stay open) and frees it. Safe on NULL. */
extern HDMS_NODE_API void hdms_engine_free(HdmsEngine *engine);

/* The engine moves this home's messages from now on, resuming whatever was under way. A home has at most one engine. */
extern HDMS_NODE_API HdmsNodeResult hdms_engine_attach(HdmsEngine *engine, HdmsHome *home, HdmsNodeError *error);
extern HDMS_NODE_API void hdms_engine_detach(HdmsEngine *engine, HdmsHome *home);

/* The descriptor to wait for (readable: call hdms_engine_step), and how long at most, in milliseconds. */
extern HDMS_NODE_API int hdms_engine_descriptor(HdmsEngine *engine);
extern HDMS_NODE_API int hdms_engine_timeout(HdmsEngine *engine);

/* Waits at most wait_ms milliseconds for something to do, and does it. False when the engine cannot go on. */
extern HDMS_NODE_API bool hdms_engine_step(HdmsEngine *engine, int wait_ms);

/*
 * Offers the commands on a Unix socket in the home's folder ("socket", 0600) to processes of the same user, for as long as
 * the home is attached. See docs/patient.md.
 */
extern HDMS_NODE_API HdmsNodeResult hdms_engine_serve(HdmsEngine *engine, HdmsHome *home, HdmsNodeError *error);

#endif
