/*
 * route_directory.c
 *		Registering a node, and asking for one.
 *
 * A registration proves itself: it is signed by the current key of the history that it carries. Everything that can be
 * verified without the directory is verified here, in the HTTP thread; whether the node is known, and whether its
 * voucher is still unused, is decided with the directory locked (batch_register.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authenticate.h"
#include "routes.h"
#include "server_clock.h"

#define LISTS_MAX	16			/* carried by one registration */

typedef struct Registering
{
	HdmsRegistration body;
	HdmsHistory *history;
	NodeRegistration registration;
	CarriedList lists[LISTS_MAX];
	char		issuer[HDMS_DIGEST_TEXT + 1];
} Registering;

static void
registering_free(Request *request)
{
	Registering *registering = request->state;

	hdms_wire_registration_free(&registering->body);
	hdms_history_free(registering->history);
	free(registering);
}

static void
reply_registered(Request *request)
{
	Registering *registering = request->state;
	const NodeRegistration *registration = &registering->registration;
	const char *id = hdms_history_node_id(registering->history);
	const char *kind = hdms_history_kind(registering->history) == HDMS_PERSON ? "person" : "institution";
	static const char active[] = "{\"status\":\"active\"}";
	static const char pending[] = "{\"status\":\"pending\"}";

	if (request_operation_failed(request))
		return;
	switch (registration->result)
	{
		case REGISTER_NEW:
			log_event(LEVEL_INFO, "node_registered", "node=s", id, "kind=s", kind, NULL);
			request_reply_json(request, 201, strdup(active));
			break;
		case REGISTER_KNOWN:
			request_reply_json(request, 200, strdup(active));
			break;
		case REGISTER_PENDING:
			log_event(LEVEL_INFO, "node_pending", "node=s", id, "name=s", hdms_history_name(registering->history), NULL);
			request_reply_json(request, 202, strdup(pending));
			break;
		case REGISTER_NOT_ADMITTED:
			request_problem(request, 403, "not-admitted", "the voucher is missing, is not valid here, or let another node in");
			break;
		case REGISTER_EXPIRED:
			request_problem(request, 410, "expired", "the voucher has expired");
			break;
		case REGISTER_FORK:
			log_event(registration->froze ? LEVEL_WARNING : LEVEL_DEBUG, "node_frozen", "node=s", id, "kind=s", kind, NULL);
			request_problem(request, 409, "fork", "the history contradicts the one that is known: the node is frozen");
			break;
	}
}

static void
submit_registration(Request *request)
{
	Registering *registering = request->state;

	request->operation.kind = OPERATION_REGISTER;
	request->operation.registration = &registering->registration;
	request_submit(request, reply_registered);
}

static void
check_voucher(Request *request, const Node *issuer)
{
	Registering *registering = request->state;
	NodeRegistration *registration = &registering->registration;
	const char *voucher = registering->body.voucher;
	HdmsStatus	status;

	registration->voucher_state = VOUCHER_INVALID;
	if (issuer != NULL && issuer->kind == HDMS_INSTITUTION && issuer->status == NODE_ACTIVE)
	{
		status = hdms_voucher_verify(voucher, strlen(voucher), issuer->history, wall_seconds(), &registration->voucher);
		if (status == HDMS_EXPIRED)
			registration->voucher_state = VOUCHER_EXPIRED;
		else if (status == HDMS_OK && (registration->voucher.sub[0] == '\0'
									   || strcmp(registration->voucher.sub, hdms_history_node_id(registering->history)) == 0))
			registration->voucher_state = VOUCHER_VALID;

		/* A membership is kept, as an institution's admission is: from it a recovered device learns where it belongs. */
		if (registration->voucher_state == VOUCHER_VALID && registration->voucher.sub[0] != '\0')
		{
			registration->admission = voucher;
			registration->admitted = registration->voucher.iat;
		}
	}
	submit_registration(request);
}

