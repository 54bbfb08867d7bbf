/*
 * flow_pairing.c
 *		"pair": a device answers an invitation, and a patient gets a node.
 *
 * The one-time secret came to the device on paper or a screen; a MAC over both nodes' first keys proves
 * that the sender has it, and that nobody in between swapped a key. Who comes second with the same secret
 * may be the patient, and the first one a thief who photographed the code: nobody here can
 * tell, so the binding is suspended until the institution has looked at it.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "admission.h"
#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "malloc_guard.h"
#include "node.h"
#include "outbox.h"
#include "pairing.h"
#include "settings.h"

#define MAX_WRONG_ATTEMPTS	5
#define MEMBERSHIP_TERM		((int64) 3652 * 86400)	/* seconds: ten years */

typedef struct Invitation
{
	char		id[37];
	char	   *patient_ref;
	char		status[16];
	char		used_by[HDMS_DIGEST_TEXT + 1];
	bool		is_past;
	bool		has_secret;
	unsigned char secret[HDMS_PAIRING_SECRET_SIZE];
	char		patient_node[HDMS_DIGEST_TEXT + 1];
	char		patient_status[16];
	char		replaces[HDMS_DIGEST_TEXT + 1];	/* the node that the institution said is lost; "" mostly */
} Invitation;

/* The same order of locks as hdms.invite_patient(): the patient first. */
static FlowPlan lock_patient =
FLOW_PLAN("SELECT 1 FROM hdms_internal.patients WHERE patient_ref ="
		  " (SELECT patient_ref FROM hdms_internal.invitations WHERE invitation = CAST($1 AS uuid)) FOR NO KEY UPDATE",
		  TEXTOID);

static FlowPlan find_invitation =
FLOW_PLAN("SELECT i.patient_ref, i.status, i.used_by, i.expires_at <= clock_timestamp(), i.secret, p.node_id, p.status, i.replaces"
		  " FROM hdms_internal.invitations i JOIN hdms_internal.patients p ON p.patient_ref = i.patient_ref"
		  " WHERE i.invitation = CAST($1 AS uuid)",
		  TEXTOID);

static FlowPlan end_invitation =
FLOW_PLAN("UPDATE hdms_internal.invitations SET status = $2, secret = NULL WHERE invitation = CAST($1 AS uuid)", TEXTOID, TEXTOID);

static FlowPlan count_wrong =
FLOW_PLAN("UPDATE hdms_internal.invitations SET wrong_attempts = wrong_attempts + 1"
		  " WHERE invitation = CAST($1 AS uuid) RETURNING CAST(wrong_attempts AS bigint)",
		  TEXTOID);

static FlowPlan use_invitation =
FLOW_PLAN("UPDATE hdms_internal.invitations SET status = 'used', used_by = $2 WHERE invitation = CAST($1 AS uuid)",
		  TEXTOID, TEXTOID);

static FlowPlan close_invitations =
FLOW_PLAN("UPDATE hdms_internal.invitations SET status = 'closed', secret = NULL WHERE patient_ref = $1 AND status = 'open'",
		  TEXTOID);

static FlowPlan bind_patient =
FLOW_PLAN("UPDATE hdms_internal.patients SET node_id = $2, status = $3, confirmation_code = $4,"
		  " paired_at = CASE WHEN $4 IS NULL THEN clock_timestamp() END WHERE patient_ref = $1",
		  TEXTOID, TEXTOID, TEXTOID, TEXTOID);

static FlowPlan suspend_patient =
FLOW_PLAN("UPDATE hdms_internal.patients SET status = 'suspended', confirmation_code = NULL WHERE patient_ref = $1", TEXTOID);

static FlowPlan find_other_patient =
FLOW_PLAN("SELECT 1 FROM hdms_internal.patients WHERE node_id = $1 AND patient_ref <> $2", TEXTOID, TEXTOID);

