/*
 * fn_evidence_keys.c
 *		Keys and lists of notaries that the verification of many records shares.
 *
 * Each is read and verified once. What protocol/ allocates is freed by a callback of the memory context that
 * all of this lives in, so an error anywhere leaks nothing.
 */
#include "postgres.h"

#include <stdlib.h>

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "admission.h"
#include "fn_evidence_keys.h"
#include "plan_array.h"

#define PATIENTS_KEPT	1024	/* histories, 10 kB each; two with the same hash drive each other out */

typedef struct PatientHistory
{
	char		node_id[HDMS_DIGEST_TEXT + 1];	/* "": none */
	HdmsHistory *history;		/* NULL: see status */
	HdmsStatus	status;
} PatientHistory;

struct EvidenceKeys
{
	MemoryContextCallback callback;
	MemoryContext context;
	char	   *admission;
	bool		is_admitted;
	HdmsStatus	network_status;
	HdmsStatus	issuer_status;
	HdmsKey    *network;
	HdmsHistory *issuer;
	HdmsNotaryList *lists;
	int			list_count;
	int			list_room;
	PatientHistory *patients;	/* PATIENTS_KEPT of them */
};

static void
free_keys(void *arg)
{
	EvidenceKeys *keys = arg;

	hdms_key_free(keys->network);
	hdms_history_free(keys->issuer);
	for (int i = 0; i < keys->list_count; i++)
		hdms_notaries_free(&keys->lists[i]);
	for (int i = 0; i < PATIENTS_KEPT; i++)
		hdms_history_free(keys->patients[i].history);
}

/* The network key and this node's own history and admission. */
static void
read_own_node(EvidenceKeys *keys)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS("SELECT network, network_key, history, admission, node_id"
												  " FROM hdms_internal.node");
	HdmsAdmission admission;
	char	   *admission_text;
	char	   *fingerprint;
	char	   *network_key;
	char	   *history;
	char	   *node_id;

	keys->network_status = keys->issuer_status = HDMS_NOT_ADMITTED;
	if (flow_read_without_args(&find) == 0)
		return;
	fingerprint = row_text(0, 1);
	network_key = row_text(0, 2);
	history = row_text(0, 3);
	admission_text = row_text(0, 4);
	node_id = row_text(0, 5);
	keys->admission = admission_text == NULL ? NULL : MemoryContextStrdup(keys->context, admission_text);
	flow_rows_free();
	if (network_key != NULL)
		keys->network_status = hdms_key_from_jwk(network_key, strlen(network_key), &keys->network);
	if (history != NULL)
		keys->issuer_status = hdms_history_parse(history, strlen(history), &keys->issuer);
	if (keys->network != NULL && strcmp(hdms_key_thumbprint(keys->network), fingerprint) != 0)
	{
		keys->network_status = HDMS_BAD_KEY;
		hdms_key_free(keys->network);
		keys->network = NULL;
	}
	if (keys->issuer != NULL && (node_id == NULL || strcmp(hdms_history_node_id(keys->issuer), node_id) != 0))
	{
		keys->issuer_status = HDMS_BAD_KEY;
		hdms_history_free(keys->issuer);
		keys->issuer = NULL;
	}
	keys->is_admitted = keys->network != NULL && keys->issuer != NULL && keys->admission != NULL &&
		hdms_admission_verify(keys->admission, strlen(keys->admission), keys->network, keys->issuer, &admission) == HDMS_OK;
}

EvidenceKeys *
evidence_keys_open(MemoryContext context)
{
	EvidenceKeys *keys = MemoryContextAllocZero(context, sizeof(EvidenceKeys));

	keys->context = context;
	keys->patients = MemoryContextAllocZero(context, PATIENTS_KEPT * sizeof(PatientHistory));
	keys->callback.func = free_keys;
	keys->callback.arg = keys;
	MemoryContextRegisterResetCallback(context, &keys->callback);
	read_own_node(keys);
	return keys;
}

HdmsStatus
evidence_keys_network(const EvidenceKeys *keys)
{
	return keys->network_status;
}

HdmsStatus
evidence_keys_issuer(const EvidenceKeys *keys)
{
	return keys->issuer_status;
}

static const PatientHistory *
find_patient(EvidenceKeys *keys, const char *node_id)
{
	static FlowPlan find = FLOW_PLAN("SELECT history FROM hdms_internal.peers WHERE node_id = $1", TEXTOID);
	PatientHistory *patient = &keys->patients[hash_bytes((const unsigned char *) node_id, (int) strlen(node_id)) % PATIENTS_KEPT];
	char	   *history = NULL;

	if (strcmp(patient->node_id, node_id) == 0)
		return patient;
	if (flow_read(&find, flow_text(node_id)) > 0)
		history = row_text(0, 1);
	flow_rows_free();
	hdms_history_free(patient->history);
	patient->history = NULL;
	strlcpy(patient->node_id, node_id, sizeof(patient->node_id));
	patient->status = history == NULL ? HDMS_UNKNOWN_KEY : hdms_history_parse(history, strlen(history), &patient->history);
	return patient;
}

static bool
has_list(const EvidenceKeys *keys, const char *digest)
{
	for (int i = 0; i < keys->list_count; i++)
	{
		if (strcmp(keys->lists[i].digest, digest) == 0)
			return true;
	}
	return false;
}

static void
read_list(EvidenceKeys *keys, const char *digest)
{
	static FlowPlan find = FLOW_PLAN("SELECT jws, iat, max_age FROM hdms_internal.notary_lists WHERE digest = $1", TEXTOID);
	HdmsNotaryList *list;
	char	   *jws = NULL;
	int64		iat = 0;
	int64		max_age = 0;

	if (keys->network == NULL || has_list(keys, digest))
		return;
	if (keys->list_count == keys->list_room)
	{
		int			room = Max(4, keys->list_room * 2);

		keys->lists = keys->lists == NULL ? MemoryContextAllocZero(keys->context, room * sizeof(HdmsNotaryList)) :
			repalloc(keys->lists, room * sizeof(HdmsNotaryList));
		keys->list_room = room;
	}
	if (flow_read(&find, flow_text(digest)) > 0)
	{
		jws = row_text(0, 1);
		iat = row_int64(0, 2);
		max_age = row_int64(0, 3);
	}
	flow_rows_free();
	list = &keys->lists[keys->list_count];
	memset(list, 0, sizeof(*list));
	if (jws == NULL || hdms_notaries_parse(jws, strlen(jws), keys->network, list) != HDMS_OK)
		return;
	if (list->iat == iat && list->max_age == max_age)
		keys->list_count++;
	else
		hdms_notaries_free(list);
}

HdmsStatus
evidence_keys_fill(EvidenceKeys *keys, const char *patient, char **lists, int list_count, HdmsEvidence *evidence)
{
	HdmsStatus	status = HDMS_UNKNOWN_KEY;

	for (int i = 0; i < list_count; i++)
		read_list(keys, lists[i]);
	evidence->network = keys->network;
	evidence->issuer = keys->issuer;
	evidence->admission = keys->admission;
	evidence->is_admitted = keys->is_admitted;
	evidence->lists = keys->lists;
	evidence->list_count = keys->list_count;
	if (patient != NULL)
	{
		const PatientHistory *found = find_patient(keys, patient);

		evidence->patient = found->history;
		status = found->status;
	}
	return status;
}