static void
issuer_loaded(Request *request)
{
	NodeRow    *row = request->operation.node.row;
	Node	   *issuer = NULL;

	request->operation.node.row = NULL;
	if (request_operation_failed(request))
	{
		node_row_free(row);
		return;
	}
	if (row != NULL)
		issuer = node_cache_add(request->server->nodes, row, request->cache_moment, ((const Config *) request->server->config)->node_cache);
	node_row_free(row);
	check_voucher(request, issuer);
	node_release(issuer);
}

/* A person's node: the voucher's issuer must be known here. */
static void
find_issuer(Request *request)
{
	Registering *registering = request->state;
	HdmsVoucher voucher;
	Node	   *issuer;

	if (registering->body.voucher == NULL)
	{
		submit_registration(request);
		return;
	}
	if (hdms_voucher_peek(registering->body.voucher, strlen(registering->body.voucher), &voucher) != HDMS_OK)
	{
		registering->registration.voucher_state = VOUCHER_INVALID;
		submit_registration(request);
		return;
	}
	memcpy(registering->issuer, voucher.iss, sizeof(registering->issuer));
	issuer = node_cache_find(request->server->nodes, registering->issuer);
	if (issuer != NULL)
	{
		check_voucher(request, issuer);
		node_release(issuer);
		return;
	}
	request->cache_moment = node_cache_moment(request->server->nodes);
	request->operation.kind = OPERATION_LOAD_NODE;
	request->operation.node.id = registering->issuer;
	request->operation.node.row = NULL;
	request_submit(request, issuer_loaded);
}

/* The carried lists that the network key did sign; others are ignored. */
static void
collect_lists(Request *request)
{
	Registering *registering = request->state;
	NodeRegistration *registration = &registering->registration;

	for (size_t i = 0; i < registering->body.notaries_count && registration->lists_count < LISTS_MAX; i++)
	{
		const char *jws = registering->body.notaries[i];
		HdmsNotaryList list = {0};
		CarriedList *carried = &registering->lists[registration->lists_count];

		if (hdms_notaries_parse(jws, strlen(jws), request->server->network, &list) != HDMS_OK)
			continue;
		memcpy(carried->digest, list.digest, sizeof(carried->digest));
		carried->jws = jws;
		carried->iat = list.iat;
		registration->lists_count++;
		hdms_notaries_free(&list);
	}
	registration->lists = registering->lists;
}

/* The request's own signature, by the current key of the history in it. False after replying. */
static bool
verify_self(Request *request)
{
	Registering *registering = request->state;
	const char *input = request_header(request, "Signature-Input");
	const char *signature = request_header(request, "Signature");
	HdmsHttpClaim claim;
	HdmsHttpRequest covered;
	char	   *copy;
	HdmsStatus	status;

	if (input == NULL || signature == NULL)
	{
		authenticate_refuse(request, AUTHENTICATION_MISSING);
		return false;
	}
	if (hdms_http_peek(input, &claim) != HDMS_OK || strcmp(claim.keyid, hdms_history_node_id(registering->history)) != 0)
	{
		authenticate_refuse(request, AUTHENTICATION_BAD_SIGNATURE);
		return false;
	}
	if (!authenticate_covered(request, &covered, &copy))
	{
		request_problem(request, 500, "internal-error", NULL);
		return false;
	}
	status = hdms_http_verify(&covered, input, signature, request_header(request, "Content-Digest"),
							  hdms_history_current(registering->history, HDMS_ROLE_SIGN), NULL, wall_seconds());
	free(copy);
	if (status == HDMS_OK && claim.nonce[0] != '\0')
	{
		request->nonce = strdup(claim.nonce);
		request->operation.nonce = request->nonce;
		request->operation.signer = hdms_history_node_id(registering->history);
	}
	if (status == HDMS_EXPIRED || status == HDMS_NOT_YET_VALID)
		authenticate_refuse(request, AUTHENTICATION_CLOCK_SKEW);
	else if (status != HDMS_OK)
		authenticate_refuse(request, AUTHENTICATION_BAD_SIGNATURE);
	return status == HDMS_OK;
}