static bool
load_invitation(const char *id, Invitation *invitation)
{
	bool		found;
	bytea	   *secret;

	flow_run(&lock_patient, flow_text(id));
	flow_rows_free();
	found = flow_run(&find_invitation, flow_text(id)) > 0;
	memset(invitation, 0, sizeof(*invitation));
	if (found)
	{
		strlcpy(invitation->id, id, sizeof(invitation->id));
		invitation->patient_ref = row_text(0, 1);
		row_copy(0, 2, invitation->status, sizeof(invitation->status));
		row_copy(0, 3, invitation->used_by, sizeof(invitation->used_by));
		invitation->is_past = row_bool(0, 4);
		secret = row_bytea(0, 5);
		if (secret != NULL && VARSIZE_ANY_EXHDR(secret) == HDMS_PAIRING_SECRET_SIZE)
		{
			memcpy(invitation->secret, VARDATA_ANY(secret), HDMS_PAIRING_SECRET_SIZE);
			invitation->has_secret = true;
			OPENSSL_cleanse(VARDATA_ANY(secret), HDMS_PAIRING_SECRET_SIZE);
		}
		row_copy(0, 6, invitation->patient_node, sizeof(invitation->patient_node));
		row_copy(0, 7, invitation->patient_status, sizeof(invitation->patient_status));
		row_copy(0, 8, invitation->replaces, sizeof(invitation->replaces));
	}
	flow_rows_free();
	return found;
}

/* The device is told; the refusal is an event where the invitation was one of ours. */
static FlowOutcome
refuse_pairing(const FlowMessage *message, const Invitation *invitation, const char *code, const char *detail, char **reason)
{
	HdmsBody	body = {0};

	body.code = (char *) code;
	body.detail = (char *) detail;
	flow_answer(message, HDMS_MSG_PAIR_REFUSED, 0, false, &body);
	if (invitation != NULL && !message->duplicate)
		event_write("pairing_refused", NULL, 0, invitation->patient_ref, NULL, NULL, code);
	return flow_drop(reason, psprintf("pairing refused: %s", code));
}

static FlowOutcome
refuse_wrong_mac(const FlowMessage *message, const Invitation *invitation, char **reason)
{
	if (!message->duplicate)
	{
		int64		attempts;

		flow_run(&count_wrong, flow_text(invitation->id));
		attempts = row_int64(0, 1);
		flow_rows_free();
		if (attempts >= MAX_WRONG_ATTEMPTS)
			flow_run(&end_invitation, flow_text(invitation->id),
					 flow_text(strcmp(invitation->status, "open") == 0 ? "closed" : invitation->status));
	}
	return refuse_pairing(message, invitation, hdms_status_word(HDMS_BAD_SIGNATURE),
						  "The sender does not have the invitation's secret.", reason);
}

/* A second device knows a secret that was used: which of the two is the patient's is for people to find out. */
static FlowOutcome
suspend(const FlowMessage *message, const Invitation *invitation, char **reason)
{
	if (!message->duplicate)
	{
		flow_run(&suspend_patient, flow_text(invitation->patient_ref));
		flow_run(&close_invitations, flow_text(invitation->patient_ref));
		event_write_binding("pairing_conflict", invitation->patient_ref,
							invitation->patient_node[0] != '\0' ? invitation->patient_node : NULL, "suspended",
							"a second device used the invitation");
	}
	return refuse_pairing(message, NULL, "used", "The invitation was used by another device.", reason);
}

static void
answer_paired(const FlowMessage *message, const Invitation *invitation, bool confirm)
{
	HdmsVoucher membership = {0};
	HdmsBody	body = {0};
	char	  **text = guard_text();
	int64		now = node_now();

	strlcpy(membership.iss, own_node.id, sizeof(membership.iss));
	strlcpy(membership.sub, message->head->iss, sizeof(membership.sub));
	flow_require(hdms_uuid7(node_now_ms(), membership.jti), "making a UUID");
	membership.iat = now;
	membership.exp = now + MEMBERSHIP_TERM;
	flow_require(hdms_voucher_sign(own_node.signing, &membership, text), "signing a membership");
	body.membership = *text;
	body.name = (char *) hdms_history_name(own_node.history);
	body.confirm = confirm;
	flow_answer(message, HDMS_MSG_PAIRED, 0, true, &body);
}

