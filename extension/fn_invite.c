/*
 * fn_invite.c
 *		hdms.invite_patient(): a one-time code with which a patient's device finds this institution.
 *
 * A backend has no key and so cannot sign the voucher that the code contains: it takes one that the worker has
 * signed in advance. The secret is kept until the device has proved that it knows it; it
 * is in no view and in no log.
 */
#include "postgres.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "fn_argument.h"
#include "fn_audit.h"
#include "malloc_guard.h"
#include "pairing.h"
#include "wake.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_invite_patient);

/* How long to wait for the worker to sign a voucher where none is in stock. */
#define VOUCHER_WAIT_MS		10000
#define VOUCHER_LOOK_MS		100

/* Runs a statement; the rows are in SPI_tuptable. */
static uint64
run(const char *sql, int count, Oid *types, Datum *values)
{
	int			result = SPI_execute_with_args(sql, count, types, values, NULL, false, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
	return SPI_processed;
}

static char *
result_text(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

/* Fills server, network and node, or raises an ERROR that says why nobody can be invited. */
static void
read_node(HdmsPairing *pairing)
{
	char	   *status;

	if (run("SELECT status, problem, server_url, network, node_id FROM hdms_internal.node", 0, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is not a node of a network"),
				 errhint("Call hdms.join_network() first.")));
	status = result_text(1);
	if (strcmp(status, "active") != 0)
	{
		char	   *problem = result_text(2);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the node is not active in the network yet"),
				 problem != NULL ? errdetail("Its status is %s: %s.", status, problem) : errdetail("Its status is %s.", status),
				 errhint("The network's operator admits it; hdms.doctor() says what is missing.")));
	}
	pairing->server = result_text(3);
	strlcpy(pairing->network, result_text(4), sizeof(pairing->network));
	strlcpy(pairing->node, result_text(5), sizeof(pairing->node));
}

/* Takes a voucher that is valid for that long. */
static bool
take_voucher(Interval *expires, HdmsPairing *pairing)
{
	Oid			types[1] = {INTERVALOID};
	Datum		values[1] = {IntervalPGetDatum(expires)};

	if (run("DELETE FROM hdms_internal.vouchers v USING"
			" (SELECT jti FROM hdms_internal.vouchers WHERE expires_at > clock_timestamp() + $1"
			"  ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED) taken"
			" WHERE v.jti = taken.jti RETURNING v.jti, v.voucher", 1, types, values) == 0)
		return false;
	strlcpy(pairing->invitation, result_text(1), sizeof(pairing->invitation));
	pairing->voucher = result_text(2);
	return true;
}

static void
wait_for_voucher(Interval *expires, HdmsPairing *pairing)
{
	for (int waited = 0; !take_voucher(expires, pairing); waited += VOUCHER_LOOK_MS)
	{
		if (!wake_worker_for_vouchers())
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no worker serves this database"),
					 errhint("hdms.doctor() says what is missing.")));
		if (waited >= VOUCHER_WAIT_MS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the worker has not signed a voucher within %d seconds", VOUCHER_WAIT_MS / 1000),
					 errhint("Try again; hdms.workers shows what the worker does. In a transaction of "
							 "isolation level REPEATABLE READ new vouchers are never seen.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, VOUCHER_LOOK_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Makes the patient known as invited, and earlier invitations useless. replace: also one who has a node, which is lost. */
static void
prepare_patient(text *patient_ref, bool replace)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PointerGetDatum(patient_ref)};
	char	   *status;

	(void) run("INSERT INTO hdms_internal.patients (patient_ref, status) VALUES ($1, 'invited')"
			   " ON CONFLICT (patient_ref) DO NOTHING", 1, types, values);
	if (run("SELECT status, paired_at FROM hdms_internal.patients WHERE patient_ref = $1 FOR NO KEY UPDATE", 1, types, values) == 0)
		argument_unknown_patient(patient_ref);
	status = result_text(1);
	if (!replace && (strcmp(status, "paired") == 0 || strcmp(status, "unconfirmed") == 0))
	{
		char	   *paired_at = result_text(2);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("patient \"%s\" has been paired with a device already", text_to_cstring(patient_ref)),
				 paired_at != NULL ? errdetail("The pairing was made at %s.", paired_at) : 0,
				 strcmp(status, "unconfirmed") == 0 ? errhint("Call hdms.confirm_patient() with the code on the patient's screen.") :
				 errhint("A patient who lost the device recovers it with the kit; without one, and after you have made sure who is asking, "
						 "call hdms.invite_patient() with replace => true.")));
	}
	(void) run("UPDATE hdms_internal.invitations SET status = 'closed', secret = NULL"
			   " WHERE patient_ref = $1 AND status = 'open'", 1, types, values);
	(void) run("UPDATE hdms_internal.patients SET status = 'invited' WHERE patient_ref = $1 AND status = 'registered'",
			   1, types, values);
}