/* An institution's admission, if it brought one. False after replying. */
static bool
check_admission(Request *request)
{
	Registering *registering = request->state;
	HdmsAdmission admission;

	if (registering->body.admission == NULL)
		return true;
	if (hdms_admission_verify(registering->body.admission, strlen(registering->body.admission), request->server->network,
							  registering->history, &admission) != HDMS_OK)
	{
		request_problem(request, 403, "not-admitted", "the admission is not by this network's key, or not for this node");
		return false;
	}
	registering->registration.admission = registering->body.admission;
	registering->registration.notary = admission.notary;
	registering->registration.admitted = admission.iat;
	registering->registration.network = request->server->network;
	return true;
}

/* False after replying. */
static bool
registrations_allowed(Request *request)
{
	const Config *config = request->server->config;
	char		key[64 + 16] = "register ";
	int64_t		retry_after;

	request_address(request, key + 9);
	if (rate_take(request->server->address_rates, key, strlen(key), config->registrations_per_minute, config->registrations_per_minute * 2,
				  &retry_after))
		return true;
	metrics_count(COUNTER_RATE_LIMITED, 1);
	request_problem_later(request, 429, "too-many-requests", "too many registrations from this address", retry_after);
	return false;
}

void
route_register(Request *request)
{
	Registering *registering;
	HdmsStatus	status;

	if (!registrations_allowed(request))
		return;
	registering = calloc(1, sizeof(Registering));
	if (registering == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	request->state = registering;
	request->free_state = registering_free;
	status = hdms_wire_registration_parse(request->body, request->body_len, &registering->body);
	if (status == HDMS_OK)
		status = hdms_history_parse(registering->body.history, strlen(registering->body.history), &registering->history);
	if (status != HDMS_OK)
	{
		request_problem(request, 400, hdms_status_word(status), hdms_status_sentence(status));
		return;
	}
	registering->registration.history = registering->history;
	if (!verify_self(request))
		return;
	if (hdms_history_kind(registering->history) == HDMS_PERSON)
		find_issuer(request);
	else if (check_admission(request))
	{
		collect_lists(request);
		submit_registration(request);
	}
}

/* Which institution a person belongs to is nobody's business but theirs. */
static bool
may_see_admission(const Request *request, const char *admission)
{
	HdmsVoucher membership;

	return strcmp(request->match.ids[0], request->node->id) == 0 ||
		(admission != NULL && hdms_voucher_peek(admission, strlen(admission), &membership) != HDMS_OK);
}

static void
reply_node(Request *request)
{
	static const char *const words[] = {[NODE_PENDING] = "pending", [NODE_ACTIVE] = "active", [NODE_FROZEN] = "frozen"};
	NodeEntry  *found = request->state;
	HdmsNodeEntry entry = {0};
	char	   *json = NULL;

	if (request_operation_failed(request))
		return;
	if (!found->exists)
	{
		request_problem(request, 404, "unknown-node", "there is no such node");
		return;
	}
	snprintf(entry.status, sizeof(entry.status), "%s", words[found->status]);
	entry.history = found->history;
	if (may_see_admission(request, found->admission))
		entry.admission = found->admission;
	if (found->proof_count >= 0)
	{
		entry.checkpoint = found->checkpoint;
		entry.log_index = found->index;
		entry.proof = found->proof;
		entry.proof_count = found->proof_count;
	}
	if (hdms_wire_node_print(&entry, &json) != HDMS_OK)
		json = NULL;
	request_reply_json(request, 200, json);
}

static void
entry_free(Request *request)
{
	node_entry_free(request->state);
	free(request->state);
}

static void
load_node(Request *request)
{
	if (request->node->status == NODE_PENDING && strcmp(request->node->id, request->match.ids[0]) != 0)
	{
		authenticate_refuse(request, AUTHENTICATION_PENDING);
		return;
	}
	request->state = calloc(1, sizeof(NodeEntry));
	if (request->state == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	request->free_state = entry_free;
	request->operation.kind = OPERATION_LOAD_ENTRY;
	request->operation.entry.id = request->match.ids[0];
	request->operation.entry.found = request->state;
	request_submit(request, reply_node);
}

void
route_node(Request *request)
{
	request->takes_recovery_key = true;
	authenticate_any(request, load_node);
}