/* Binds the patient to the node that proved to have the secret. */
static FlowOutcome
bind_node(const FlowMessage *message, const Invitation *invitation, HdmsHistory **person, char **reason)
{
	bool		confirm = setting_require_confirmation;
	const char *status = confirm ? "unconfirmed" : "paired";
	char		code[7];
	bool		is_taken;
	bool		is_replaced = invitation->patient_node[0] != '\0' && strcmp(invitation->patient_node, message->head->iss) != 0;

	is_taken = flow_run(&find_other_patient, flow_text(message->head->iss), flow_text(invitation->patient_ref)) > 0;
	flow_rows_free();
	if (is_taken)
		return refuse_pairing(message, invitation, "node-in-use", "The node is paired with this institution already.", reason);
	flow_require(hdms_pairing_code(invitation->secret, own_node.history, *person, code), "the confirmation code");
	if (!directory_pin(person))
		return refuse_pairing(message, invitation, hdms_status_word(HDMS_BAD_CHAIN),
							  "The key history contradicts the one that is known.", reason);
	directory_want_node(message->head->iss);	/* what came from the node itself must be in the directory's log, too */
	flow_run(&bind_patient, flow_text(invitation->patient_ref), flow_text(message->head->iss), flow_text(status),
			 flow_text(confirm ? code : NULL));
	flow_run(&use_invitation, flow_text(invitation->id), flow_text(message->head->iss));
	event_write_binding(is_replaced ? "replaced" : "paired", invitation->patient_ref, message->head->iss, status,
						is_replaced ? invitation->patient_node : NULL);
	if (is_replaced)
		flow_replace(invitation->patient_ref, invitation->patient_node);
	flow_timers_soon();			/* what waited for the patient may go */
	answer_paired(message, invitation, confirm);
	return FLOW_DONE;
}

static FlowOutcome
answer_invitation(const FlowMessage *message, Invitation *invitation, HdmsHistory **person, char **reason)
{
	unsigned char given[HDMS_DIGEST_SIZE];
	unsigned char mac[HDMS_DIGEST_SIZE];
	bool		is_open = strcmp(invitation->status, "open") == 0;
	bool		is_used = strcmp(invitation->status, "used") == 0;

	if (is_used && strcmp(invitation->used_by, message->head->iss) == 0
		&& strcmp(invitation->patient_node, message->head->iss) == 0
		&& strcmp(invitation->patient_status, "suspended") != 0)
	{
		answer_paired(message, invitation, strcmp(invitation->patient_status, "unconfirmed") == 0);
		return FLOW_DONE;
	}
	if (!invitation->has_secret || invitation->is_past || (!is_open && !is_used))
	{
		bool		is_expired = invitation->is_past || strcmp(invitation->status, "expired") == 0;

		return refuse_pairing(message, invitation,
							  is_expired ? hdms_status_word(HDMS_EXPIRED) : is_used ? "used" : "closed",
							  "The invitation cannot be used any more.", reason);
	}
	flow_require(hdms_pairing_mac(invitation->secret, own_node.history, *person, mac), "the pairing's MAC");
	if (hdms_base64url_read(message->body->mac, strlen(message->body->mac), given, sizeof(given)) != HDMS_OK
		|| !hdms_equal(mac, given, sizeof(mac)))
		return refuse_wrong_mac(message, invitation, reason);
	if (strcmp(invitation->patient_status, "suspended") == 0 && is_used)
		return refuse_pairing(message, invitation, "used", "The invitation was used by another device.", reason);
	if (is_used)
		return suspend(message, invitation, reason);

	/*
	 * An invitation that was made after the binding was suspended, or to replace that very node, is the institution's decision; any other
	 * rival is a conflict.
	 */
	if (invitation->patient_node[0] != '\0' && strcmp(invitation->patient_node, message->head->iss) != 0
		&& strcmp(invitation->patient_status, "suspended") != 0 && strcmp(invitation->patient_node, invitation->replaces) != 0)
		return suspend(message, invitation, reason);
	return bind_node(message, invitation, person, reason);
}

FlowOutcome
flow_pair(const FlowMessage *message, char **reason)
{
	const HdmsBody *body = message->body;
	HdmsHistory **person = guard_history();
	Invitation	invitation;
	FlowOutcome outcome;
	HdmsStatus	status;

	status = hdms_history_parse(body->history, strlen(body->history), person);
	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "reading a key history");
	if (status == HDMS_OK && (hdms_history_kind(*person) != HDMS_PERSON
							  || strcmp(hdms_history_node_id(*person), message->head->iss) != 0))
		status = HDMS_WRONG_SENDER;
	if (status != HDMS_OK)
		return refuse_pairing(message, NULL, hdms_status_word(status), hdms_status_sentence(status), reason);
	if (!hdms_is_uuid(body->invitation, strlen(body->invitation)) || !load_invitation(body->invitation, &invitation))
		return refuse_pairing(message, NULL, "unknown-invitation", "There is no such invitation.", reason);
	outcome = answer_invitation(message, &invitation, person, reason);
	OPENSSL_cleanse(invitation.secret, sizeof(invitation.secret));
	return outcome;
}