static void
store_invitation(text *patient_ref, Interval *expires, bool replace, const HdmsPairing *pairing)
{
	Oid			types[5] = {UUIDOID, TEXTOID, BYTEAOID, INTERVALOID, BOOLOID};
	bytea	   *secret = palloc(VARHDRSZ + HDMS_PAIRING_SECRET_SIZE);
	Datum		values[5];

	SET_VARSIZE(secret, VARHDRSZ + HDMS_PAIRING_SECRET_SIZE);
	memcpy(VARDATA(secret), pairing->secret, HDMS_PAIRING_SECRET_SIZE);
	values[0] = DirectFunctionCall1(uuid_in, CStringGetDatum(pairing->invitation));
	values[1] = PointerGetDatum(patient_ref);
	values[2] = PointerGetDatum(secret);
	values[3] = IntervalPGetDatum(expires);
	values[4] = BoolGetDatum(replace);
	(void) run("INSERT INTO hdms_internal.invitations (invitation, patient_ref, secret, status, expires_at, replaces)"
			   " VALUES ($1, $2, $3, 'open', clock_timestamp() + $4,"
			   "  (SELECT node_id FROM hdms_internal.patients WHERE patient_ref = $2 AND $5))", 5, types, values);
	OPENSSL_cleanse(secret, VARHDRSZ + HDMS_PAIRING_SECRET_SIZE);
}

Datum
hdms_fn_invite_patient(PG_FUNCTION_ARGS)
{
	HdmsPairing pairing = {0};
	MemoryContext caller = CurrentMemoryContext;
	char	  **uri = guard_text();
	text	   *patient_ref;
	Interval   *expires;
	HdmsStatus	status;

	argument_required(fcinfo, 0, "patient_ref");
	argument_required(fcinfo, 1, "expires");
	argument_required(fcinfo, 2, "replace");
	patient_ref = PG_GETARG_TEXT_PP(0);
	expires = PG_GETARG_INTERVAL_P(1);
	argument_check_text(patient_ref, "patient_ref", MAX_PATIENT_REF);
	argument_check_interval(expires, "expires", "1 minute", "7 days");

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	read_node(&pairing);

	/* The voucher comes first: no row of the patient is locked while the worker is waited for. */
	wait_for_voucher(expires, &pairing);
	prepare_patient(patient_ref, PG_GETARG_BOOL(2));
	status = hdms_random(pairing.secret, sizeof(pairing.secret));
	if (status == HDMS_OK)
	{
		store_invitation(patient_ref, expires, PG_GETARG_BOOL(2), &pairing);
		status = hdms_pairing_uri(&pairing, uri);
		OPENSSL_cleanse(pairing.secret, sizeof(pairing.secret));
	}
	if (status != HDMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not make the pairing URI: %s", hdms_status_sentence(status))));
	audit_write("invite", NULL, 0, patient_ref, PG_GETARG_BOOL(2) ? cstring_to_text("replace") : NULL);
	SPI_finish();
	MemoryContextSwitchTo(caller);
	wake_worker_at_commit();
	PG_RETURN_TEXT_P(cstring_to_text(*uri));
}
